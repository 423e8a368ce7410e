"""The ASGI middleware lives as long as its application, which need not know of a lifespan."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keywright.sdk import Authenticator, KeywrightMiddleware, Requires
from keywright.sdk.drop_ins.asgi import Receive, Scope, Send
from tests.support.watch_server import serving

Lifespan = Callable[[Receive, Send], Awaitable[None]]


async def raises(_receive: Receive, _send: Send) -> None:
    raise ValueError("only HTTP is handled")


async def raises_when_it_has_heard(receive: Receive, _send: Send) -> None:
    await receive()
    raise ValueError("what is lifespan.startup?")


async def returns(_receive: Receive, _send: Send) -> None:
    return


async def lives(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{phase}"
        await send({"type": f"lifespan.{phase}.complete"})


class Host:
    """An ASGI server before an application whose lifespan is as given."""

    def __init__(self, lifespan: Lifespan, authenticator: Authenticator) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await lifespan(receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        self.app = KeywrightMiddleware(
            app, authenticator=authenticator, rules={"GET /whoami": Requires()}
        )
        self.orders: asyncio.Queue[str] = asyncio.Queue()
        self.said: asyncio.Queue[str] = asyncio.Queue()

    async def receive(self) -> dict[str, Any]:
        return {"type": await self.orders.get()}

    async def send(self, message: Any) -> None:
        self.said.put_nowait(message["type"])

    async def phase(self, phase: str) -> str:
        self.orders.put_nowait(f"lifespan.{phase}")
        return await self.said.get()

    async def status(self) -> int:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/whoami",
            "headers": [(b"authorization", b"Bearer kw_presented")],
            "client": ("192.0.2.1", 4711),
        }
        await self.app(scope, self.receive, send)
        return int(said[0]["status"])


@pytest.mark.parametrize("lifespan", [raises, raises_when_it_has_heard, returns, lives])
async def test_requests_are_let_through_whether_the_application_has_a_lifespan_or_not(
    lifespan: Lifespan,
) -> None:
    async with serving() as (server, _), asyncio.timeout(20):
        authenticator = Authenticator(f"127.0.0.1:{server.port}", "kw_own")
        host = Host(lifespan, authenticator)
        living = asyncio.create_task(host.app({"type": "lifespan"}, host.receive, host.send))
        assert await host.phase("startup") == "lifespan.startup.complete"
        await authenticator.leased()
        assert await host.status() == 200
        assert await host.phase("shutdown") == "lifespan.shutdown.complete"
        await living
        assert host.said.empty()
        assert not authenticator.is_leased


async def test_what_goes_wrong_after_an_application_has_spoken_is_not_hidden() -> None:
    async def fails(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise ValueError("no database")

    async with serving() as (server, _), asyncio.timeout(20):
        authenticator = Authenticator(f"127.0.0.1:{server.port}", "kw_own")
        host = Host(fails, authenticator)
        living = asyncio.create_task(host.app({"type": "lifespan"}, host.receive, host.send))
        assert await host.phase("startup") == "lifespan.startup.failed"
        with pytest.raises(ValueError, match="no database"):
            await living
        assert not authenticator.is_leased
