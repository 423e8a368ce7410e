"""A sidecar in front of a real server: what proxies are answered over HTTP and by `Check`."""

import asyncio
import signal
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from keywright.sidecar.envoy_api.envoy.config.core.v3.base_pb2 import HeaderValueOption
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from keywright.v1 import key_pb2
from keywright.v1.key_service_pb2 import UpdateKeyRequest
from tests.support.database import Cluster
from tests.support.service import Service, another, service
from tests.support.sidecar import CHECK, Sidecar, answer_to, check_of, exchange, kept, sidecar

CONFIG = """
[listen]
http = "127.0.0.1:0"
envoy = "127.0.0.1:0"

[forward_auth]
proxy = "nginx"

[limits]
header_bytes = 16_000
message_bytes = 100_000

[[routes]]
path = "/projects/{project}/**"
methods = ["GET"]
permissions = ["projects.read"]
resource = "projects/{project}"

[[routes]]
path = "/projects/{project}/**"
methods = ["DELETE"]
permissions = ["workspace.manage"]
resource = "projects/{project}"

[[routes]]
path = "/test-only"
permissions = []
required_environment = "test"

[[routes]]
path = "/health"
public = true
"""


@pytest.fixture(scope="module", name="front", params=["grpc", "envoy"])
def _front(request: pytest.FixtureRequest) -> str:
    """What answers Envoy."""
    return str(request.param)


@pytest.fixture(scope="module", name="text")
def _text(front: str) -> str:
    return f'front = "{front}"\n{CONFIG}'


@pytest.fixture(scope="module", name="config")
def _config(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sidecar") / "sidecar.toml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module", name="own_token")
async def _own_token(service: Service) -> str:
    token = (await service.person("sidecar", "authenticator")).token
    assert token is not None
    return token


@pytest.fixture(scope="module", name="running")
async def _running(service: Service, config: Path, own_token: str) -> AsyncIterator[Sidecar]:
    async with sidecar(config, service.uri, own_token) as started:
        yield started


async def key_of(service: Service, user_id: str, role: str = "member") -> str:
    token = (await service.person(user_id, role)).token
    assert token is not None
    return token


async def test_a_request_is_let_through_with_all_headers_of_its_key(
    service: Service, running: Sidecar, front: str
) -> None:
    created = await service.admin.create_key(
        key_id=f"{front}-narrow", scopes=["projects.read"], display_name="Ünïcode"
    )
    answer = await running.authorize(created.token)
    assert answer.status == 200
    assert {name: value for name, value in answer.headers if name.startswith("x-")} == {
        "x-keywright-user": "workspaces/default/users/admin",
        "x-keywright-email": "admin@localhost",
        "x-keywright-workspace": "workspaces/default",
        "x-keywright-role": "",
        "x-keywright-permissions": "projects.read",
        "x-keywright-credential": f"workspaces/default/keys/{front}-narrow",
    }
    denied = await running.authorize(created.token, method="DELETE")
    assert (denied.status, denied.error["reason"]) == (403, "PERMISSION_MISSING")
    assert 'error="insufficient_scope"' in denied["www-authenticate"]


async def test_the_role_is_told_until_the_key_is_narrowed(
    service: Service, running: Sidecar
) -> None:
    created = await service.admin.create_key()
    for scopes, role in (([], "workspaces/default/roles/admin"), (["projects.read"], "")):
        key = key_pb2.Key(name=created.key.name, scopes=scopes)
        mask = FieldMask(paths=["scopes"])
        await service.admin.keys("UpdateKey", UpdateKeyRequest(key=key, update_mask=mask))
        for _ in range(2):  # asked of the server, and remembered
            answer = await running.authorize(created.token)
            assert (answer.status, answer["x-keywright-role"]) == (200, role)
            checked = await running.check(check_of(created.token))
            headers = {each.header.key: each.header.value for each in checked.ok_response.headers}
            assert headers["x-keywright-role"] == role


async def test_a_revoked_key_is_denied_at_the_next_request(
    service: Service, running: Sidecar
) -> None:
    created = await service.admin.create_key()
    for _ in range(2):
        assert (await running.authorize(created.token)).status == 200
        assert (await running.check(check_of(created.token))).status.code == 0
    await service.admin.revoke_key(created.key.name)
    answer = await running.authorize(created.token)
    assert (answer.status, answer.error["reason"]) == (401, "KEY_REVOKED")
    assert 'error="invalid_token"' in answer["www-authenticate"]
    checked = await running.check(check_of(created.token))
    assert checked.denied_response.status.code == 401


def asked(*headers: tuple[str, str]) -> bytes:
    """A question over a connection that goes on."""
    lines = ["GET /authorize HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def original(target: str = "/projects/abc", method: str = "GET") -> list[tuple[str, str]]:
    return [("X-Original-Method", method), ("X-Original-URI", target)]


async def test_a_revoked_key_is_denied_at_the_next_request_of_a_connection(
    service: Service, running: Sidecar
) -> None:
    async with kept(running.http) as ask:
        for _ in range(10):
            created = await service.admin.create_key()
            request = asked(*original(), ("Authorization", f"Bearer {created.token}"))
            assert [(await ask(request)).status for _ in range(3)] == [200] * 3
            await service.admin.revoke_key(created.key.name)
            answer = await ask(request)
            assert (answer.status, answer.error["reason"]) == (401, "KEY_REVOKED")


async def test_the_answer_is_the_same_over_a_connection_that_goes_on_and_one_that_ends(
    service: Service, running: Sidecar
) -> None:
    created = await service.admin.create_key(scopes=["projects.read"])
    limited = await service.admin.create_key(rate_limit={"requests": 1, "period": {"seconds": 600}})
    bearer = ("Authorization", f"Bearer {created.token}")
    spent = ("Authorization", f"Bearer {limited.token}")
    assert (await running.get("/authorize", *original(), spent)).status == 200
    async with kept(running.http) as ask:
        for headers, status in (
            ([*original(), bearer], 200),
            ([*original(method="DELETE"), bearer], 403),
            (original("/health"), 200),
            (original(), 401),
            ([*original(), bearer, bearer], 403),
            ([*original(), bearer, ("X_Keywright_User", "root")], 403),
            ([*original("/elsewhere"), bearer], 403),
            ([*original(), ("Authorization", "Bearer nonsense")], 401),
            ([*original(), spent], 403),  # for nginx: 429
            ([bearer], 403),
        ):
            for _ in range(2):  # known by the second one
                once, again = await ask(asked(*headers)), await running.get("/authorize", *headers)
                assert (once.status, once.body) == (again.status, again.body) == (status, once.body)
                again.headers.remove(("connection", "close"))
                for answer in (once, again):
                    answer.headers.remove(("date", answer["date"]))
                assert once.headers == again.headers


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/projects/other", 403, "RESOURCE_MISMATCH"),
        ("/projects/abc/files", 200, ""),
        ("/test-only", 403, "ENVIRONMENT_MISMATCH"),
        ("/elsewhere", 403, "NO_ROUTE"),
    ],
)
async def test_a_key_bound_to_a_resource_opens_that_and_nothing_else(
    service: Service, running: Sidecar, path: str, status: int, reason: str
) -> None:
    created = await service.admin.create_key(resource="projects/abc")
    answer = await running.authorize(created.token, path)
    assert answer.status == status
    assert reason in ("", None if status == 200 else answer.error["reason"])


async def test_the_clients_address_is_the_one_that_the_proxy_tells(
    service: Service, running: Sidecar
) -> None:
    created = await service.admin.create_key(allowed_networks=["192.0.2.0/24"])
    for forwarded, status in (
        ("192.0.2.7", 200),
        ("198.51.100.1", 403),
        ("192.0.2.7, 198.51.100.1", 403),  # the first was sent by the client
        ("198.51.100.1, 192.0.2.7, 127.0.0.1", 200),
    ):
        answer = await running.authorize(
            created.token, "/projects/abc", ("X-Forwarded-For", forwarded)
        )
        assert answer.status == status, forwarded
    assert (await running.check(check_of(created.token))).status.code == 0


async def test_envoy_is_told_to_overwrite_every_identity_header_and_to_strip_the_key(
    service: Service, running: Sidecar, front: str
) -> None:
    token = await key_of(service, f"{front}-user")
    answer = await running.check(check_of(token, permissions="projects.read, datasets.read"))
    assert answer.status.code == 0
    allowed = answer.ok_response
    assert {each.header.key: each.header.value for each in allowed.headers}[
        "x-keywright-user"
    ] == f"workspaces/default/users/{front}-user"
    assert len(allowed.headers) == 6
    assert {each.append_action for each in allowed.headers} == {
        HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    }
    assert list(allowed.headers_to_remove) == ["authorization", "x-api-key"]


async def test_a_routes_context_extensions_are_the_whole_rule(
    service: Service, running: Sidecar
) -> None:
    created = await service.admin.create_key(resource="projects/abc")
    for path, extensions, status in (
        ("/elsewhere", {"permissions": "", "resource": "projects/abc"}, 0),
        ("/elsewhere", {"permissions": "projects.read", "resource": "projects/xyz"}, 403),
        ("/projects/abc", {"permissions": ""}, 403),  # the file's resource does not count
        ("/elsewhere", {"permissions": "", "environment": "test"}, 403),
        ("/elsewhere", {"permission": "projects.read"}, 503),
        ("/elsewhere", {"resource": "projects/abc"}, 503),
        ("/elsewhere", {"permissions": "projects.*"}, 503),
        ("/elsewhere", {"permissions": "", "resource": "projects/{project}"}, 503),
        ("/elsewhere", {"permissions": "", "resource": "/projects"}, 503),
        ("/elsewhere", {"permissions": "", "environment": "Live"}, 503),
        ("//elsewhere", {"permissions": "", "resource": "projects/abc"}, 400),
        ("/health", {}, 0),
        ("/elsewhere", {}, 403),
    ):
        answer = await running.check(check_of(created.token, path, **extensions))
        assert answer.denied_response.status.code == status, (path, extensions)
        assert (answer.status.code == 0) == (status == 0)
        told = "CONTEXT_EXTENSIONS_INVALID" in answer.denied_response.body
        assert told == (status == HTTPStatus.SERVICE_UNAVAILABLE), extensions


async def test_a_denial_for_envoy_has_a_json_body_and_a_challenge(running: Sidecar) -> None:
    answer = await running.check(check_of(""))
    assert answer.status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    headers = {each.header.key: each.header.value for each in answer.denied_response.headers}
    assert headers["www-authenticate"] == 'Bearer realm="keywright"'
    assert headers["content-type"] == "application/json"
    assert '"CREDENTIAL_MISSING"' in answer.denied_response.body


async def test_a_check_without_http_attributes_is_denied(running: Sidecar) -> None:
    without_http = CheckRequest()
    without_http.attributes.request.SetInParent()
    for request in (CheckRequest(), without_http, b""):
        answer = await running.check(request)
        assert answer.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert answer.denied_response.status.code == 400


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ([("authorization", "{key}")], 0),
        ([("Authorization", "{key}")], 0),
        ([("authorization", "{key}"), ("authorization", "{key}")], 400),
        ([("authorization", "{key}"), ("X_Keywright_User", "root")], 400),
        ([("authorization", "{key}\xff")], 400),
        ([], 401),
    ],
)
async def test_raw_headers_of_envoy_are_read_one_by_one(
    service: Service, running: Sidecar, raw: list[tuple[str, str]], status: int
) -> None:
    request = check_of("")
    http = request.attributes.request.http
    http.headers.clear()
    http.header_map.SetInParent()
    for name, value in raw:
        sent = value.format(key=f"Bearer {service.admin_token}").encode("latin-1")
        http.header_map.headers.add(key=name, raw_value=sent)
    assert (await running.check(request)).denied_response.status.code == status


async def test_a_check_that_is_no_message_or_too_large_fails_and_the_next_is_answered(
    service: Service, running: Sidecar
) -> None:
    large = check_of(service.admin_token)
    large.attributes.request.http.headers["x-large"] = "x" * 200_000
    for request in (b"\xff\xff\xff", large):
        with pytest.raises(grpc.aio.AioRpcError):
            await running.check(request)
    assert (await running.check(check_of(service.admin_token))).status.code == 0


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Original-Method", "GET")],
        [("X-Original-URI", "/health")],
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/health")],
        [("X-Original-Method", "GET"), *[("X-Original-URI", "/health")] * 2],
        [("X-Original-Method", "GET"), ("X-Original-URI", "http://app.example/health")],
        [("X-Original-Method", "GET"), ("X-Original-URI", "/health"), ("X_Original_URI", "/")],
        [("X-Original-Method", "GET"), ("X-Original-URI", "/health"), ("X-Forwarded-For", "me")],
    ],
    ids=str,
)
async def test_an_original_request_that_is_missing_or_doubled_is_refused(
    running: Sidecar, headers: list[tuple[str, str]]
) -> None:
    answer = await running.get("/authorize", *headers)
    assert answer.status == 403
    assert answer["x-keywright-status"] == "400"


async def test_headers_beyond_the_limit_are_refused_and_the_next_request_is_answered(
    running: Sidecar,
) -> None:
    head = b"GET /authorize HTTP/1.1\r\nHost: x\r\n"
    for request in (
        head + b"X-Large: " + b"x" * 20_000 + b"\r\n\r\n",
        head + b"".join(b"X-%d: x\r\n" % number for number in range(3_000)) + b"\r\n",
        head + b"X-Endless: " + b"x" * 2_000_000,
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ):
        assert (await answer_to(running.http, request)).status == 400
    assert (await running.get("/healthz")).status == 200


async def test_a_call_of_check_with_too_large_headers_fails_and_the_next_is_answered(
    service: Service, running: Sidecar, front: str
) -> None:
    large = [("x-large", "x" * 40_000)]
    async with grpc.aio.insecure_channel(running.envoy) as channel:
        call: Any = channel.unary_unary(CHECK, response_deserializer=CheckResponse.FromString)
        data = check_of(service.admin_token).SerializeToString()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(data, metadata=large, timeout=20)
        # Envoy ends the stream before there is a call.
        code = "INTERNAL" if front == "envoy" else "RESOURCE_EXHAUSTED"
        assert failed.value.code().name == code
        assert (await call(data, timeout=20)).status.code == 0


async def test_a_key_that_is_longer_than_any_is_refused(running: Sidecar) -> None:
    endless = "kw_live_" + "x" * 9_000
    answer = await running.authorize(endless)
    assert (answer["x-keywright-status"], answer.error["reason"]) == ("400", "CREDENTIAL_REFUSED")
    checked = await running.check(check_of(endless))
    assert checked.denied_response.status.code == 400
    assert '"CREDENTIAL_REFUSED"' in checked.denied_response.body


async def test_a_body_is_not_read_and_the_connection_goes_on(
    service: Service, running: Sidecar
) -> None:
    host, _, port = running.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = (
        "POST /authorize HTTP/1.1\r\nHost: x\r\n"
        "X-Original-Method: GET\r\nX-Original-URI: /health\r\n"
        f"Content-Length: {1_000_000}\r\n\r\n"
    ).encode() + b"x" * 1_000_000
    for _ in range(2):
        writer.write(request)
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 20)
        await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_only_the_paths_that_are_served_are_there(running: Sidecar) -> None:
    assert (await running.get("/")).status == 404
    assert (await running.get("/authorize/")).status == 404
    assert (await running.get("/healthz")).status == 200
    assert (await running.get("/readyz")).status == 200


async def test_neither_the_log_nor_the_metrics_tell_a_secret_or_a_path(
    service: Service, running: Sidecar, front: str
) -> None:
    created = await service.admin.create_key(key_id=f"{front}-logged")
    await running.authorize(created.token, f"/projects/secret-path?key={created.token}")
    await running.authorize(f"{created.token}x", "/projects/secret-path")
    await running.process.each_logged(
        "decided", "credential", [f"workspaces/default/keys/{front}-logged"]
    )
    metrics = (await running.get("/metrics")).body.decode()
    assert "keywright_sidecar_leased 1.0" in metrics
    assert 'reason="KEY_REVOKED"' in metrics or 'status="200"' in metrics
    told = "\n".join(running.process.raw) + metrics
    assert created.token not in told
    assert created.token.removeprefix("kw_live_") not in told
    assert "secret-path" not in told
    assert service.admin_token not in told


@pytest.fixture(name="own")
async def _own(cluster: Cluster) -> AsyncIterator[Service]:
    """A server of one test's own, whose leases bridge more than a moment."""
    async with service(await cluster.migrated(), lease_length="5s") as started:
        yield started


@pytest.mark.slow
async def test_the_loss_of_the_server_is_bridged_by_the_lease_and_then_503(
    own: Service, config: Path
) -> None:
    token = await key_of(own, "sidecar", "authenticator")
    async with sidecar(config, own.uri, token) as running:
        assert (await running.authorize(own.admin_token)).status == 200
        await own.process.stop(signal.SIGKILL)
        assert (await running.authorize(own.admin_token)).status == 200  # within the lease
        await running.becomes(503)
        answer = await running.authorize(own.admin_token)
        assert (answer.status, answer["x-keywright-status"]) == (403, "503")
        assert answer["retry-after"] == "1"
        checked = await running.check(check_of(own.admin_token))
        assert checked.denied_response.status.code == 503
        assert (await running.authorize("", "/health")).status == 200
        assert (await running.get("/healthz")).status == 200
        async with another(own, listen=own.uri, lease_length="5s"):
            await running.ready()
            assert (await running.authorize(own.admin_token)).status == 200
            assert (await running.check(check_of(own.admin_token))).status.code == 0


@pytest.mark.slow
async def test_it_starts_without_a_server_and_is_ready_once_there_is_one(
    own: Service, config: Path
) -> None:
    token = await key_of(own, "sidecar", "authenticator")
    await own.process.stop()
    async with sidecar(config, own.uri, token, until_ready=False) as running:
        assert (await running.get("/readyz")).status == 503
        assert (await running.get("/healthz")).status == 200
        assert (await running.authorize(own.admin_token))["x-keywright-status"] == "503"
        assert (await running.process.logged("not ready"))["reason"] == "UNAVAILABLE"
        async with another(own, listen=own.uri, lease_length="5s"):
            await running.ready()
            assert (await running.authorize(own.admin_token)).status == 200


async def test_a_sidecar_whose_own_key_fails_answers_503_and_never_401(
    own: Service, config: Path
) -> None:
    user = await own.admin.create_user("sidecar", "authenticator")
    created = await own.admin.create_key(user=user.name)
    async with sidecar(config, own.uri, created.token) as running:
        assert (await running.authorize(own.admin_token)).status == 200
        await own.admin.revoke_key(created.key.name)
        fresh = await own.admin.create_key()
        answer = await running.authorize(fresh.token)
        assert answer["x-keywright-status"] == "503"
        checked = await running.check(check_of("kw_live_unknown"))
        assert checked.denied_response.status.code in (401, 503)
        await running.becomes(503)
        checked = await running.check(check_of(fresh.token))
        assert checked.denied_response.status.code == 503
        assert "CALLER" not in checked.denied_response.body
        told = await running.process.logged("not decided")
        assert told["reason"].startswith("CALLER_")


async def test_a_signal_ends_it_after_what_is_under_way(own: Service, config: Path) -> None:
    token = await key_of(own, "sidecar", "authenticator")
    async with sidecar(config, own.uri, token) as running:
        await running.authorize(own.admin_token)
        assert await running.process.stop() == 0
        await running.process.ended()
        events = [line["event"] for line in running.process.log]
        assert events[-2:] == ["stopping", "stopped"]
        assert "decided" in events


async def test_over_unix_sockets_whoever_can_open_them_is_trusted(
    service: Service, own_token: str, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "sidecar.toml"
    text = text.replace('"127.0.0.1:0"', f'"unix:{tmp_path}/http.sock"', 1)
    text = text.replace('"127.0.0.1:0"', f'"unix:{tmp_path}/envoy.sock"')
    file.write_text(text.replace('proxy = "nginx"', 'proxy = "traefik"\ntrusted_proxies = []'))
    original = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/projects/abc")]
    key = [("X-API-Key", service.admin_token)]
    for _ in range(2):  # the second finds what the first has left behind
        async with sidecar(file, service.uri, own_token) as running:
            assert (await running.get("/authorize", *original, *key)).status == 200
            assert (await running.get("/authorize", *original)).status == 401
            assert (await running.check(check_of(service.admin_token))).status.code == 0
            await running.process.stop(signal.SIGKILL)


async def test_whoever_is_no_trusted_proxy_may_not_ask(
    service: Service, own_token: str, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "sidecar.toml"
    file.write_text(
        text.replace('proxy = "nginx"', 'proxy = "caddy"\ntrusted_proxies = ["192.0.2.0/24"]')
    )
    original = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/health")]
    async with sidecar(file, service.uri, own_token) as running:
        answer = await exchange(running.http, "/authorize", original)
        assert (answer.status, answer.error["reason"]) == (403, "PROXY_NOT_TRUSTED")
