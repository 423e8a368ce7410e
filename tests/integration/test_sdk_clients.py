"""`Client` and `AsyncClient` against real servers: the same answers, and no calls lost."""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from typing import Any

import psutil
import pytest

from keywright.sdk import (
    AsyncClient,
    Cancelled,
    Client,
    CredentialKind,
    InvalidArgument,
    KeywrightError,
    NotFound,
    SessionState,
    SignInMethod,
    TimeUnit,
    TokenLost,
    Unauthenticated,
)
from tests.support.database import Cluster
from tests.support.relay import Relay, relay
from tests.support.service import Service, another, running
from tests.support.service import service as served
from tests.support.waiting import all_sealed

SURFACES = ("keys", "users", "roles", "grants", "workspaces", "sessions", "usage", "audit")


@pytest.fixture(name="passing")
async def _passing(service: Service) -> AsyncIterator[Relay]:
    async with relay(service.uri) as passing:
        yield passing


@pytest.fixture(scope="module", name="furnished")
async def _furnished(service: Service) -> Service:
    """The server with some keys, so that lists have several pages; nothing changes by itself."""
    for _ in range(3):
        await service.admin.create_key()
    async with AsyncClient(service.uri, service.admin_token) as client:
        await client.keys.ensure("ensured", name="CI")
    await all_sealed(service)
    return service


def asked_blocking(service: Service, ask: Callable[[Any], Any]) -> Any:
    with Client(service.uri, service.admin_token) as client:
        try:
            answer = ask(client)
            return list(answer) if hasattr(answer, "__next__") else answer
        except KeywrightError as error:
            return type(error), error.reason, error.message, error.metadata


async def asked_awaiting(service: Service, ask: Callable[[Any], Any]) -> Any:
    async with AsyncClient(service.uri, service.admin_token) as client:
        try:
            answer = ask(client)
            return await answer if inspect.isawaitable(answer) else [each async for each in answer]
        except KeywrightError as error:
            return type(error), error.reason, error.message, error.metadata


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.whoami(),
        lambda client: client.authenticate("no token"),
        lambda client: client.keys.list(page_size=2),
        lambda client: client.keys.get("absent"),
        lambda client: client.keys.list(order_by="nonsense"),
        lambda client: client.users.get("admin@localhost"),
        lambda client: client.roles.list(page_size=3),
        lambda client: client.grants.list(),
        lambda client: client.workspaces.get(),
        lambda client: client.sessions.list(user="admin"),
        lambda client: client.audit.list(actions=["CreateKey"], page_size=2),
        lambda client: client.explain_access(user="admin", permission="datasets.read"),
        lambda client: client.keys.ensure("ensured", name="CI"),
    ],
)
async def test_both_clients_give_the_same_answers(
    furnished: Service, ask: Callable[[Any], Any]
) -> None:
    blocking = await asyncio.to_thread(asked_blocking, furnished, ask)
    assert await asked_awaiting(furnished, ask) == blocking


def operations(surface: object) -> Iterable[tuple[str, inspect.Signature]]:
    for name, each in inspect.getmembers(surface, callable):
        if not name.startswith("_") and name != "close":
            yield name, inspect.signature(each)


def test_both_clients_have_the_same_operations_with_the_same_help() -> None:
    blocking, awaiting = Client("127.0.0.1:1", "own"), AsyncClient("127.0.0.1:1", "own")
    for name in SURFACES:
        surface = getattr(blocking, name)
        assert list(operations(surface)) == list(operations(getattr(awaiting, name)))
        for operation, _ in operations(surface):
            assert inspect.getdoc(getattr(surface, operation)), operation
    assert list(operations(blocking)) == list(operations(awaiting))
    assert str(inspect.signature(blocking.keys.get)).endswith("-> keywright.sdk.values.results.Key")
    blocking.close()


async def test_a_person_signs_in_without_a_key_and_signs_out_everywhere(service: Service) -> None:
    async with (
        AsyncClient(service.uri, service.admin_token) as admin,
        AsyncClient(service.uri, anonymous=True) as nobody,
    ):
        await admin.users.create("sid@b.example", user_id="sid")
        link = await admin.sessions.create_link("sid@b.example")
        entered = await nobody.sessions.sign_in_by_link(
            link.token, client_address="192.0.2.7", user_agent="Firefox/150"
        )
        session = entered.session
        assert (session.user_email, session.client_address) == ("sid@b.example", "192.0.2.7")
        assert (session.method, session.state) == (SignInMethod.LINK, SessionState.ACTIVE)
        assert entered.token.reveal() not in f"{entered!r} {link!r}"
        async with AsyncClient(service.uri, entered.token) as me:
            assert (await me.whoami()).credential.kind is CredentialKind.SESSION
            assert [each async for each in me.sessions.list()] == [
                await me.sessions.get(session.id)
            ]
            assert await admin.sessions.revoke_all("sid") == 1
            with pytest.raises(Unauthenticated) as ended:
                await me.sessions.get(session.id)
            assert ended.value.metadata["caller_reason"] == "SESSION_REVOKED"
        with pytest.raises(Unauthenticated) as used:
            await nobody.sessions.sign_in_by_link(link.token)
        assert used.value.reason == "SESSION_LINK_INVALID"
        key = (await admin.keys.create()).token
        by_key = await nobody.sessions.sign_in_by_key(key, request_id="once")
        revoked = await admin.sessions.revoke(by_key.session.name)
        assert revoked.state is SessionState.REVOKED
        with pytest.raises(TokenLost):
            await nobody.sessions.sign_in_by_key(key, request_id="once")


async def test_one_connection_is_lent_to_many_people_and_each_acts_as_themselves(
    service: Service,
) -> None:
    people = [str((await service.person(each)).token) for each in ("lender", "borrower")]
    with Client(service.uri, anonymous=True) as nobody:
        told = [nobody.acting_with(each).whoami().user.id for each in people]
        assert told == ["lender", "borrower"]
        with pytest.raises(KeywrightError, match="CALLER_CREDENTIAL_MISSING"):
            nobody.keys.get("k")
    async with AsyncClient(service.uri, anonymous=True) as awaiting:
        views = [awaiting.acting_with(each) for each in people * 20]
        own = await asyncio.gather(*(each.whoami() for each in views))
        assert [each.user.id for each in own] == ["lender", "borrower"] * 20
        elsewhere = views[0].acting_with(people[1], workspace="another")
        with pytest.raises(NotFound):
            await elsewhere.keys.get("k")
    with pytest.raises(RuntimeError, match="closed"):
        await views[0].whoami()


async def test_a_list_gives_single_pages_and_each_leads_to_the_next(furnished: Service) -> None:
    async with AsyncClient(furnished.uri, furnished.admin_token) as client:
        everything = [each.name async for each in client.keys.list()]
        token = ""
        paged: list[str] = []
        while token or not paged:
            page = await client.keys.list(page_size=2).page(token)
            assert 0 < len(page.items) <= 2
            paged += [each.name for each in page.items]
            token = page.next_page_token
            assert paged == everything[: len(paged)]
        assert paged == everything
        first = await client.keys.list(page_size=2).page()
        with pytest.raises(InvalidArgument):
            await client.keys.list(page_size=2, search="other").page(first.next_page_token)
    with Client(furnished.uri, furnished.admin_token) as blocking:
        assert [each.name for each in blocking.keys.list(page_size=2).page().items] == paged[:2]


async def test_a_key_is_made_for_somebody_with_a_role_and_a_lifetime(service: Service) -> None:
    async with AsyncClient(service.uri, service.admin_token) as client:
        await client.users.create("made@b.example", role="member")
        of_ttl = await client.keys.create(
            name="CI", user="made@b.example", role="member", ttl=timedelta(weeks=2)
        )
        of_unit = await client.keys.create(
            name="CI", user="made@b.example", role="member", validity=2, unit=TimeUnit.WEEK
        )
        for made in (of_ttl, of_unit):
            assert (made.key.display_name, made.key.user_email) == ("CI", "made@b.example")
            assert made.key.create_time is not None
            assert made.key.expire_time is not None
            lifetime = made.key.expire_time - made.key.create_time
            assert abs(lifetime - timedelta(weeks=2)) < timedelta(seconds=5)
            assert made.token.reveal() not in f"{made!r} {made} {made.token!r}"
            principal = await client.authenticate(made.token)
            assert principal.user.email == "made@b.example"


# --- replies that are lost ----------------------------------------------------------------------


async def test_a_read_whose_reply_is_lost_is_asked_again(service: Service, passing: Relay) -> None:
    passing.lose_replies("ListUsers", 2)
    async with AsyncClient(passing.uri, service.admin_token, workspace="default") as client:
        assert [user.email async for user in client.users.list()]
    assert passing.methods == ["ListUsers"] * 3


async def test_a_change_whose_reply_is_lost_is_made_once_and_told(
    service: Service, passing: Relay
) -> None:
    def change() -> None:
        with Client(passing.uri, service.admin_token) as client:
            for method in ("CreateUser", "DisableUser", "DeleteUser"):
                passing.lose_replies(method, 2)
            made = client.users.create("once@b.example", user_id="once")
            assert made.email == "once@b.example"
            assert client.users.disable("once").name == made.name
            assert client.users.delete("once").name == made.name
            actions = [event.action for event in client.audit.list(resource="users/once")]
            assert actions == ["DeleteUser", "DisableUser", "CreateUser"]

    await asyncio.to_thread(change)


async def test_a_key_whose_token_went_with_the_reply_is_named_and_can_be_rotated(
    service: Service, passing: Relay
) -> None:
    passing.lose_replies("CreateKey")
    passing.lose_replies("RotateKey")
    async with AsyncClient(passing.uri, service.admin_token) as client:
        with pytest.raises(TokenLost, match="rotate the key") as lost:
            await client.keys.create(key_id="lost")
        name = lost.value.metadata["resource"]
        assert name == "workspaces/default/keys/lost"
        with pytest.raises(TokenLost):
            await client.keys.rotate(name)
        rotated = await client.keys.rotate(name)
        assert (await client.authenticate(rotated.token)).credential.name == name


async def test_a_call_of_a_caller_s_own_request_id_is_made_once(service: Service) -> None:
    async with AsyncClient(service.uri, service.admin_token) as client:
        first, second = [
            await client.users.create("mine@b.example", request_id="of-the-caller")
            for _ in range(2)
        ]
        assert first == second
        events = client.audit.list(request_id="of-the-caller")
        assert [event.action async for event in events] == ["CreateUser"]


async def test_what_goes_on_failing_is_told_after_five_tries(
    service: Service, passing: Relay
) -> None:
    passing.lose_replies("ListUsers", 9)
    async with AsyncClient(passing.uri, service.admin_token, workspace="default") as client:
        with pytest.raises(KeywrightError) as failed:
            [user async for user in client.users.list()]
    assert failed.value.reason == "UNAVAILABLE"
    assert passing.methods == ["ListUsers"] * 5


# --- several servers ----------------------------------------------------------------------------


@pytest.mark.slow
async def test_when_one_of_two_servers_is_killed_calls_go_on_to_the_other(
    cluster: Cluster,
) -> None:
    async with (
        served(await cluster.migrated(), access_log="all") as first,
        another(first, access_log="all") as second,
    ):
        both = AsyncClient(f"{first.uri},{second.uri}", first.admin_token, workspace="default")
        async with both as client:
            for turn in range(40):
                if turn == 20:
                    for each in (first, second):
                        await each.process.logged("call")
                    first.process.process.send_signal(signal.SIGKILL)
                user = await client.users.create(f"{turn}@b.example", user_id=f"u-{turn}")
                assert await client.users.get(user.id) == user
            assert len([each async for each in client.users.list(page_size=7)]) == 41
        await first.process.ended()


async def test_two_servers_of_which_one_was_never_there_are_one_that_answers(
    service: Service,
) -> None:
    def ask() -> None:
        uri = f"127.0.0.1:1,{service.uri}"
        with Client(uri, service.admin_token) as client:
            assert client.whoami().user.email == "admin@localhost"

    await asyncio.to_thread(ask)


# --- event loops, and what is left --------------------------------------------------------------


def connections(service: Service) -> int:
    """How many this process has to a server."""
    port = int(service.uri.rpartition(":")[2])
    mine = psutil.Process().net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port for each in mine)


async def test_a_client_leaves_no_task_and_no_connection(service: Service) -> None:
    before, tasks = connections(service), asyncio.all_tasks()
    async with AsyncClient(service.uri, service.admin_token, workspace="default") as client:
        await asyncio.gather(*(client.whoami() for _ in range(20)))
        async for _ in client.roles.list(page_size=1):
            break
        assert connections(service) >= before
    assert asyncio.all_tasks() <= tasks
    async with asyncio.timeout(10):
        while connections(service) > before:  # noqa: ASYNC110  gRPC closes it in a thread
            await asyncio.sleep(0.01)


async def test_a_client_that_is_made_before_the_loop_works_in_it_and_in_no_other(
    service: Service,
) -> None:
    client = await asyncio.to_thread(AsyncClient, service.uri, service.admin_token)
    principal = await client.whoami()
    assert principal.user.email == "admin@localhost"

    def elsewhere() -> None:
        asyncio.run(client.whoami())

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    await client.close()


async def test_a_closed_client_says_so_and_what_was_under_way_is_cancelled(
    service: Service,
) -> None:
    blocking = Client(service.uri, service.admin_token)
    blocking.close()
    with pytest.raises(RuntimeError, match="closed"):
        blocking.whoami()

    awaiting = AsyncClient(service.uri, service.admin_token)
    await awaiting.whoami()
    async with service.connection() as connection, connection.transaction():
        # A change that waits for a lock, until the client is closed.
        await connection.execute("LOCK TABLE keywright.user IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(awaiting.users.create("late@b.example"))
        async with asyncio.timeout(10):
            while not await connection.fetchval(  # noqa: ASYNC110  nobody tells
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            ):
                await asyncio.sleep(0.01)
        await awaiting.close()
        with pytest.raises(Cancelled, match="closed"):
            await waiting
    with pytest.raises(RuntimeError, match="closed"):
        await awaiting.whoami()


PROGRAM = """
import asyncio, sys
from keywright import AsyncClient, Client

kept = Client(), AsyncClient()
print(kept[0].whoami().user.email)

async def main():
    # A machine that has other things to do makes steps slow, which asyncio tells of in this mode.
    asyncio.get_running_loop().slow_callback_duration = 3600
    print((await kept[1].whoami()).user.email)
    async for key in kept[1].keys.list():
        print("a key")
        break

asyncio.run(main())
"""


async def test_a_program_that_closes_nothing_ends_without_a_word(service: Service) -> None:
    environ = {**os.environ, "KEYWRIGHT_URI": service.uri, "KEYWRIGHT_API_KEY": service.admin_token}
    argv = [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM]
    async with running(argv, environ) as program:
        async with asyncio.timeout(60):
            await program.ended()
        assert program.process.returncode == 0
        assert program.printed == ["admin@localhost", "admin@localhost", "a key"]
        assert program.raw == []
