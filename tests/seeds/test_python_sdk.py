"""What the four products' SDKs do, in one call: the table of docs/guides/python.md, as it stands.

Each row is run in a workspace of its own with Ann, who is a member, and a key; once with `Client`
and once with `AsyncClient`.
"""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from keywright.sdk import AsyncClient, Client, KeyState, TimeUnit, Unauthenticated
from tests.support.service import Service, first_admin
from tests.support.unprivileged import CHECKOUT

GUIDE = CHECKOUT / "docs" / "guides" / "python.md"
HERE = Path(__file__)
ANN = "ann@acme.example"
LABELS, DATASETS = ("labels.read", "labels.write"), ("datasets.read", "datasets.write")
_numbers = count(1)


def table() -> Iterator[tuple[str, str, str]]:
    """Product, their call or what it is, and our code, of each row."""
    section = GUIDE.read_text().partition("## What four products' SDKs do")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]:
        product, theirs, ours = row.split(" | ")
        yield product, theirs.strip("`"), ours.strip("`")


@dataclass
class Newcomer:
    """Somebody who has read the guide, with a client of one of the two kinds."""

    kind: Any
    client: Any
    uri: str
    token: str
    key: Any = None

    async def ours(self, theirs: str, **names: Any) -> Any:
        """What the code beside `theirs` gives; a list if it iterates."""
        (code,) = {ours for _, each, ours in table() if each.startswith(theirs)}
        return await self.does(code, **names)

    async def does(self, code: str, **names: Any) -> Any:
        """What a piece of code gives, as a Python programmer would run it."""
        known = {"client": self.client, "key": self.key, "TimeUnit": TimeUnit, "Client": self.kind}

        def run() -> Any:
            value = eval(code, {}, {**known, **names})
            return list(value) if hasattr(value, "__next__") else value

        # `AsyncClient` only makes what is to be awaited, here.
        value = await asyncio.to_thread(run) if self.kind is Client else run()
        if inspect.isawaitable(value):
            return await value
        return [each async for each in value] if hasattr(value, "__anext__") else value

    async def stands(self, token: Any, **asked: Any) -> bool:
        try:
            await self.does("client.authenticate(token, **asked)", token=token, asked=asked)
        except Unauthenticated:
            return False
        return True

    async def person(self, token: Any) -> "Newcomer":
        """The same with another key."""
        return Newcomer(self.kind, self.kind(self.uri, token), self.uri, token, self.key)

    async def leaves(self) -> None:
        closed = self.client.close()
        if inspect.isawaitable(closed):
            await closed


@pytest.fixture(params=[Client, AsyncClient], ids=lambda kind: kind.__name__, name="newcomer")
async def _newcomer(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Newcomer]:
    token = await first_admin(service.dsn, f"newcomer-{next(_numbers)}")
    newcomer = Newcomer(request.param, request.param(service.uri, token), service.uri, token)
    await newcomer.does(f"client.users.create('{ANN}', role='member')")
    newcomer.key = (await newcomer.does(f"client.keys.create(user='{ANN}')")).key
    yield newcomer
    await newcomer.leaves()


async def ann_s(newcomer: Newcomer) -> Newcomer:
    """Ann, who manages no keys but her own."""
    made = await newcomer.does(f"client.keys.create(user='{ANN}')")
    newcomer.key = made.key
    return await newcomer.person(made.token)


async def test_a_key_is_generated_for_oneself_and_for_a_user(newcomer: Newcomer) -> None:
    for theirs, email in (
        ('generate_api_key("nightly")', "admin@localhost"),
        ('generate_api_key("nightly", user', ANN),
    ):
        made = await newcomer.ours(theirs)
        assert (made.key.display_name, made.key.user_email) == ("nightly", email)
        assert await newcomer.stands(made.token)
        assert made.token.reveal() not in f"{made!r} {made.token}"


async def test_keys_are_listed_of_oneself_and_of_a_user(newcomer: Newcomer) -> None:
    await newcomer.does("client.keys.create(name='of the admin')")
    of_ann = await newcomer.ours("list_api_keys(user")
    assert [key.user_email for key in of_ann] == [ANN]
    ann = await ann_s(newcomer)
    assert {key.user_email for key in await ann.ours("list_api_keys()")} == {ANN}
    await ann.leaves()


async def test_a_key_is_deleted_of_oneself_and_of_a_user(newcomer: Newcomer) -> None:
    deleted = await newcomer.ours("delete_api_key(id)")
    assert (deleted.id, deleted.user_email) == (newcomer.key.id, ANN)
    assert newcomer.key.id not in {key.id for key in await newcomer.does("client.keys.list()")}
    ann = await ann_s(newcomer)
    other = await ann.does("client.keys.create()")
    ann.key = other.key
    await ann.ours("delete_api_key(id)")
    assert not await newcomer.stands(other.token)
    await ann.leaves()


async def test_a_client_is_made_with_a_key_or_from_the_environment(
    newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYWRIGHT_URI", newcomer.uri)
    monkeypatch.setenv("KEYWRIGHT_API_KEY", newcomer.token)
    for theirs in ("lb.Client(api_key", "lb.Client()"):
        client = await newcomer.ours(theirs, API_KEY=newcomer.token)
        other = Newcomer(newcomer.kind, client, newcomer.uri, newcomer.token)
        assert (await other.does("client.whoami()")).user.email == "admin@localhost"
        await other.leaves()


async def test_a_key_is_created_with_name_user_role_and_validity(newcomer: Newcomer) -> None:
    made = await newcomer.ours("client.create_api_key(")
    key = made.key
    assert (key.display_name, key.user_email) == ("nightly", ANN)
    assert key.role.endswith("/roles/member")
    lifetime = key.expire_time - key.create_time
    assert lifetime == pytest.approx(timedelta(weeks=2), abs=timedelta(seconds=5))
    assert await newcomer.stands(made.token)


async def test_every_role_that_is_listed_is_known(newcomer: Newcomer) -> None:
    roles = {role.id for role in await newcomer.ours("client.get_roles()")}
    assert {"guest", "labeler", "collaborator", "member", "admin"} <= roles


async def test_active_keys_are_listed_or_all_that_are_not_revoked(newcomer: Newcomer) -> None:
    off = (await newcomer.does("client.keys.create(name='off')")).key
    await newcomer.does("client.keys.disable(off.id)", off=off)
    gone = (await newcomer.does("client.keys.create(name='gone')")).key
    await newcomer.does("client.keys.revoke(gone.id)", gone=gone)
    active = {key.id for key in await newcomer.ours("client.get_api_keys()")}
    left = {key.id for key in await newcomer.ours("client.get_api_keys(include_expired")}
    assert newcomer.key.id in active
    assert left - active == {off.id}


async def test_a_single_key_says_when_it_expires_and_who_made_it_for_whom(
    newcomer: Newcomer,
) -> None:
    newcomer.key = (await newcomer.ours("client.create_api_key(")).key
    newcomer.key = await newcomer.ours("client.get_api_key(api_key_id)")
    assert await newcomer.ours("api_key.expired_at") > newcomer.key.create_time
    assert await newcomer.ours("api_key.created_by.email") == "admin@localhost"
    assert await newcomer.ours("api_key.created_for.email") == ANN


async def test_a_revoked_key_is_dead_when_the_call_returns(newcomer: Newcomer) -> None:
    for theirs in ("api_key.revoke()", "the trash"):
        made = await newcomer.does("client.keys.create()")
        newcomer.key = made.key
        assert await newcomer.stands(made.token)
        assert (await newcomer.ours(theirs)).state is KeyState.REVOKED
        assert not await newcomer.stands(made.token)


async def test_a_key_is_added_without_a_name_and_listed_with_its_date(newcomer: Newcomer) -> None:
    made = await newcomer.ours("add a key")
    assert (made.key.display_name, made.key.expire_time) == ("", None)
    newest, *others = await newcomer.ours("the list with creation dates")
    assert newest.id == made.key.id
    assert all(newest.create_time >= key.create_time for key in others)


async def test_a_lost_key_is_replaced_in_one_call(newcomer: Newcomer) -> None:
    made = await newcomer.does("client.keys.create()")
    newcomer.key = made.key
    rotated = await newcomer.ours("rotate a key")
    assert rotated.key.id == made.key.id
    assert await newcomer.stands(rotated.token)
    assert not await newcomer.stands(made.token)


@pytest.mark.parametrize(
    ("creates", "lists", "resource", "scopes"),
    [
        ("create_project_api_key", "get_project_api_keys", "projects/abc", LABELS),
        ("create_dataset_api_key", "get_dataset_api_keys", "datasets/xyz", DATASETS),
    ],
)
async def test_a_key_is_for_one_project_or_dataset_with_scopes(
    newcomer: Newcomer, creates: str, lists: str, resource: str, scopes: tuple[str, ...]
) -> None:
    made = await newcomer.ours(creates)
    assert (made.key.display_name, made.key.scopes) == ("nightly", scopes)
    assert await newcomer.stands(made.token, resource=resource, required_permissions=scopes)
    assert [key.id for key in await newcomer.ours(lists)] == [made.key.id]


async def test_a_project_s_master_key_is_got_or_created(newcomer: Newcomer) -> None:
    first = await newcomer.ours("get_or_create_project_api_key")
    second = await newcomer.ours("get_or_create_project_api_key")
    assert first.created
    assert await newcomer.stands(first.token, resource="projects/abc")
    assert (second.created, second.token, second.key) == (False, None, first.key)


def test_every_row_of_the_table_is_run() -> None:
    tests = HERE.read_text()
    named = re.findall(r"""["'](\S.*?)["'](?=[,)\]])""", tests)
    rows = list(table())
    assert len(rows) == 25
    for product, theirs, _ in rows:
        assert any(theirs.startswith(name) for name in named if len(name) > 7), (product, theirs)
