"""The console as a program: listens, and stops without dropping a request."""

import asyncio
import logging
import os
from dataclasses import replace

from keywright import __version__
from keywright.console.app import create_app
from keywright.console.config import Config
from keywright.listening import TcpAddress, UnixAddress
from keywright.programs import limited_http
from keywright.programs.addresses import listening_socket
from keywright.programs.log import Log
from keywright.programs.signals import stop_at_a_signal, stop_with_input
from keywright.sdk.client import AsyncClient
from keywright.sdk.errors import ConfigurationError


async def serve(config: Config, client: AsyncClient, *, stop_with_stdin: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once.

    With `stop_with_stdin` also until stdin ends, as it does with whoever has started it.

    Raises:
        ConfigurationError: `LISTEN_FAILED`.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it has nothing to say to an operator
    stopping = stop_at_a_signal()
    if stop_with_stdin:
        await stop_with_input(stopping)
    log = Log()
    try:
        listening = listening_socket(config.listen)
    except OSError as error:
        raise ConfigurationError(
            f"listen: {config.listen} cannot be listened on: {error.strerror or error}; choose "
            "another",
            reason="LISTEN_FAILED",
        ) from error
    address = config.listen
    if isinstance(address, TcpAddress):
        address = TcpAddress(address.host, listening.getsockname()[1])
    config = replace(config, listen=address, public_url=config.public_url or f"http://{address}")
    async with client:
        server = limited_http.create_server(create_app(config, client, log), config.limits)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        log.write(
            "listening",
            http=str(address),
            url=config.public_url,
            version=__version__,
            pid=os.getpid(),
        )
        await stopping.wait()
        log.write("stopping")
        if isinstance(config.listen, UnixAddress):
            config.listen.path.unlink(missing_ok=True)
        server.should_exit = True
        await serving
    log.write("stopped")
