import re
from pathlib import Path

import pytest

from keywright.app.listen import parse_listen_address, parse_tcp_address
from keywright.listening import TcpAddress, UnixAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7700", TcpAddress("127.0.0.1", 7700)),
        ("0.0.0.0:0", TcpAddress("0.0.0.0", 0)),
        ("[::1]:7700", TcpAddress("::1", 7700)),
        ("[::]:65535", TcpAddress("::", 65535)),
        ("localhost:7700", TcpAddress("localhost", 7700)),
        ("keys-1.internal.example:443", TcpAddress("keys-1.internal.example", 443)),
        ("unix:/run/keywright/grpc.sock", UnixAddress(Path("/run/keywright/grpc.sock"))),
    ],
)
def test_an_address_is_understood_and_written_back_as_it_was(
    text: str, address: TcpAddress | UnixAddress
) -> None:
    assert parse_listen_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "what_would_be_right"),
    [
        ("", "<host>:<port>"),
        ("7700", "<host>:<port>"),
        ("127.0.0.1", "<host>:<port>"),
        ("127.0.0.1:", "<host>:<port>"),
        ("127.0.0.1:http", "<host>:<port>"),
        ("127.0.0.1:-1", "<host>:<port>"),
        ("127.0.0.1:7700\n", "<host>:<port>"),
        ("http://127.0.0.1:7700", "<host>:<port>"),
        (":7700", "0.0.0.0"),
        ("::1:7700", "in brackets"),
        ("127.0.0.1:65536", "65535"),
        ("[127.0.0.1]:7700", "IPv6"),
        ("[::g]:7700", "IPv6"),
        ("256.0.0.1:7700", "neither an IP address nor a name"),
        ("127.1:7700", "neither an IP address nor a name"),
        ("*:7700", "neither an IP address nor a name"),
        ("-x.example:7700", "neither an IP address nor a name"),
        (" localhost:7700", "neither an IP address nor a name"),
        ("unix:", "absolute path"),
        ("unix:run/grpc.sock", "absolute path"),
        ("unix:/run/", "absolute path"),
        ("unix:/run/\0", "absolute path"),
        ("unix:/" + "x" * 107, "107 bytes"),
        ("unix:/" + "ü" * 54, "107 bytes"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(
    text: str, what_would_be_right: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(what_would_be_right)):
        parse_listen_address(text)


def test_the_longest_socket_path_is_107_bytes() -> None:
    text = "unix:/" + "x" * 106
    assert str(parse_listen_address(text)) == text


def test_a_unix_socket_is_refused_where_only_tcp_is_of_use() -> None:
    with pytest.raises(ValueError, match="must be <host>:<port>"):
        parse_tcp_address("unix:/run/metrics.sock")


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "LOCALHOST:1", "unix:/run/grpc.sock"],
)
def test_only_this_machine_reaches_loopback_addresses_and_unix_sockets(text: str) -> None:
    assert parse_listen_address(text).stays_here


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0:1",
        "[::]:1",
        "10.0.0.1:1",
        "192.168.1.1:1",
        "[fe80::1]:1",
        "[::ffff:10.0.0.1]:1",
        "localhost.example:1",
        "loopback:1",
    ],
)
def test_other_machines_may_reach_every_other_address(text: str) -> None:
    assert not parse_listen_address(text).stays_here
