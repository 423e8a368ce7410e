"""JSON at the same port: what `curl -d` sends becomes a call, and the answer JSON."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.api import annotations_pb2, httpbody_pb2

from keywright.wire.contract import services
from keywright.wire.json_body import FIELD, PATH_KEY
from tests.support.database import Cluster
from tests.support.front import ENVOY, http, reason
from tests.support.planted import Bug, assert_noticed
from tests.support.service import METHODS, PARENT, STREAMS, Service, service

UNARY = sorted(path for path, _, _ in METHODS.values() if path not in STREAMS)
# `{name=workspaces/*/keys/*}`, and the name without a pattern.
_VARIABLE = re.compile(r"\{[\w.]+(?:=(?P<pattern>[^}]*))?\}")


def annotated() -> Iterator[tuple[str, str, str]]:
    """Path of gRPC, verb and a path of each method that has one in the contract."""
    for each in services():
        for method in each.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            if verb:
                path = _VARIABLE.sub(_filled, getattr(rule, verb))
                yield f"/{each.full_name}/{method.name}", verb.upper(), path


def _filled(variable: re.Match[str]) -> str:
    return (variable["pattern"] or "*").replace("**", "users/none").replace("*", "none")


@pytest.fixture(scope="module", name="front")
async def _front(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), access_log="all", **ENVOY) as running:
        yield running


async def test_a_token_is_authenticated_by_one_line_of_curl(front: Service) -> None:
    async with http(front) as client:
        for path in ("/v1:authenticate", "/keywright.v1.AuthService/Authenticate"):
            answered = await client.post(path, json={"token": front.admin_token})
            assert answered.status_code == 200
            assert answered.headers["content-type"] == "application/json"
            assert answered.json()["user"]["email"] == "admin@localhost"


@pytest.mark.parametrize("path", UNARY)
async def test_every_method_that_is_no_stream_can_be_called_by_its_path_of_grpc(
    front: Service, path: str
) -> None:
    call_id = uuid4().hex
    async with http(front) as client:
        answered = await client.post(path, content="{}", headers={"x-request-id": call_id})
    assert answered.headers["content-type"] == "application/json"
    assert answered.status_code == 200 or reason(answered)
    await assert_called(front, call_id, path)


@pytest.mark.parametrize(("method", "verb", "path"), sorted(annotated()))
async def test_every_path_in_the_contract_leads_to_its_method(
    front: Service, method: str, verb: str, path: str
) -> None:
    call_id = uuid4().hex
    async with http(front) as client:
        answered = await client.request(
            verb,
            path,
            content=b"{}" if verb in {"POST", "PATCH"} else b"",
            headers={"x-request-id": call_id},
        )
    assert answered.headers["content-type"] == "application/json"
    await assert_called(front, call_id, method)


async def assert_called(front: Service, call_id: str, path: str) -> None:
    await front.process.each_logged("call", "request_id", [call_id])
    (line,) = (each for each in front.process.log if each.get("request_id") == call_id)
    assert line["method"] == path


async def test_a_key_is_made_changed_and_revoked_by_its_paths(front: Service) -> None:
    async with http(front) as client:
        made = await client.post(
            "/v1/workspaces/default/keys?keyId=by-json", json={"displayName": "one"}
        )
        token = made.json()["token"]
        changed = await client.patch(
            "/v1/workspaces/default/keys/by-json?updateMask=displayName",
            json={"displayName": "two"},
        )
        assert changed.json()["key"]["displayName"] == "two"
        assert (await front.admin.authenticate(token)).credential.display_name == "two"
        revoked = await client.post("/v1/workspaces/default/keys/by-json:revoke")
        assert revoked.json()["key"]["state"] == "KEY_STATE_REVOKED"
        refused = await client.post("/v1:authenticate", json={"token": token})
        assert (refused.status_code, reason(refused)) == (401, "KEY_REVOKED")


async def test_the_path_prevails_over_the_body(front: Service) -> None:
    name = (await front.admin.create_key()).key.name
    async with http(front) as client:
        got = await client.post(f"/v1/{name}:disable", json={"name": "workspaces/default/keys/x"})
    assert got.json()["key"]["name"] == name


async def test_what_is_said_in_a_body_is_heard_by_either_path(front: Service) -> None:
    async with http(front) as client:
        made = await client.post(
            "/keywright.v1.KeyService/CreateKey",
            json={"parent": PARENT, "keyId": "by-grpc-path", "key": {"displayName": "one"}},
        )
        assert made.json()["key"]["displayName"] == "one"
        listed = await client.post(
            "/keywright.v1.KeyService/ListKeys", json={"parent": PARENT, "pageSize": 1}
        )
        assert len(listed.json()["keys"]) == 1


async def test_whatever_the_path_a_field_that_is_not_known_is_refused(front: Service) -> None:
    await a_field_that_is_not_known_is_refused(front)


async def a_field_that_is_not_known_is_refused(front: Service) -> None:
    paths = [("POST", path) for path in UNARY] + [(verb, path) for _, verb, path in annotated()]
    async with http(front) as client:
        for verb, path in paths:
            refused = await client.request(verb, path, content=b'{"noSuchField": 1}')
            assert reason(refused) in {"REQUEST_MALFORMED", "METHOD_UNIMPLEMENTED"}, path


async def test_an_error_has_the_status_and_the_details_that_grpc_has(front: Service) -> None:
    async with http(front) as client, http(front, token="") as nobody:
        missing = await client.get("/v1/workspaces/default/keys/none")
        assert (missing.status_code, missing.json()["code"]) == (404, 5)
        assert reason(missing) == "RESOURCE_NOT_FOUND"
        denied = await nobody.get("/v1/workspaces/default/keys")
        assert (denied.status_code, reason(denied)) == (401, "CALLER_CREDENTIAL_MISSING")
        malformed = await client.post("/v1:authenticate", json={"token": "kw_live_x"})
        assert (malformed.status_code, reason(malformed)) == (401, "TOKEN_MALFORMED")


async def test_a_misspelt_field_is_refused_and_not_left_out(front: Service) -> None:
    await a_misspelt_field_is_refused(front)


async def a_misspelt_field_is_refused(front: Service) -> None:
    async with http(front) as client:
        for path, body, field in (
            ("/v1:authenticate", {"token": front.admin_token, "resources": "a"}, "resources"),
            ("/v1/workspaces/default/keys", {"scope": ["a.b"]}, "scope"),
        ):
            refused = await client.post(path, json=body)
            assert (refused.status_code, reason(refused)) == (400, "REQUEST_MALFORMED")
            assert field in refused.json()["message"]


async def test_a_question_in_the_body_is_asked_wherever_the_token_is(front: Service) -> None:
    await a_question_in_the_body_is_asked(front)


async def a_question_in_the_body_is_asked(front: Service) -> None:
    token = (await front.admin.create_key(scopes=["a.b"])).token
    await front.admin.authenticate(token)  # so that it is remembered
    body = {"requiredPermissions": ["not.held"]}
    async with http(front) as client:
        refused = await client.post("/v1:authenticate", params={"token": token}, json=body)
    assert refused.status_code != 200


@pytest.mark.parametrize("body", ['{"token":', "[]", "null", '{"token": 5}', "\xff", "[" * 100_000])
async def test_what_is_no_json_or_another_type_is_refused(front: Service, body: str) -> None:
    async with http(front) as client:
        refused = await client.post("/v1:authenticate", content=body.encode("latin-1"))
    assert (refused.status_code, reason(refused)) == (400, "REQUEST_MALFORMED")


async def test_what_envoy_refuses_is_told_in_json(front: Service) -> None:
    async with http(front) as client:
        for status, answered in (
            (404, await client.get("/nonsense")),
            (404, await client.post("/keywright.v1.AuthService/Watch", json={})),
            (400, await client.get("/v1/workspaces/default/keys?pagesize=1")),
            (413, await client.post("/v1:authenticate", json={"token": "x" * 300_000})),
        ):
            assert answered.status_code == status
            assert answered.headers["content-type"] == "application/json"
            assert answered.json()["message"]


async def test_an_answer_to_head_has_nothing_after_its_headers(front: Service) -> None:
    await an_answer_to_head_has_nothing_after_its_headers(front)


async def an_answer_to_head_has_nothing_after_its_headers(front: Service) -> None:
    """Else whoever hands on the calls of many takes the rest for the answer to the next."""
    reader, writer = await asyncio.open_connection(*front.uri.rsplit(":", 1))
    try:
        for path in UNARY:
            for kind in ("application/grpc", "application/json"):
                fields = f"host: a\r\ncontent-type: {kind}\r\nte: trailers\r\n\r\n"
                writer.write(f"HEAD {path} HTTP/1.1\r\n{fields}".encode())
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                assert answer.startswith(b"HTTP/1.1 ")
    finally:
        writer.close()


def _in_json(request: Any, text: bytes) -> bytes:
    """A call of gRPC that looks as Envoy would have made it of JSON."""
    body = httpbody_pb2.HttpBody(data=text).SerializeToString()
    key = FIELD << 3 | 2
    numbers = (key & 0x7F | 0x80, key >> 7 & 0x7F | 0x80, key >> 14, len(body))
    return bytes(request.SerializeToString()) + bytes(numbers) + body


async def test_who_speaks_grpc_is_not_read_as_json(service: Service, front: Service) -> None:
    for each in (service, front):
        await who_speaks_grpc_is_not_read_as_json(each)


async def who_speaks_grpc_is_not_read_as_json(running: Service) -> None:
    """Envoy bounds JSON, because to read it takes long; a call may have sixteen times as much."""
    bearer = ("authorization", f"Bearer {running.admin_token}")
    for method, token in (("Authenticate", running.admin_token), ("ReportLeakedToken", "none")):
        asked = METHODS[method][1](token=token)
        call: Any = running.channel.unary_unary(METHODS[method][0])
        answered = call(
            _in_json(asked, b"this is no JSON"), metadata=(bearer, (PATH_KEY, "/")), timeout=20
        )
        assert await answered.code() is grpc.StatusCode.OK


BUGS = {
    "a path has no body where the contract has none": Bug(
        "app/front/contract.py",
        guard="for each in (rule, *rule.additional_bindings):",
        instead="for each in (bound, *((rule,) if rule.body else ())):",
        scenario=a_field_that_is_not_known_is_refused,
    ),
    "an answer to HEAD has a body": Bug(
        "front/calls.py",
        guard='_NOTHING if scope["method"] == "HEAD" else _NOT_GRPC_TEXT',
        instead="_NOT_GRPC_TEXT",
        scenario=an_answer_to_head_has_nothing_after_its_headers,
    ),
    "a client says that it speaks JSON, and there is no Envoy": Bug(
        "wire/grpc.py",
        guard='lambda _context: ""',
        instead="lambda context: _told_json_path(context)",
        scenario=who_speaks_grpc_is_not_read_as_json,
        settings={"front": "grpc"},
    ),
    "fields that are not known are left out": Bug(
        "wire/json_body.py",
        guard="json_format.Parse(text, into)",
        instead="json_format.Parse(text, into, ignore_unknown_fields=True)",
        scenario=a_misspelt_field_is_refused,
    ),
    "a question is not read before it is answered from memory": Bug(
        "wire/asgi.py",
        guard="            and _FROM_JSON not in said\n",
        instead="",
        scenario=a_question_in_the_body_is_asked,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_build_with_a_planted_bug_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path, **{**ENVOY, **bug.settings})
