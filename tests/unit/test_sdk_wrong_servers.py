"""Servers that a client is not meant for: the error says what is wrong, and comes at once."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from typing import Any

import grpc
import pytest

from keywright.sdk import AsyncClient, Client, Unavailable
from tests.unit.test_sdk_client import serving
from tests.unit.test_tls_files import ONE, OTHER


class Http1(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Ssh(StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        self.rfile.read()


class Quiet(TCPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is what is meant to happen."""


@pytest.fixture(params=[Http1, Ssh])
def foreign_port(request: pytest.FixtureRequest) -> Iterator[int]:
    kind = HTTPServer if request.param is Http1 else Quiet
    with kind(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def trouble(uri: str, **arguments: Any) -> Unavailable:
    """What both clients say alike."""
    with Client(uri, "own", **arguments) as client, pytest.raises(Unavailable) as said:
        client.whoami()

    async def ask() -> Unavailable:
        async with AsyncClient(uri, "own", **arguments) as client:
            with pytest.raises(Unavailable) as said:
                await client.whoami()
            return said.value

    assert asyncio.run(ask()).reason == said.value.reason
    assert said.value.message.endswith(f"(from {uri})")
    return said.value


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(ONE.certificate)
    return file


def test_a_server_of_another_protocol_is_told(foreign_port: int) -> None:
    error = trouble(f"127.0.0.1:{foreign_port}")
    assert error.reason == "PROTOCOL_MISMATCH"
    assert "another protocol than gRPC" in error.message


def test_a_server_without_tls_is_told_to_who_asks_for_tls(ca_file: Path) -> None:
    with serving("127.0.0.1:0") as (port, _):
        error = trouble(f"grpcs://127.0.0.1:{port}", ca_file=ca_file)
    assert error.reason == "PROTOCOL_MISMATCH"
    assert "does not speak TLS" in error.message


def test_a_server_that_wants_tls_is_told_to_who_asks_without(ca_file: Path) -> None:
    credentials = grpc.ssl_server_credentials([(ONE.key, ONE.certificate)])
    with serving("127.0.0.1:0", credentials) as (port, _):
        error = trouble(f"127.0.0.1:{port}")
    assert error.reason == "UNAVAILABLE", "it may as well be starting"
    assert "one that speaks TLS is called grpcs://" in error.message


def test_a_certificate_for_another_name_and_one_of_a_stranger_are_told_apart(
    ca_file: Path,
) -> None:
    credentials = grpc.ssl_server_credentials([(ONE.key, ONE.certificate)])  # for localhost
    with serving("127.0.0.1:0", credentials) as (port, _):
        for uri in (f"127.0.0.1:{port}", f"127.0.0.1:{port},127.0.0.2:{port}"):
            error = trouble(f"grpcs://{uri}", ca_file=ca_file)
            assert error.reason == "TLS_NAME_MISMATCH"
            assert "another name" in error.message
            assert "call it by one that is in its certificate" in error.message
        ca_file.write_bytes(OTHER.certificate)
        error = trouble(f"grpcs://localhost:{port}", ca_file=ca_file)
    assert error.reason == "TLS_CERTIFICATE_UNTRUSTED"
    assert "ca_file" in error.message


def test_a_name_that_nobody_has_is_told() -> None:
    error = trouble("grpcs://keys.invalid:7700")
    assert error.reason == "UNAVAILABLE"
    assert "DNS resolution failed for keys.invalid" in error.message
