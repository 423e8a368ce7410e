"""What the sidecar's core decides: who gets through, as whom, and what everybody else is told."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest

from keywright.sdk.errors import (
    FailedPrecondition,
    InvalidArgument,
    KeywrightError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from keywright.sdk.values.results import Principal
from keywright.sidecar.decisions import Decision
from keywright.sidecar.envoy import Check
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from keywright.sidecar.http import Application
from keywright.sidecar.planning import Plan, Request
from tests.support.gates import GOOD, NARROW, Checked, principal, received
from tests.support.spoofs import FORGED, IDENTITY, SPOOFS

ROUTES = """
credentials = ["bearer", "x-api-key", "basic"]

[[routes]]
path = "/projects/{project}/**"
methods = ["GET"]
permissions = ["projects.read"]
resource = "projects/{project}"

[[routes]]
path = "/projects/{project}/**"
methods = ["DELETE"]
permissions = ["projects.delete"]
resource = "projects/{project}"
required_environment = "live"

[[routes]]
path = "/health"
public = true
"""


@pytest.mark.parametrize("sent", SPOOFS, ids=str)
async def test_no_request_reaches_an_application_with_a_forged_identity(
    sent: tuple[tuple[str, str], ...],
) -> None:
    for target, token in (("/projects/abc", NARROW), ("/health", "")):
        checked = Checked(ROUTES)
        decision = await checked.ask(target, *sent, token=token)
        if not decision.allowed:
            assert decision.status == 400
            continue
        presented = [("Authorization", f"Bearer {token}")] if token else []
        seen = [
            (name.lower().replace("_", "-"), value)
            for name, value in received(decision, [*sent, *presented])
        ]
        identity = [(name, value) for name, value in seen if name in IDENTITY]
        user = "workspaces/acme/users/bob" if token else ""
        assert [name for name, _ in identity] == list(IDENTITY), "each is there once"
        assert dict(identity)["x-keywright-user"] == user
        assert FORGED not in dict(identity).values()
        assert "authorization" not in dict(seen)
        assert "x-api-key" not in dict(seen)
        assert not any("override" in name or "rewrite" in name for name, _ in seen)
        assert "script-name" not in dict(seen)


@pytest.mark.parametrize(
    ("upgrades", "status"),
    [
        (["websocket"], 200),
        (["WebSocket"], 200),
        (["h2c"], 400),
        (["websocket", "h2c"], 400),
        (["websocket, h2c"], 400),
        (["websocket", "websocket"], 400),
        ([""], 400),
    ],
)
async def test_no_connection_becomes_a_tunnel_but_for_a_websocket(
    upgrades: list[str], status: int
) -> None:
    sent = [("Connection", "Upgrade"), *(("Upgrade", each) for each in upgrades)]
    assert (await Checked(ROUTES).ask("/health", *sent)).status == status


def test_there_are_at_least_fifty_attempts() -> None:
    assert len(set(SPOOFS)) >= 50


async def test_all_identity_headers_are_set_also_where_there_is_nothing_to_tell() -> None:
    decision = await Checked(ROUTES).ask()
    assert dict(decision.headers) == {
        "x-keywright-user": "workspaces/acme/users/ann",
        "x-keywright-email": "ann@acme.example",
        "x-keywright-workspace": "workspaces/acme",
        "x-keywright-role": "workspaces/acme/roles/admin",
        "x-keywright-permissions": "*",
        "x-keywright-credential": "workspaces/acme/keys/ann",
    }
    assert dict((await Checked(ROUTES).ask("/health", token="")).headers) == dict.fromkeys(
        IDENTITY, ""
    )


async def test_the_role_of_a_narrowed_keys_user_is_not_told() -> None:
    headers = dict((await Checked(ROUTES).ask(token=NARROW)).headers)
    assert headers["x-keywright-user"] == "workspaces/acme/users/bob"
    assert headers["x-keywright-role"] == ""


async def test_what_no_header_can_carry_is_encoded() -> None:
    odd = principal("ann\r\nX-Keywright-User: root", "a,b", "c d", "100%", "ä")
    decision = await Checked(ROUTES, {GOOD: principal_with(odd)}).ask("/projects/abc")
    headers = dict(decision.headers)
    assert headers["x-keywright-user"] == "workspaces/acme/users/ann%0D%0AX-Keywright-User:%20root"
    assert headers["x-keywright-permissions"] == "*,a%2Cb,c%20d,100%25,%C3%A4"
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def principal_with(found: Principal) -> Principal:
    """The same, allowed everything besides."""
    return principal(
        found.user.name.removeprefix("workspaces/acme/users/"), "*", *found.permissions
    )


async def test_an_identity_that_no_header_can_carry_lets_nobody_through() -> None:
    many = principal("ann", "*", *(f"permission.number-{number}" for number in range(1_000)))
    decision = await Checked(ROUTES, {GOOD: many}).ask()
    assert (decision.status, decision.reason) == (500, "IDENTITY_TOO_LARGE")


async def test_the_rule_of_the_path_is_what_the_server_is_asked_for() -> None:
    checked = Checked(ROUTES)
    await checked.ask("/projects/abc/files?x=1", client_address="192.0.2.7")
    await checked.ask("/projects/xyz", method="DELETE")
    assert checked.authenticator.asked == [
        (GOOD, "projects/abc", ("projects.read",), "", "192.0.2.7"),
        (GOOD, "projects/xyz", ("projects.delete",), "live", ""),
    ]


@pytest.mark.parametrize(("count", "plans"), [(10, 1), (500, 2)])
async def test_no_plan_is_remembered_of_many_headers_however_small(
    monkeypatch: pytest.MonkeyPatch, count: int, plans: int
) -> None:
    checked = Checked(f'{ROUTES}\n[forward_auth]\nproxy = "caddy"')
    planned: list[Request] = []
    plan = checked.gate.plan

    def planning(request: Request) -> Plan:
        planned.append(request)
        return plan(request)

    monkeypatch.setattr(checked.gate, "plan", planning)
    application = Application(
        checked.gate,
        checked.config.forward_auth,
        over_unix=True,
        is_ready=lambda: True,
        metrics=lambda: ("", b""),
    )
    told = [(b"x-forwarded-method", b"GET"), (b"x-forwarded-uri", b"/health")]
    for _ in range(2):
        assert application.at_once(b"/authorize", None, [*told, *[(b"_", b"")] * count])
    assert len(planned) == plans
    check, message = Check(checked.gate), CheckRequest()
    http = message.attributes.request.http
    http.method, http.path = "GET", "/health"
    for _ in range(count):
        http.header_map.headers.add(key="_")
    for _ in range(2):
        assert await check.answer(message, None)
    assert len(planned) == 2 * plans


async def test_an_address_that_means_something_on_one_machine_only_is_not_told() -> None:
    checked = Checked(ROUTES)
    await checked.ask(client_address="fe80::1%eth0")
    assert [address for *_, address in checked.authenticator.asked] == [""]


@pytest.mark.parametrize(
    ("target", "method", "status", "reason"),
    [
        ("/elsewhere", "GET", 403, "NO_ROUTE"),
        ("/projects/abc", "PUT", 403, "NO_ROUTE"),
        ("/projects/abc", "HEAD", 403, "NO_ROUTE"),
        ("/projects/a%20b", "GET", 400, "RESOURCE_REFUSED"),
        ("//projects/abc", "GET", 400, "TARGET_AMBIGUOUS"),
        ("/projects/abc", "get", 400, "METHOD_REFUSED"),
        ("/projects/abc", "GET ", 400, "METHOD_REFUSED"),
        ("/projects/abc", "", 400, "METHOD_REFUSED"),
    ],
)
async def test_what_no_rule_is_for_is_denied_and_nobody_is_asked(
    target: str, method: str, status: int, reason: str
) -> None:
    checked = Checked(ROUTES)
    decision = await checked.ask(target, method=method)
    assert (decision.status, decision.reason) == (status, reason)
    assert checked.authenticator.asked == []


def challenge(decision: Decision) -> list[str]:
    return [value for name, value in decision.headers if name == "www-authenticate"]


async def test_without_a_key_the_answer_says_how_to_present_one() -> None:
    decision = await Checked(ROUTES).ask(token="")
    assert (decision.status, decision.reason) == (401, "CREDENTIAL_MISSING")
    assert challenge(decision) == [
        'Bearer realm="keywright"',
        'Basic realm="keywright", charset="UTF-8"',
    ]
    assert json.loads(decision.body)["error"]["code"] == 401


async def test_only_bearer_is_asked_for_where_basic_is_not_taken() -> None:
    checked = Checked('[[routes]]\npath = "/**"\npermissions = []\n')
    assert challenge(await checked.ask(token="")) == ['Bearer realm="keywright"']


async def test_a_missing_permission_is_named() -> None:
    decision = await Checked(ROUTES).ask(method="DELETE", token=NARROW)
    assert (decision.status, decision.reason) == (403, "PERMISSION_MISSING")
    (told,) = challenge(decision)
    assert 'error="insufficient_scope"' in told
    assert 'scope="projects.delete"' in told


async def test_a_message_cannot_break_out_of_its_header() -> None:
    hostile = Unauthenticated('a "quoted"\r\nX-Injected: ä\\', reason="TOKEN_UNKNOWN")
    decision = await Checked(ROUTES, {GOOD: hostile}).ask()
    for _, value in decision.headers:
        assert value.isascii()
        assert value.isprintable()
    assert "error_description=\"a 'quoted'" in challenge(decision)[0]


def limited(delay: timedelta | None) -> ResourceExhausted:
    return ResourceExhausted("too often", reason="RATE_LIMITED", retry_delay=delay)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unauthenticated("gone", reason="KEY_REVOKED"), 401, None),
        (PermissionDenied("no", reason="RESOURCE_MISMATCH"), 403, None),
        (limited(timedelta(seconds=2.1)), 429, "3"),
        (limited(None), 429, "1"),
        (ResourceExhausted("full"), 503, "1"),
        (Unavailable("out of reach"), 503, "1"),
        (InvalidArgument("nonsense"), 503, "1"),
        (FailedPrecondition("own key", reason="CALLER_KEY_EXPIRED"), 503, "1"),
        (Unauthenticated("own key", reason="CALLER_TOKEN_UNKNOWN"), 503, "1"),
        (PermissionDenied("own key", reason="CALLER_PERMISSION_MISSING"), 503, "1"),
    ],
)
async def test_only_what_is_about_the_token_is_held_against_it(
    error: KeywrightError, status: int, retry_after: str | None
) -> None:
    checked = Checked(ROUTES, {GOOD: error})
    decision = await checked.ask()
    assert decision.status == status
    assert dict(decision.headers).get("retry-after") == retry_after
    assert checked.faults == ([error] if status == 503 else [])
    if status == 503:
        assert b"own key" not in decision.body
        assert decision.reason == "UNAVAILABLE"


async def test_a_fault_of_the_sidecar_lets_nobody_through_and_tells_nothing() -> None:
    checked = Checked(ROUTES)

    async def broken(*_: object, **__: object) -> Principal:
        raise RuntimeError(GOOD)

    checked.authenticator.authenticate = broken  # type: ignore[method-assign]
    decision = await checked.ask()
    assert decision.status == 503
    assert GOOD.encode() not in decision.body
    assert len(checked.faults) == 1


def remembering(checked: Checked, found: Principal | KeywrightError) -> list[tuple[object, ...]]:
    """Let it remember this of every token; returns what it is asked for."""
    recalled: list[tuple[object, ...]] = []

    def recall(*asked: object) -> Principal:
        recalled.append(asked)
        if isinstance(found, KeywrightError):
            raise found
        return found

    checked.authenticator.recall = recall  # type: ignore[method-assign,assignment]
    return recalled


async def test_what_is_remembered_is_decided_at_once_and_the_server_is_not_asked() -> None:
    checked = Checked(ROUTES, max_concurrent=0)
    recalled = remembering(checked, principal("eve", "projects.read"))
    decision = await checked.ask("/projects/abc", client_address="192.0.2.7")
    assert dict(decision.headers)["x-keywright-user"] == "workspaces/acme/users/eve"
    assert recalled == [(GOOD, "projects/abc", ("projects.read",), "", "192.0.2.7")]
    assert checked.authenticator.asked == []
    assert len(checked.observed) == 1


async def test_what_is_used_too_often_is_known_at_once() -> None:
    checked = Checked(ROUTES)
    remembering(checked, limited(timedelta(seconds=2)))
    assert (await checked.ask()).status == 429
    assert checked.authenticator.asked == []


async def test_nothing_is_decided_at_once_of_whom_nobody_remembers() -> None:
    checked = Checked(ROUTES)
    plan = checked.gate.plan(Request("GET", "/projects/abc", ()))
    assert checked.gate.at_once("test", plan, [("authorization", f"Bearer {GOOD}")]) is None
    assert checked.observed == []
    assert checked.gate.at_once("test", plan, []) is not None  # no key at all: 401


async def test_more_requests_than_may_wait_are_turned_away_at_once() -> None:
    checked = Checked(ROUTES, max_concurrent=2)
    arrived, going_on = asyncio.Event(), asyncio.Event()
    known = checked.authenticator.authenticate

    async def slow(token: str, **asked: object) -> Principal:
        if checked.gate.in_flight == 2:
            arrived.set()
        await going_on.wait()
        return await known(token, **asked)  # type: ignore[arg-type]

    checked.authenticator.authenticate = slow  # type: ignore[method-assign]
    waiting = [asyncio.create_task(checked.ask()) for _ in range(2)]
    await arrived.wait()
    decision = await asyncio.wait_for(checked.ask(), 10)
    assert (decision.status, decision.reason) == (503, "OVERLOADED")
    going_on.set()
    assert [each.allowed for each in await asyncio.gather(*waiting)] == [True, True]
    assert (await checked.ask()).allowed


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", f"Bearer {GOOD}"),
        ("authorization", f"bEaReR  {GOOD}"),
        ("X-API-Key", GOOD),
        ("Authorization", basic(f"git:{GOOD}")),
        ("Authorization", basic(f":{GOOD}")),
    ],
)
async def test_a_key_is_taken_from_each_place_that_is_allowed(header: tuple[str, str]) -> None:
    decision = await Checked(ROUTES).ask("/projects/abc", header, token="")
    assert decision.allowed
    assert set(decision.removed) == {"authorization", "x-api-key"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {GOOD},Bearer {GOOD}")],
        [("Authorization", f"Bearer {GOOD}, Bearer {NARROW}")],
        [("Authorization", f"Bearer {GOOD} {NARROW}")],
        [("Authorization", f"Bearer {GOOD}"), ("authorization", f"Bearer {GOOD}")],
        [("Authorization", f"Bearer {GOOD}"), ("X-Api-Key", GOOD)],
        [("Authorization", "Digest x"), ("X-Api-Key", GOOD)],
        [("X-Api-Key", GOOD), ("X-Api-Key", GOOD)],
        [("X-Api-Key", f"{GOOD},{GOOD}")],
        [("X-Api-Key", f"{GOOD}\x00")],
        [("X-Api-Key", "")],
        [("X-Api-Key", "kw_" + "a" * 1_024)],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer \xe4")],
        [("Authorization", f" {GOOD}")],
        [("Authorization", "")],
        [("Authorization", "Basic !!!")],
        [("Authorization", basic(GOOD))],
        [("Authorization", basic(f"git:{GOOD},{GOOD}"))],
        [("Authorization", basic("git:ä"))],
        [("Authorization", f"{basic(f'a:{GOOD}')},{basic(f'a:{GOOD}')}")],
    ],
    ids=str,
)
async def test_a_doubled_joined_or_malformed_credential_is_refused(
    headers: list[tuple[str, str]],
) -> None:
    checked = Checked(ROUTES)
    decision = await checked.ask("/projects/abc", *headers, token="")
    assert (decision.status, decision.reason) == (400, "CREDENTIAL_REFUSED")
    assert checked.authenticator.asked == []
    assert GOOD.encode() not in decision.body


@pytest.mark.parametrize(
    "headers", [[], [("Authorization", "Negotiate abc")], [("Cookie", f"key={GOOD}")]]
)
async def test_a_key_is_not_looked_for_anywhere_else(headers: list[tuple[str, str]]) -> None:
    decision = await Checked(ROUTES).ask(
        f"/projects/abc?api_key={GOOD}&access_token={GOOD}", *headers, token=""
    )
    assert (decision.status, decision.reason) == (401, "CREDENTIAL_MISSING")


async def test_a_place_that_is_not_allowed_is_the_applications_own() -> None:
    checked = Checked('credentials = ["x-api-key"]\n[[routes]]\npath = "/**"\npermissions = []\n')
    headers = [("Authorization", "Basic eDp5"), ("X-Api-Key", GOOD)]
    decision = await checked.ask("/", *headers, token="")
    assert decision.removed == ("x-api-key",)


async def test_each_decision_is_observed_once_with_the_rule_and_without_the_path() -> None:
    checked = Checked(ROUTES)
    for target in ("/projects/abc?token=secret", "/health", "/elsewhere", "//"):
        await checked.ask(target)
    assert [(label, int(decision.status)) for label, decision in checked.observed] == [
        ("/projects/{project}/**", 200),
        ("/health", 200),
        ("-", 403),
        ("-", 400),
    ]
