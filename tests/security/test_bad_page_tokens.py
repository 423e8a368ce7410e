"""A page token is good for the caller, the method and the query it was given out for."""

import base64
import random
from typing import Any

import grpc
import pytest

from keywright.wire import sealing
from tests.security.contract import IMPLEMENTED, entitled, new_session
from tests.security.leaks import essence
from tests.security.operated import OPERATORS, Operated
from tests.security.patched import in_process
from tests.support.service import ADMIN, PARENT, Caller, RefusedError
from tests.support.waiting import all_sealed

LISTS = {method.name: method for method in IMPLEMENTED if method.name.startswith("List")}
every_list = pytest.mark.parametrize("method", LISTS)


def lister(service: Operated, method: str) -> Caller:
    """Who sees more than a page of what is listed."""
    return entitled(service, LISTS[method])


async def listed(caller: Caller, method: str, **asked: Any) -> Any:
    parent = {} if method == "ListWorkspaces" else {"parent": PARENT}
    return await caller.do(method, **parent, **asked)


async def refused_page(caller: Caller, method: str, **asked: Any) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        await listed(caller, method, **asked)
    error = refused.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "PAGE_TOKEN_INVALID"
    assert error.fields == ["page_token"]
    return error


@pytest.fixture(scope="module", name="members", autouse=True)
async def _members(service: Operated) -> list[Caller]:
    """Two who may list, so that there is more than a page of everything, also for them."""
    callers = [await service.person(f"member-{number}") for number in range(2)]
    for number, caller in enumerate(callers):
        await caller.create_key()
        for user in (f"member-{number}", "admin"):
            await new_session(service, service.admin, f"{PARENT}/users/{user}")
            await new_session(service, service.admin, f"{PARENT}/users/{user}")
        for resource in ("projects/a", "projects/b"):
            grant = {"user": f"{PARENT}/users/member-{number}", "resource": resource}
            grant["role"] = f"{PARENT}/roles/viewer"
            await service.admin.do("CreateGrant", parent=PARENT, grant=grant)
    # Two seals at least: what is made after the first one is in another.
    for number in range(2):
        await service.admin.create_user(f"sealed-{number}")
        await all_sealed(service)
    return callers


@pytest.fixture(scope="module", name="auditors")
async def _auditors(service: Operated) -> list[Caller]:
    """Two who may list seals."""
    role = {"permissions": ["audit.read"], "may_hold_keys": True}
    await service.admin.do("CreateRole", parent=PARENT, role_id="auditor", role=role)
    return [await service.person(f"auditor-{number}", "auditor") for number in range(2)]


@pytest.fixture(scope="module", name="operators")
async def _operators(service: Operated) -> list[Caller]:
    """Two who may list workspaces."""
    role = {"role": f"{OPERATORS}/roles/admin", "kind": "USER_KIND_SERVICE"}
    made = await service.operator.do("CreateUser", parent=OPERATORS, user=role)
    key = {"user": made.user.name}
    created = await service.operator.do("CreateKey", parent=OPERATORS, key=key)
    return [service.operator, service.as_caller(created.token)]


async def first_page(caller: Caller, method: str, **asked: Any) -> str:
    token = (await listed(caller, method, page_size=1, **asked)).next_page_token
    assert token
    return str(token)


@every_list
async def test_a_page_token_leads_to_the_next_page_of_any_size(
    service: Operated, method: str
) -> None:
    token = await first_page(lister(service, method), method)
    one = await listed(lister(service, method), method, page_size=1, page_token=token)
    all_others = await listed(lister(service, method), method, page_size=1000, page_token=token)
    assert one.next_page_token != token
    assert not all_others.next_page_token


@every_list
async def test_a_page_token_with_any_character_changed_is_invalid(
    service: Operated, method: str
) -> None:
    token = await first_page(lister(service, method), method)
    errors = set()
    for index, character in enumerate(token):
        for other in ("A" if character != "A" else "B", chr(ord(character) ^ 1), "\0", "é", "="):
            tampered = token[:index] + other + token[index + 1 :]
            errors.add(
                essence(await refused_page(lister(service, method), method, page_token=tampered))
            )
    assert len(errors) == 1


@every_list
async def test_a_page_token_cut_short_or_continued_is_invalid(
    service: Operated, method: str
) -> None:
    token = await first_page(lister(service, method), method)
    for length in range(1, len(token)):
        await refused_page(lister(service, method), method, page_token=token[:length])
    for longer in (f"{token}A", f"{token}AAAA", f"{token}=", f"{token}\n", f" {token}", token * 2):
        await refused_page(lister(service, method), method, page_token=longer)


@every_list
async def test_what_was_never_given_out_is_no_page_token(service: Operated, method: str) -> None:
    dice = random.Random(0)
    revision = (await service.admin.authenticate(service.admin_token)).revision
    made_up = [
        *(base64.urlsafe_b64encode(dice.randbytes(length)).decode() for length in range(1, 48)),
        *("1", "0", "-1", "null", "{}", "x" * 2048, "😀" * 100, "%00", "'; --", revision),
    ]
    for token in made_up:
        await refused_page(lister(service, method), method, page_token=token)


QUERIES: dict[str, list[dict[str, Any]]] = {
    "ListKeys": [
        {"filter": {"states": ["KEY_STATE_ACTIVE", "KEY_STATE_REVOKED"]}},
        {"filter": {"user": f"{PARENT}/users/member-0"}},
        {"filter": {"search": "x"}},
        {"filter": {"labels": {"a": "b"}}},
        {"filter": {"expires_before": {"seconds": 2**32}}},
        {"filter": {"unused_since": {"seconds": 2**32}}},
        {"include_total_size": True},
        *({"order_by": each} for each in ("display_name", "display_name desc", "create_time")),
        *({"order_by": each} for each in ("create_time desc", "expire_time", "rotate_time")),
    ],
    "ListUsers": [
        {"filter": {"states": ["USER_STATE_ACTIVE"]}},
        {"filter": {"search": "x"}},
        {"filter": {"labels": {"a": "b"}}},
        {"filter": {"resource": "projects/a"}},
    ],
    "ListGrants": [
        {"filter": {"user": f"{PARENT}/users/member-0"}},
        {"filter": {"resource": "projects/a"}},
        {"filter": {"role": f"{PARENT}/roles/viewer"}},
    ],
    "ListAuditEvents": [
        {"filter": {"actor": f"{PARENT}/users/member-0"}},
        {"filter": {"actions": ["CreateKey"]}},
        {"filter": {"resource": f"{PARENT}/keys"}},
        {"filter": {"start_time": {"seconds": 1}}},
        {"include_records": True},
    ],
    "ListAuditSeals": [
        {"start_time": {"seconds": 1}},
        {"after_seal": f"{PARENT}/auditSeals/1"},
    ],
    "ListSessions": [
        {"filter": {"user": ADMIN}},
        {"filter": {"states": [1]}},
    ],
    "ListRoles": [],  # nothing can be asked of these two
    "ListWorkspaces": [],
}


@every_list
async def test_a_page_token_of_another_query_is_invalid(service: Operated, method: str) -> None:
    caller = lister(service, method)
    token = await first_page(caller, method)
    for other in QUERIES[method]:
        await refused_page(caller, method, page_token=token, **other)


@pytest.mark.parametrize(
    ("method", "narrow"),
    [
        ("ListKeys", {"filter": {"search": "member"}}),
        ("ListUsers", {"filter": {"search": "member"}}),
        ("ListGrants", {"filter": {"resource": "projects/a"}}),
    ],
)
async def test_a_page_token_of_a_narrow_query_does_not_lead_into_a_wider_one(
    service: Operated, method: str, narrow: dict[str, Any]
) -> None:
    token = await first_page(service.admin, method, **narrow)
    await refused_page(service.admin, method, page_token=token)


ORDERS = ["create_time", "display_name", "expire_time", "last_used_time", "rotate_time"]


async def test_a_page_token_of_another_order_is_invalid(service: Operated) -> None:
    """Where a page begins is a place in one order; in another it would skip or repeat keys."""
    orders = ["", *ORDERS, *(f"{each} desc" for each in ORDERS)]
    tokens = {each: await first_page(service.admin, "ListKeys", order_by=each) for each in orders}
    for order, token in tokens.items():
        for other in orders:
            asked = {"page_token": token, "order_by": other}
            if other == order:
                await listed(service.admin, "ListKeys", **asked)
            else:
                await refused_page(service.admin, "ListKeys", **asked)


@pytest.mark.parametrize("order", [
    *("name", "id", "key_id", "state", "user", "prefix", "hash", "verifier_tag", "nonsense", "1"),
    *("create_time asc", "create_time  desc", "create_time desc ", " create_time", "desc"),
    *("create_time DESC", "CREATE_TIME", "createTime", "create_time,display_name", "k.id"),
    *("create_time desc, display_name", "create_time\n", "create_time\tdesc", "-create_time"),
    *("create_time; DROP TABLE keywright.key", "create_time--", "(SELECT 1)", "random()"),
    *("create_time desc nulls first", "\u0441reate_time", "create_time\u00a0desc", "x" * 10_000),
], ids=lambda text: ascii(text[:30]))  # fmt: skip
async def test_an_order_that_is_none_is_refused(service: Operated, order: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await listed(service.admin, "ListKeys", order_by=order)
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.fields == ["order_by"]


@every_list
async def test_a_page_token_of_another_caller_is_invalid(
    service: Operated,
    members: list[Caller],
    operators: list[Caller],
    auditors: list[Caller],
    method: str,
) -> None:
    listers = {"ListWorkspaces": operators, "ListAuditSeals": auditors}
    one, other = listers.get(method, members)
    await service.admin.create_key(user=f"{PARENT}/users/member-0")
    first = lister(service, method) if method != "ListWorkspaces" else one
    tokens = {caller.token: await first_page(caller, method) for caller in (first, one)}
    await refused_page(other, method, page_token=tokens[one.token])
    if method != "ListWorkspaces":
        await refused_page(one, method, page_token=tokens[first.token])
        await refused_page(first, method, page_token=tokens[one.token])


async def assert_bound_to_its_method(service: Operated) -> None:
    """The lists' requests are the same bytes where they give no filter."""
    alike = [method for method in LISTS if method != "ListWorkspaces"]
    tokens = {method: await first_page(service.admin, method) for method in alike}
    for method in alike:
        for other in alike:
            if other != method:
                await refused_page(service.admin, other, page_token=tokens[method])


async def test_a_page_token_of_another_method_is_invalid(service: Operated) -> None:
    await assert_bound_to_its_method(service)


async def test_a_server_that_binds_its_page_tokens_to_nothing_is_found_out(
    service: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: a page token is good for every caller and query."""
    monkeypatch.setattr(sealing, "_binding", lambda _caller, _query: b"")
    async with in_process(service) as patched:
        # A cursor of one list may be nonsense in another.
        with pytest.raises((pytest.fail.Exception, AssertionError)):
            await assert_bound_to_its_method(patched)


@every_list
async def test_a_page_cannot_be_of_negative_size(service: Operated, method: str) -> None:
    for size in (-1, -(2**31)):
        with pytest.raises(RefusedError) as refused:
            await listed(lister(service, method), method, page_size=size)
        assert refused.value.reason == "FIELD_INVALID"
        assert refused.value.fields == ["page_size"]


async def test_a_page_has_a_thousand_entries_at_most_whatever_is_asked_for(
    service: Operated,
) -> None:
    await service.sql(
        "INSERT INTO keywright.user (workspace, user_id, kind, role, role_scope)"
        " SELECT w.id, 'many-' || n, 'SERVICE', r.id, r.scope"
        " FROM keywright.workspace w, keywright.role r, generate_series(1, 1001) n"
        " WHERE w.workspace_id = 'default' AND r.role_id = 'guest'"
    )
    try:
        for size in (1001, 2**31 - 1):
            page = await listed(service.admin, "ListUsers", page_size=size)
            assert len(page.users) == 1000
            assert page.next_page_token
        assert len((await listed(service.admin, "ListUsers")).users) == 50
    finally:
        await service.sql("DELETE FROM keywright.user WHERE user_id LIKE 'many-%'")
