"""What is wrong with a sidecar's configuration, address or key is said in a line when it starts."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.database import Cluster
from tests.support.service import Service, running, serve
from tests.support.sidecar import argv, environment, sidecar
from tests.unit.test_tls_files import ONE

CONFIG = '[listen]\nhttp = "127.0.0.1:0"\nenvoy = "127.0.0.1:0"\n'
TOKEN = "kw_live_whatever"


async def ended(arguments: list[str], environ: Mapping[str, str]) -> tuple[int | None, str]:
    """The exit status of a sidecar that ends by itself, and what it said."""
    async with running(arguments, environ) as process:
        await process.ended()
        return process.process.returncode, "\n".join(process.raw)


@pytest.fixture(name="front", params=["grpc", "envoy"])
def _front(request: pytest.FixtureRequest) -> str:
    """What answers Envoy."""
    return str(request.param)


@pytest.fixture(name="text")
def _text(front: str) -> str:
    return f'front = "{front}"\n{CONFIG}'


@pytest.fixture(name="config")
def _config(text: str, tmp_path: Path) -> Path:
    file = tmp_path / "sidecar.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("uri", "token", "options", "told"),
    [
        ("127.0.0.1:1", "", [], "API_KEY_MISSING"),
        ("127.0.0.1:1", "two words", [], "API_KEY_MALFORMED"),
        ("http://127.0.0.1", TOKEN, [], "URI_MALFORMED"),
        ("hub.example:7700", TOKEN, [], "PLAINTEXT_REFUSED"),
        ("grpcs://127.0.0.1:1", TOKEN, ["--ca-file", "/missing.pem"], "TLS_FILE_INVALID"),
        ("grpcs://127.0.0.1:1", TOKEN, ["--ca-file", "/etc/hostname"], "TLS_FILE_INVALID"),
        ("127.0.0.1:1", TOKEN, ["--api-key-file", "/missing.key"], "API_KEY_MISSING"),
    ],
)
async def test_a_wrong_address_or_key_ends_it_at_once_and_is_told(
    config: Path, uri: str, token: str, options: list[str], told: str
) -> None:
    status, said = await ended(argv(config, *options), environment(uri, token))
    assert status == 2, said
    assert told in said
    assert "Traceback" not in said
    assert TOKEN not in said


async def test_a_configuration_that_is_wrong_or_missing_ends_it_at_once(config: Path) -> None:
    own = environment("127.0.0.1:1", TOKEN)
    config.write_text("rules = 3")
    status, said = await ended(argv(config), own)
    assert (status, "rules: there is no such field" in said) == (2, True)
    status, said = await ended(argv(config)[:-2], own)
    assert (status, "--config is needed" in said) == (2, True)


@pytest.mark.parametrize("name", ["http", "envoy"])
async def test_an_address_in_use_ends_it_and_is_named(config: Path, text: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config.write_text(text.replace(f'{name} = "127.0.0.1:0"', f'{name} = "{address}"'))
        status, said = await ended(argv(config), environment("127.0.0.1:1", TOKEN))
    assert status == 2
    assert f"{address} cannot be listened on" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["http", "envoy"])
async def test_why_a_socket_cannot_be_listened_on_is_told(
    config: Path, text: str, name: str, tmp_path: Path
) -> None:
    address = f"unix:{tmp_path}/absent/own.sock"
    config.write_text(text.replace(f'{name} = "127.0.0.1:0"', f'{name} = "{address}"'))
    status, said = await ended(argv(config), environment("127.0.0.1:1", TOKEN))
    told = f"{address} cannot be listened on: No such file or directory"
    assert (status, told in said) == (2, True), said


async def test_a_socket_that_another_sidecar_listens_on_is_not_taken_over(
    config: Path, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        config.write_text(text.replace('http = "127.0.0.1:0"', f'http = "unix:{path}"'))
        status, said = await ended(argv(config), environment("127.0.0.1:1", TOKEN))
    assert (status, f"unix:{path} cannot be listened on" in said) == (2, True)
    assert path.exists()


async def test_a_server_of_another_protocol_leaves_it_not_ready_and_is_told(config: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    uri = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
    async with other, sidecar(config, f"grpcs://{uri}", TOKEN, until_ready=False) as started:
        told = await started.process.logged("not ready")
        assert told["reason"] == "PROTOCOL_MISMATCH"
        assert uri in told["message"]
        assert (await started.get("/readyz")).status == 503


async def test_a_certificate_for_another_name_leaves_it_not_ready_and_is_told(
    cluster: Cluster, config: Path, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(ONE.certificate)  # for localhost
    key.write_bytes(ONE.key)
    files = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    trusted = ("--ca-file", str(certificate))
    async with serve(await cluster.migrated(), **files) as server:
        port = (await server.logged("listening"))["listen"].rpartition(":")[2]
        uri = f"grpcs://127.0.0.1:{port}"
        async with sidecar(config, uri, TOKEN, *trusted, until_ready=False) as started:
            told = await started.process.logged("not ready")
            assert told["reason"] == "TLS_NAME_MISMATCH"
            assert "call it by one that is in its certificate" in told["message"]
            assert f"(from {uri})" in told["message"]
            assert (await started.get("/readyz")).status == 503
        uri = f"grpcs://localhost:{port}"
        async with sidecar(config, uri, TOKEN, *trusted, until_ready=False) as started:
            told = await started.process.logged("not ready")
            assert told["reason"] == "CALLER_CREDENTIAL_INVALID", "it is not the name any more"


async def test_a_key_without_the_permission_leaves_it_not_ready_and_is_told(
    service: Service, config: Path, front: str
) -> None:
    token = (await service.person(f"{front}-nobody", "labeler")).token
    assert token is not None
    async with sidecar(config, service.uri, token, until_ready=False) as started:
        told = await started.process.logged("not ready")
        assert told["reason"] == "CALLER_PERMISSION_MISSING"
        assert (await started.get("/readyz")).status == 503


async def test_a_key_that_is_used_too_often_is_limited_with_a_delay(
    service: Service, config: Path, text: str, front: str
) -> None:
    own = (await service.person(f"{front}-limited", "authenticator")).token
    assert own is not None
    created = await service.admin.create_key(rate_limit={"requests": 1, "period": {"seconds": 60}})
    config.write_text(
        text + '[forward_auth]\nproxy = "traefik"\n[[routes]]\npath = "/**"\npermissions = []\n'
    )
    original = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/")]
    async with sidecar(config, service.uri, own) as started:
        for status in (200, 429):
            answer = await started.get("/authorize", *original, ("X-API-Key", created.token))
            assert answer.status == status
    assert answer.error["reason"] == "RATE_LIMITED"
    assert 1 <= int(answer["retry-after"]) <= 60
