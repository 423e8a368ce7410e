"""The console as a program: how it starts, what it says of mistakes, and how it stops."""

import asyncio
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.console import console, environment
from tests.support.service import Process, Service, running


async def ended(*arguments: str) -> tuple[int, Process]:
    """Run a command of the console's to its end."""
    argv = [sys.executable, "-m", "keywright", "console", *arguments]
    async with running(argv, environment("127.0.0.1:1")) as process:
        status = await asyncio.wait_for(process.process.wait(), 60)
        await process.ended()
        return status, process


async def test_every_mistake_of_a_file_is_told_and_nothing_starts(tmp_path: Path) -> None:
    file = tmp_path / "console.toml"
    file.write_text('listen = "here"\nsign_in = ["password"]\n')
    for arguments in (("--config", str(file)), ("check-config", str(file))):
        status, process = await ended(*arguments)
        assert status == 2
        said = "\n".join(process.raw)
        assert "listen: 'here'" in said
        assert "sign_in: 'password'" in said
        assert "Traceback" not in said


async def test_a_file_is_verified_without_a_server(tmp_path: Path) -> None:
    file = tmp_path / "console.toml"
    file.write_text(
        'public_url = "https://keys.example.com"\nsign_in = ["link"]\n[openid_connect]\n'
        'issuer = "https://id.example.com"\nclient_id = "c"\nworkspace = "acme"\n'
    )
    status, process = await ended("check-config", str(file))
    assert status == 0
    assert process.printed == [
        "Listens on 127.0.0.1:7701; browsers see https://keys.example.com.",
        "People sign in by link, OpenID Connect (https://id.example.com).",
    ]


async def test_an_address_in_use_is_told(service: Service) -> None:
    status, process = await ended("--listen", service.uri)
    assert status == 2
    assert f"{service.uri} cannot be listened on" in "\n".join(process.raw)


async def test_it_listens_on_a_unix_socket_and_leaves_none_behind(
    service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "console.sock"
    settings = f'listen = "unix:{path}"\npublic_url = "https://keys.example.com"\n'
    async with console(service, tmp_path, settings) as pages:
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport, base_url="http://console") as client:
            assert (await client.get("/healthz")).text == "alive\n"
        assert await pages.process.stop() == 0
        assert not path.exists()


async def test_it_starts_without_a_server_and_works_as_soon_as_there_is_one(
    service: Service, tmp_path: Path
) -> None:
    lost = Service(service.process, "", "127.0.0.1:1", "", service.channel)
    async with console(lost, tmp_path) as pages, pages.browser() as browser:
        page = await browser.get("/sign-in")
        assert page.status == 200
        refused = await browser.send(page, "/sign-in/key", token=service.admin_token)
        assert refused.status == 503
        assert service.admin_token not in refused.response.text


@pytest.mark.parametrize("sent", ["", "GET /sign-in HTTP/1.1\r\n"])
async def test_a_signal_ends_it_though_somebody_is_connected(
    service: Service, tmp_path: Path, sent: str
) -> None:
    async with console(service, tmp_path, "[limits]\nstop_seconds = 1\n") as pages:
        host, _, port = pages.url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent.encode())
        await writer.drain()
        assert await pages.process.stop() == 0
        await pages.process.ended()
        assert [each["event"] for each in pages.process.log][-2:] == ["stopping", "stopped"]
        writer.close()
