"""A page token is good for the caller, the method and the query it was given out for."""

import base64
import random
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from keywright.v1 import key_service_pb2, user_service_pb2
from keywright.wire import sealing
from tests.security.leaks import essence
from tests.security.patched import in_process
from tests.support.service import PARENT, Caller, RefusedError, Service

Request = Callable[..., Message]
LISTS: dict[str, Request] = {
    "ListKeys": key_service_pb2.ListKeysRequest,
    "ListUsers": user_service_pb2.ListUsersRequest,
}
every_list = pytest.mark.parametrize("method", LISTS)


async def listed(caller: Caller, method: str, **asked: Any) -> Any:
    request = LISTS[method](parent=PARENT, **asked)
    send = caller.keys if method == "ListKeys" else caller.users
    return await send(method, request)


async def refused_page(caller: Caller, method: str, **asked: Any) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        await listed(caller, method, **asked)
    error = refused.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "PAGE_TOKEN_INVALID"
    assert error.fields == ["page_token"]
    return error


@pytest.fixture(scope="module", name="members", autouse=True)
async def _members(service: Service) -> list[Caller]:
    """Two who may list, so that there is more than a page of users and of keys."""
    callers = [await service.person(f"member-{number}") for number in range(2)]
    for caller in callers:
        await caller.create_key()
    return callers


async def first_page(caller: Caller, method: str, **asked: Any) -> str:
    token = (await listed(caller, method, page_size=1, **asked)).next_page_token
    assert token
    return str(token)


@every_list
async def test_a_page_token_leads_to_the_next_page_of_any_size(
    service: Service, method: str
) -> None:
    token = await first_page(service.admin, method)
    one = await listed(service.admin, method, page_size=1, page_token=token)
    all_others = await listed(service.admin, method, page_size=1000, page_token=token)
    assert one.next_page_token != token
    assert not all_others.next_page_token


@every_list
async def test_a_page_token_with_any_character_changed_is_invalid(
    service: Service, method: str
) -> None:
    token = await first_page(service.admin, method)
    errors = set()
    for index, character in enumerate(token):
        for other in ("A" if character != "A" else "B", chr(ord(character) ^ 1), "\0", "é", "="):
            tampered = token[:index] + other + token[index + 1 :]
            errors.add(essence(await refused_page(service.admin, method, page_token=tampered)))
    assert len(errors) == 1


@every_list
async def test_a_page_token_cut_short_or_continued_is_invalid(
    service: Service, method: str
) -> None:
    token = await first_page(service.admin, method)
    for length in range(1, len(token)):
        await refused_page(service.admin, method, page_token=token[:length])
    for longer in (f"{token}A", f"{token}AAAA", f"{token}=", f"{token}\n", f" {token}", token * 2):
        await refused_page(service.admin, method, page_token=longer)


@every_list
async def test_what_was_never_given_out_is_no_page_token(service: Service, method: str) -> None:
    dice = random.Random(0)
    revision = (await service.admin.authenticate(service.admin_token)).revision
    made_up = [
        *(base64.urlsafe_b64encode(dice.randbytes(length)).decode() for length in range(1, 48)),
        *("1", "0", "-1", "null", "{}", "x" * 2048, "😀" * 100, "%00", "'; --", revision),
    ]
    for token in made_up:
        await refused_page(service.admin, method, page_token=token)


async def test_a_page_token_of_another_query_is_invalid(service: Service) -> None:
    filters: dict[str, list[dict[str, Any]]] = {
        "ListKeys": [
            {"states": ["KEY_STATE_ACTIVE", "KEY_STATE_REVOKED"]},
            {"user": f"{PARENT}/users/member-0"},
            {"search": "x"},
            {"labels": {"a": "b"}},
            {"expires_before": {"seconds": 2**32}},
        ],
        "ListUsers": [{"states": ["USER_STATE_ACTIVE"]}, {"search": "x"}, {"labels": {"a": "b"}}],
    }
    for method, others in filters.items():
        token = await first_page(service.admin, method)
        for other in others:
            await refused_page(service.admin, method, page_token=token, filter=other)
        narrow = await first_page(service.admin, method, filter={"search": "member"})
        await refused_page(service.admin, method, page_token=narrow)


@every_list
async def test_a_page_token_of_another_caller_is_invalid(
    service: Service, members: list[Caller], method: str
) -> None:
    one, other = members
    await service.admin.create_key(user=f"{PARENT}/users/member-0")
    tokens = {caller.token: await first_page(caller, method) for caller in (service.admin, one)}
    await refused_page(other, method, page_token=tokens[one.token])
    await refused_page(one, method, page_token=tokens[service.admin.token])
    await refused_page(service.admin, method, page_token=tokens[one.token])


async def assert_bound_to_its_method(service: Service) -> None:
    """The two lists' requests are the same bytes where they give no filter."""
    tokens = {method: await first_page(service.admin, method) for method in LISTS}
    await refused_page(service.admin, "ListUsers", page_token=tokens["ListKeys"])
    await refused_page(service.admin, "ListKeys", page_token=tokens["ListUsers"])


async def test_a_page_token_of_another_method_is_invalid(service: Service) -> None:
    await assert_bound_to_its_method(service)


async def test_a_server_that_binds_its_page_tokens_to_nothing_is_found_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: a page token is good for every caller and query."""
    monkeypatch.setattr(sealing, "_binding", lambda _caller, _query: b"")
    async with in_process(service) as patched:
        with pytest.raises(pytest.fail.Exception):
            await assert_bound_to_its_method(patched)


@every_list
async def test_a_page_cannot_be_of_negative_size(service: Service, method: str) -> None:
    for size in (-1, -(2**31)):
        with pytest.raises(RefusedError) as refused:
            await listed(service.admin, method, page_size=size)
        assert refused.value.reason == "FIELD_INVALID"
        assert refused.value.fields == ["page_size"]


async def test_a_page_has_a_thousand_entries_at_most_whatever_is_asked_for(
    service: Service,
) -> None:
    await service.sql(
        "INSERT INTO keywright.user (workspace, user_id, kind, role, role_scope)"
        " SELECT w.id, 'many-' || n, 'SERVICE', r.id, r.scope"
        " FROM keywright.workspace w, keywright.role r, generate_series(1, 1001) n"
        " WHERE w.workspace_id = 'default' AND r.role_id = 'guest'"
    )
    for size in (1001, 2**31 - 1):
        page = await listed(service.admin, "ListUsers", page_size=size)
        assert len(page.users) == 1000
        assert page.next_page_token
    assert len((await listed(service.admin, "ListUsers")).users) == 50
