"""A port that several processes listen on, each with a socket of its own (SO_REUSEPORT).

The kernel gives each new connection to one of them, and keeps connections where they are. It lets
any process of the same user join, so it is made sure first that nobody is there.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from keywright.app.listen import in_use
from keywright.listening import TcpAddress

_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@contextmanager
def claimed(address: TcpAddress) -> Iterator[TcpAddress]:
    """Keep a port for processes that share it, as long as the block runs; port 0 is any free one.

    Raises:
        ListenError: somebody listens there, or it is no address of this machine.
    """
    with ExitStack() as held:
        port = address.port
        try:
            for family, host in resolved(address):
                port = _free_port(family, host, port)
                held.enter_context(_bound(family, host, port))
        except OSError as error:
            raise in_use(address) from error
        yield TcpAddress(address.host, port)


def resolved(address: TcpAddress) -> Iterator[tuple[int, str]]:
    """Every address that a name has on this machine, as gRPC listens on all of them."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    here = [(family, str(where[0])) for family, _, _, _, where in found if _is_here(family, where)]
    if not here:
        raise OSError(errno.EADDRNOTAVAIL, "no address of this machine")
    yield from dict.fromkeys(here)


def _is_here(family: int, where: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((where[0], 0))
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise
    return True


def _free_port(family: int, host: str, port: int) -> int:
    """The port, on which nobody else listens."""
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # What is left of connections that have ended is in nobody's way.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        trial.listen()
        return int(trial.getsockname()[1])


def _bound(family: int, host: str, port: int) -> socket.socket:
    """A socket that is no server's, and keeps others than ours from the port meanwhile."""
    try:
        return _sharing(family, host, port, socket.SO_REUSEPORT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    # In its way are connections that have ended, of a server that shared with nobody.
    return _sharing(family, host, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _sharing(family: int, host: str, port: int, *options: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
