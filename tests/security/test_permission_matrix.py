"""Who may call what is what the page says that people read (promise G7)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from keywright.domain import access
from keywright.domain.errors import Reason
from keywright.domain.roles import BUILT_IN
from keywright.service import keys
from keywright.service.call import Call
from tests.security.calls import CALLS, Ask
from tests.security.contract import IMPLEMENTED, METHODS, new_id
from tests.security.matrix import (
    ANSWERS,
    COLUMNS,
    PAGE,
    REASONS,
    UNIMPLEMENTED,
    Actor,
    Row,
    World,
    own_roles,
    populated,
    rows,
)
from tests.security.operated import Operated
from tests.security.patched import in_process
from tests.support.service import PARENT, RefusedError, refusal

ROWS = rows()
TRIED = [row for row in ROWS if not row.is_unimplemented]


@pytest.fixture(scope="module", name="world")
async def _world(service: Operated) -> World:
    return await populated(service)


async def answer(world: World, row: Row, column: str) -> str:
    """What a real call is answered with, in the page's words."""
    who = world.actors[column]
    ask = await CALLS[row.method, row.what](world, who, column)
    try:
        reply = await (ask.caller or who).caller.do(row.method, **ask.fields)
    except RefusedError as refused:
        return _told(refused)
    return "yes" if _is_done(row, ask, reply) else "left out"


def _told(refused: RefusedError) -> str:
    words = [word for word, reason in REASONS.items() if reason == refused.reason]
    if refused.reason == REASONS["-"]:
        assert refused.info.metadata["caller_reason"] == "KEYS_NOT_ALLOWED"
    return words[0] if words else refused.reason


def _is_done(row: Row, ask: Ask, reply: Any) -> bool:
    if row.method == "RevokeKeys":
        assert reply.count in {0, 1}
        return reply.count == 1
    if not ask.sought:
        return True
    assert not reply.next_page_token, "the whole list is on one page"
    (listed,) = [getattr(reply, each.name) for each in reply.DESCRIPTOR.fields if each.is_repeated]
    return ask.sought in {each.key if row.method == "QueryUsage" else each.name for each in listed}


async def assert_as_the_page_says(world: World, row: Row) -> None:
    expected = dict(zip(COLUMNS, row.answers, strict=True))
    assert {column: await answer(world, row, column) for column in COLUMNS} == expected


@pytest.mark.parametrize("row", TRIED, ids=str)
async def test_each_role_is_answered_as_the_page_says(world: World, row: Row) -> None:
    await assert_as_the_page_says(world, row)


def test_every_method_of_the_contract_is_on_the_page() -> None:
    assert {(row.service, row.method) for row in ROWS} == {
        (method.service, method.name) for method in METHODS
    }
    assert {row.method for row in TRIED} == {method.name for method in IMPLEMENTED}
    both = {row.method for row in ROWS if row.is_unimplemented} & {row.method for row in TRIED}
    assert not both


def test_every_row_is_there_once_and_has_its_call() -> None:
    tried = [(row.method, row.what) for row in TRIED]
    assert len(set(tried)) == len(tried)
    assert set(tried) == set(CALLS)


def test_every_built_in_role_is_a_column() -> None:
    assert {role.role_id for role in BUILT_IN} == set(COLUMNS) - {"operator"}


def test_every_answer_is_explained_on_the_page() -> None:
    explained = dict(re.findall(r"^\| ([\w -]+?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert {*ANSWERS, UNIMPLEMENTED} <= set(explained)
    for word, reason in REASONS.items():
        assert f"`{reason}`" in explained[word]
        assert reason in Reason.__members__


@pytest.mark.parametrize(
    "method",
    [each for each in METHODS if each.handler is None and not each.streaming],
    ids=lambda each: each.name,
)
async def test_what_is_not_there_yet_is_there_for_nobody(world: World, method: Any) -> None:
    for who in world.actors.values():
        error = await refusal(who.caller.send(method.path, b""))
        assert error.reason == "METHOD_UNIMPLEMENTED"


@pytest.mark.parametrize("role", [role.role_id for role in BUILT_IN])
async def test_a_users_own_role_decides_whether_keys_stand(service: Operated, role: str) -> None:
    user = await service.admin.create_user(new_id("holder"))
    token = (await service.admin.create_key(user=user.name)).token
    await service.admin.do("UpdateUser", user={"name": user.name, "role": f"{PARENT}/roles/{role}"})
    caller = service.as_caller(token)
    if own_roles()[role] == "yes":
        await caller.get_user(user.name)
        await service.admin.create_key(user=user.name)
        return
    error = await refusal(caller.get_user(user.name))
    assert _told(error) == own_roles()[role]
    error = await refusal(service.admin.create_key(user=user.name))
    assert error.reason == "KEYS_NOT_ALLOWED"


def everyone(*_asked: Any) -> bool:
    return True


# Without the check: where it stands, what it is, and rows that have to notice.
MISSING_CHECKS: dict[str, tuple[Any, str, Callable[..., Any], list[tuple[str, str]]]] = {
    "that every caller has every permission": (
        Call,
        "require",
        lambda _call, _permission: None,
        [("CreateRole", ""), ("ListUsers", "another"), ("CreateWorkspace", "")],
    ),
    "that everybody sees every key": (
        access,
        "covers_key",
        everyone,
        [
            ("GetKey", "another's"),
            ("UpdateKey", "another's, narrower"),
            ("DisableKey", "another's"),
            ("RevokeKey", "another's"),
            ("DeleteKey", "another's, bound to projects/a"),
        ],
    ),
    "that everybody finds every key by its prefix": (
        keys,
        "covers_key",
        everyone,
        [("LookupKey", "another's")],
    ),
    "that who ends a key may have its token": (
        access,
        "may_act_as",
        everyone,
        [("RotateKey", "another's, bound to projects/a")],
    ),
    "that everybody manages users": (
        access,
        "manages_user",
        everyone,
        [("UpdateUser", "what else is one's own"), ("DisableUser", "oneself")],
    ),
    "that everybody sees users": (access, "sees_user", everyone, [("GetUser", "another")]),
    "that everybody gives grants": (
        access,
        "manages_grants",
        everyone,
        [("DeleteGrant", "one's own")],
    ),
    "that everybody may have every user explained": (
        access,
        "may_explain_user",
        everyone,
        [
            ("ExplainAccess", "another"),
            ("ExplainAccess", "another's, bound to projects/a"),
        ],
    ),
    "that everybody may have every key explained": (
        access,
        "may_explain_key",
        everyone,
        [("ExplainAccess", "another's")],
    ),
    "that everybody sees grants": (
        access,
        "sees_grant",
        everyone,
        [("GetGrant", "another's, on projects/a")],
    ),
}


@pytest.mark.parametrize("bug", MISSING_CHECKS.values(), ids=MISSING_CHECKS)
async def test_a_server_without_a_check_is_found_out(
    service: Operated, world: World, bug: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: what a server takes for granted."""
    module, name, instead, noticing = bug
    monkeypatch.setattr(module, name, instead)
    by_name = {(row.method, row.what): row for row in TRIED}
    async with in_process(service) as patched:
        there = World(
            patched,
            world.another,
            world.service_user,
            {column: _through(who, patched) for column, who in world.actors.items()},
        )
        for each in noticing:
            with pytest.raises(AssertionError):
                await assert_as_the_page_says(there, by_name[each])


def _through(who: Actor, service: Operated) -> Actor:
    """The same caller at another server."""
    return Actor(service.as_caller(who.caller.token), who.user, who.home, who.admin, who.owner)
