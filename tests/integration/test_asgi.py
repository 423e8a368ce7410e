"""The ASGI middleware before a Starlette application and beside a real server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from keywright import Authenticator, KeywrightMiddleware
from keywright.sdk import PUBLIC, Requires, current_principal
from keywright.sdk.drop_ins.asgi import Receive, Scope, Send
from tests.support.leased import duration
from tests.support.service import Service

RULES = {
    "/health": PUBLIC,
    "GET /whoami": Requires(),
    "GET /write": Requires("datasets.write"),
    "GET /marked": Requires(),
    "GET /datasets/{dataset}": Requires("datasets.read", resource="datasets/{dataset}"),
    "WEBSOCKET /feed": Requires("datasets.read"),
}


async def whoami(request: Request) -> JSONResponse:
    principal = request.state.principal
    assert principal is current_principal()
    assert request.user.is_authenticated
    return JSONResponse(
        {
            "user": principal.user.name,
            "name": request.user.display_name,
            "where": principal.resource,
        }
    )


async def health(request: Request) -> JSONResponse:
    assert request.state.principal is None
    assert not request.user.is_authenticated
    with pytest.raises(LookupError):
        current_principal()
    return JSONResponse({})


@requires("datasets.read")
async def marked(request: Request) -> JSONResponse:
    return JSONResponse({})


async def feed(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"user": socket.state.principal.user.name})
    await socket.close()


def application(service: Service, uri: str | None = None, token: str | None = None) -> Starlette:
    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/whoami", whoami),
            Route("/marked", marked),
            Route("/write", whoami),
            Route("/datasets/{dataset}", whoami),
            Route("/unlisted", whoami),
            WebSocketRoute("/feed", feed),
        ]
    )
    app.add_middleware(
        KeywrightMiddleware,
        authenticator=Authenticator(uri or service.uri, token or service.admin_token),
        rules=RULES,
        api_key_header="X-API-Key",
        realm="datasets",
    )
    return app


async def asking(app: Any, work: Callable[[TestClient], Any], address: str = "192.0.2.1") -> Any:
    """What `work` returns, with a client of the running application."""

    def run() -> Any:
        with TestClient(app, client=(address, 1), raise_server_exceptions=True) as client:
            return work(client)

    return await asyncio.to_thread(run)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module", name="token")
async def _token(service: Service) -> str:
    return (await service.admin.create_key(scopes=["datasets.read"])).token


@pytest.fixture(scope="module", name="app")
def _app(service: Service) -> Starlette:
    return application(service)


async def test_an_application_has_the_principal_where_it_looks_for_it(
    app: Starlette, token: str
) -> None:
    def work(client: TestClient) -> None:
        for headers in (bearer(token), {"X-Api-Key": token}):
            found = client.get("/whoami", headers=headers)
            assert found.status_code == 200
            assert found.json()["user"].endswith("/users/admin")
            assert found.json()["name"] == "Administrator"
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers=bearer("nonsense")).status_code == 200
        assert client.get("/marked", headers=bearer(token)).status_code == 200
        assert client.get("/datasets/x", headers=bearer(token)).status_code == 200

    await asking(app, work)


async def test_who_is_denied_is_told_so_as_rfc_6750_has_it(app: Starlette, token: str) -> None:
    def work(client: TestClient) -> None:
        nothing = client.get("/whoami")
        assert nothing.status_code == 401
        assert nothing.headers["www-authenticate"] == 'Bearer realm="datasets"'

        unknown = client.get("/whoami", headers=bearer("kw_live_nonsense"))
        assert unknown.status_code == 401
        challenge = unknown.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="datasets", error="invalid_token", ')
        assert unknown.json()["error"]["reason"] == "TOKEN_MALFORMED"
        assert "kw_live_nonsense" not in unknown.text + challenge

        missing = client.get("/write", headers=bearer(token))
        assert missing.status_code == 403
        assert 'error="insufficient_scope"' in missing.headers["www-authenticate"]
        assert 'scope="datasets.write"' in missing.headers["www-authenticate"]
        assert missing.json()["error"]["reason"] == "PERMISSION_MISSING"

    await asking(app, work)


async def test_what_could_be_two_credentials_is_refused(app: Starlette, token: str) -> None:
    def work(client: TestClient) -> None:
        both = client.get("/whoami", headers={**bearer(token), "x-api-key": token})
        joined = client.get("/whoami", headers=bearer(f"{token}, Bearer {token}"))
        for refused in (both, joined):
            assert refused.status_code == 400
            assert 'error="invalid_request"' in refused.headers["www-authenticate"]
        assert client.get(f"/whoami?access_token={token}").status_code == 401

    await asking(app, work)


async def test_a_route_without_a_rule_is_denied_whoever_asks(
    app: Starlette, service: Service
) -> None:
    def work(client: TestClient) -> None:
        for path in ("/unlisted", "/nowhere", "/whoami/", "//whoami"):
            denied = client.get(f"http://testserver{path}", headers=bearer(service.admin_token))
            assert denied.status_code == 403, path
            assert denied.json()["error"]["reason"] == "NOT_LISTED"
        assert client.post("/whoami", headers=bearer(service.admin_token)).status_code == 403

    await asking(app, work)


async def test_a_bound_key_is_held_to_its_resource_and_its_networks(
    app: Starlette, service: Service
) -> None:
    key = await service.admin.create_key(resource="datasets/a", allowed_networks=["192.0.2.0/24"])

    def statuses(client: TestClient) -> list[int]:
        paths = ("/datasets/a", "/datasets/b", "/whoami")
        return [client.get(path, headers=bearer(key.token)).status_code for path in paths]

    assert await asking(app, statuses) == [200, 403, 403]
    assert await asking(app, statuses, address="198.51.100.1") == [403, 403, 403]


async def test_a_key_that_is_used_too_often_is_told_when_to_come_back(
    app: Starlette, service: Service
) -> None:
    key = await service.admin.create_key(rate_limit={"requests": 1, "period": duration(3600)})

    def work(client: TestClient) -> None:
        assert client.get("/whoami", headers=bearer(key.token)).status_code == 200
        refused = client.get("/whoami", headers=bearer(key.token))
        assert refused.status_code == 429
        assert 3500 < int(refused.headers["retry-after"]) <= 3600

    await asking(app, work)


async def test_a_revoked_key_is_denied_at_the_next_request(
    app: Starlette, service: Service
) -> None:
    key = await service.admin.create_key()
    loop = asyncio.get_running_loop()

    def work(client: TestClient) -> None:
        for _ in range(3):
            assert client.get("/whoami", headers=bearer(key.token)).status_code == 200
        revoking = service.admin.revoke_key(key.key.name)
        asyncio.run_coroutine_threadsafe(revoking, loop).result()
        denied = client.get("/whoami", headers=bearer(key.token))
        assert denied.status_code == 401
        assert denied.json()["error"]["reason"] == "KEY_REVOKED"

    await asking(app, work)


async def test_trouble_of_our_own_is_503_and_never_401(service: Service, token: str) -> None:
    powerless = (await service.person("powerless")).token

    def work(client: TestClient) -> None:
        refused = client.get("/whoami", headers=bearer(token))
        assert refused.status_code == 503
        assert "www-authenticate" not in refused.headers
        assert refused.headers["retry-after"]
        assert "CALLER" not in refused.text, "it is nobody's business"

    await asking(application(service, token=powerless), work)
    await asking(application(service, uri="127.0.0.1:1"), work)


async def test_a_websocket_is_opened_or_refused_with_the_same_answer(
    app: Starlette, token: str, service: Service
) -> None:
    def work(client: TestClient) -> None:
        with client.websocket_connect("/feed", headers=bearer(token)) as socket:
            assert socket.receive_json()["user"].endswith("/users/admin")
        refusals = {None: 401, "kw_live_nonsense": 401}
        for presented, status in refusals.items():
            headers = {} if presented is None else bearer(presented)
            with (
                pytest.raises(WebSocketDenialResponse) as denied,
                client.websocket_connect("/feed", headers=headers),
            ):
                pytest.fail("it was opened")
            assert denied.value.status_code == status
            assert denied.value.headers["www-authenticate"].startswith("Bearer ")

    await asking(app, work)


async def test_a_websocket_is_closed_where_the_server_can_say_no_more(app: Starlette) -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    def work(client: TestClient) -> None:
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/feed"):
            pytest.fail("it was opened")
        assert closed.value.code == 1008

    await asking(plain, work)


async def test_an_application_that_cannot_begin_says_why(service: Service) -> None:
    app = application(service, uri="ftp://nowhere")
    said: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        said.append(message)

    await app({"type": "lifespan", "state": {}}, receive, send)
    assert [each["type"] for each in said] == ["lifespan.startup.failed"]
    assert "URI_MALFORMED" in said[0]["message"]
