"""gRPC-Web at the same port, and whose pages may use it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Cluster
from tests.support.front import ENVOY, grpc_web, http
from tests.support.service import PARENT, Service, another, service

ORIGIN = "https://console.example"
TEXT = pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])


@pytest.fixture(scope="module", name="front")
async def _front(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **ENVOY) as running:
        yield running


@TEXT
async def test_both_halves_answer_grpc_web(front: Service, *, text: bool) -> None:
    async with http(front) as client:
        reply, trailers = await grpc_web(client, "Authenticate", text=text, token=front.admin_token)
        assert (trailers["grpc-status"], reply.user.email) == ("0", "admin@localhost")
        reply, trailers = await grpc_web(client, "ListKeys", text=text, parent=PARENT)
        assert trailers["grpc-status"] == "0"
        assert reply.keys


@TEXT
async def test_an_error_comes_with_its_details(front: Service, *, text: bool) -> None:
    async with http(front) as client:
        for method, fields, code in (
            ("Authenticate", {"token": "kw_live_x"}, "16"),
            ("GetKey", {"name": f"{PARENT}/keys/none"}, "5"),
        ):
            reply, trailers = await grpc_web(client, method, text=text, **fields)
            assert reply is None
            assert trailers["grpc-status"] == code
            assert trailers["grpc-status-details-bin"]


async def test_no_page_of_another_origin_may_call_unless_the_operator_says_so(
    front: Service,
) -> None:
    async with http(front) as client:
        asked = await client.options(
            "/v1:authenticate",
            headers={"origin": ORIGIN, "access-control-request-method": "POST"},
        )
        called = await client.post("/v1:authenticate", json={}, headers={"origin": ORIGIN})
    for answered in (asked, called):
        assert not any(name.startswith("access-control-") for name in answered.headers)


async def test_pages_of_the_origins_that_are_named_may_call_and_no_others(front: Service) -> None:
    origins = f"http://localhost:8080,{ORIGIN}"
    async with another(front, browser_origins=origins, **ENVOY) as open_, http(open_) as client:
        for origin, allowed in ((ORIGIN, ORIGIN), (f"{ORIGIN}.evil.example", None)):
            asked = await client.options(
                "/keywright.v1.AuthService/Authenticate",
                headers={
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization,x-grpc-web",
                },
            )
            called = await client.post(
                "/v1:authenticate", json={"token": "x"}, headers={"origin": origin}
            )
            for answered in (asked, called):
                assert answered.headers.get("access-control-allow-origin") == allowed
            assert "access-control-allow-credentials" not in called.headers
        assert called.status_code == 401  # the browser's to hide; the credential's to refuse
