"""A DNS server (RFC 1035) for one name, whose addresses a test changes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

_HEADER_BYTES = 12
_ANSWERED = 0x8580  # a response, authoritative; recursion was asked for and is there
_A, _IN = 1, 1
_THE_NAME_ASKED_FOR = 0xC000 | _HEADER_BYTES  # a pointer to it (section 4.1.4)
_NOT_KEPT = 0  # its time to live


class Names(asyncio.DatagramProtocol):
    """Answers every question for IPv4 addresses with these; there are none of IPv6.

    Attributes:
        addresses: what any name stands for at this moment.
        address: of this server, `127.0.0.1:5353`.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.address = ""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, peer: Any) -> None:
        name_end = data.index(b"\0", _HEADER_BYTES) + 1
        question = data[_HEADER_BYTES : name_end + 4]
        (kind,) = struct.unpack_from(">H", data, name_end)
        found = [
            struct.pack(">HHHIH4s", _THE_NAME_ASKED_FOR, _A, _IN, _NOT_KEPT, 4, packed)
            for packed in map(socket.inet_aton, self.addresses if kind == _A else ())
        ]
        header = data[:2] + struct.pack(">5H", _ANSWERED, 1, len(found), 0, 0)
        self._transport.sendto(header + question + b"".join(found), peer)


@asynccontextmanager
async def names(*addresses: str) -> AsyncIterator[Names]:
    """A server by which every name has these addresses."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
