"""What has been taken from somebody is gone everywhere when the call that took it returns.

Processes are rows here that the test writes: one that never moves is a process that died, one that
the test moves is a process that applies what it is told of.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from keywright.domain.position import Position
from keywright.v1 import key_pb2, wait_mode_pb2
from tests.support.database import Cluster
from tests.support.planted import Bug, build
from tests.support.proxy import proxy
from tests.support.service import PARENT, RefusedError, Service, another, refusal, service
from tests.support.waiting import all_sealed, held_row

BRIEF = timedelta(milliseconds=300)
# A call that takes less than this was not ended by the lease, however slow the machine is.
LONG = timedelta(seconds=10)


async def leased(cluster: Cluster, length: timedelta) -> str:
    """A migrated database of an installation with this lease; returns its DSN."""
    dsn = await cluster.migrated()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE keywright.installation SET lease_length = $1", length)
    finally:
        await connection.close()
    return dsn


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    """A server whose lease is soon over."""
    async with service(await leased(cluster, BRIEF)) as running:
        yield running


@pytest.fixture(scope="module", name="patient")
async def _patient(cluster: Cluster) -> AsyncIterator[Service]:
    """A server whose lease outlasts everything that a test does."""
    async with service(await leased(cluster, LONG)) as running:
        yield running


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def lease_length(running: Service) -> timedelta:
    ((length,),) = await running.quietly("SELECT lease_length FROM keywright.installation")
    assert isinstance(length, timedelta)
    return length


async def position(running: Service) -> Position:
    ((revision, tag),) = await running.quietly(
        "SELECT revision, tag FROM keywright.authority_revision"
    )
    return Position(revision, tag)


class Replica:
    """A process, as others know it."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._id = uuid.uuid4()

    async def register(self, at: Position) -> None:
        await self._running.quietly(
            "INSERT INTO keywright.replica (id, applied, applied_tag) VALUES ($1, $2, $3)",
            self._id,
            at.revision,
            at.tag,
        )

    async def apply(self, to: Position) -> None:
        await self._running.quietly(
            "UPDATE keywright.replica SET applied = $2, applied_tag = $3 WHERE id = $1",
            self._id,
            to.revision,
            to.tag,
        )

    async def remove(self) -> None:
        await self._running.quietly("DELETE FROM keywright.replica WHERE id = $1", self._id)


@asynccontextmanager
async def replica(running: Service, at: Position) -> AsyncIterator[Replica]:
    """A process that has applied the history up to `at`, and nothing after."""
    process = Replica(running)
    await process.register(at)
    try:
        yield process
    finally:
        await process.remove()


@asynccontextmanager
async def behind(running: Service) -> AsyncIterator[Replica]:
    """A process that lacks the last revision, and all that come; what it has is in the history."""
    await (await a_key(running)).revoked()
    here = await position(running)
    await (await a_key(running)).revoked()
    async with replica(running, here) as process:
        yield process


class Revocable:
    """A key for the test to revoke."""

    def __init__(self, running: Service, name: str) -> None:
        self._running = running
        self.name = name

    async def revoked(self) -> Any:
        return await self._running.admin.do(
            "RevokeKey", name=self.name, wait=wait_mode_pb2.WAIT_MODE_NONE
        )

    async def state(self) -> int:
        return (await self._running.admin.get_key(self.name)).state


async def a_key(running: Service) -> Revocable:
    return Revocable(running, (await running.admin.create_key()).key.name)


@asynccontextmanager
async def notifications(running: Service) -> AsyncIterator["asyncio.Queue[str]"]:
    """What processes are notified of while the block runs."""
    told: asyncio.Queue[str] = asyncio.Queue()
    async with running.connection() as connection:
        await connection.add_listener(
            "keywright_authority", lambda _c, _pid, _channel, payload: told.put_nowait(str(payload))
        )
        yield told


async def still_waits(running: Service, call: "asyncio.Task[Any]") -> None:
    """Other calls of the same channel come and go, and this one does not return."""
    for _ in range(5):
        await running.admin.authenticate(running.admin_token)
    assert not call.done()


async def show_life(running: Service) -> None:
    """Nobody takes a process for dead whose counter moves."""
    await running.quietly("UPDATE keywright.replica SET counter = counter + 1")


async def waits_for(running: Service, narrow: Callable[[], Awaitable[Any]]) -> Any:
    """Make a call that waits out the lease, as a process is behind; returns its reply."""
    await show_life(running)
    began, length = boottime(), await lease_length(running)
    reply = await narrow()
    assert boottime() - began >= length.total_seconds()
    assert reply.waited.ToTimedelta() >= length
    return reply


async def test_where_nobody_is_behind_nobody_is_waited_for(patient: Service) -> None:
    revoked = await patient.admin.revoke_key((await a_key(patient)).name)
    assert revoked.waited.ToTimedelta() < LONG


async def test_a_revocation_returns_when_the_last_process_has_applied_it(patient: Service) -> None:
    key = await a_key(patient)
    here = await position(patient)
    async with (
        replica(patient, here) as first,
        replica(patient, here) as second,
        notifications(patient) as told,
    ):
        call = asyncio.create_task(patient.admin.revoke_key(key.name))
        revision = int(await asyncio.wait_for(told.get(), 20))
        there = await position(patient)
        assert revision == there.revision == here.revision + 1
        await still_waits(patient, call)
        await first.apply(there)
        await still_waits(patient, call)
        await second.apply(there)
        assert (await call).waited.ToTimedelta() < LONG


async def test_a_process_that_is_further_is_not_waited_for(patient: Service) -> None:
    key, later = await a_key(patient), await a_key(patient)
    here = await position(patient)
    async with replica(patient, here) as process, notifications(patient) as told:
        call = asyncio.create_task(patient.admin.revoke_key(key.name))
        revision = int(await asyncio.wait_for(told.get(), 20))
        await later.revoked()
        there = await position(patient)
        assert there.revision > revision
        await still_waits(patient, call)
        await process.apply(there)
        assert (await call).waited.ToTimedelta() < LONG


async def further_in_a_history_that_was_lost(running: Service) -> None:
    """The process applied more than there is by now: what has those numbers next, it has not."""
    key = await a_key(running)
    here = await position(running)
    async with replica(running, Position(here.revision + 1000, uuid.uuid4())):
        await waits_for(running, lambda: running.admin.revoke_key(key.name))


async def test_a_process_that_is_further_in_a_history_that_was_lost_is_behind(
    service: Service,
) -> None:
    await further_in_a_history_that_was_lost(service)


async def told_by_nobody(running: Service) -> None:
    """A process finds by itself what there is to apply."""
    key = await a_key(running)
    here = there = await position(running)
    async with replica(running, here) as process:
        call = asyncio.create_task(running.admin.revoke_key(key.name))
        async with asyncio.timeout(20):
            while there == here:
                there = await position(running)
        await process.apply(there)
        assert (await call).waited.ToTimedelta() < LONG


@pytest.mark.slow
async def test_a_database_without_notifications_does(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As YugabyteDB and CockroachDB, which do not know the function."""
    asks_for_more = Bug(
        "storage/acknowledgements.py",
        guard="pg_notify('",
        instead="pg_notify_that_is_missing('",
        scenario=told_by_nobody,
    )
    build(asks_for_more, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with service(await leased(cluster, LONG)) as running:
        await asks_for_more.scenario(running)


async def watching(running: Service) -> list[int]:
    """Wait until connections look at the processes; returns who these are, by PID."""
    looking = """
        SELECT pid FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'keywright' AND query LIKE '%FROM keywright.replica%'
    """
    async with asyncio.timeout(20):
        while not (found := await running.quietly(looking)):  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.01)
    return [row["pid"] for row in found]


async def test_a_process_that_died_is_waited_for_until_its_lease_is_over(service: Service) -> None:
    async with behind(service):
        key = await a_key(service)
        await waits_for(service, lambda: service.admin.revoke_key(key.name))


async def counts_from_the_receipt(running: Service) -> None:
    """A process may have renewed its lease until the database answered the COMMIT."""
    length = (await lease_length(running)).total_seconds()
    async with proxy(running.dsn) as door:
        await door.accept()
        async with another(replace(running, dsn=door.dsn)) as beyond:
            key = await a_key(beyond)
            await all_sealed(beyond)  # else the next COMMIT may be the sealer's
            # Not before: until a server is up, the process would be taken for dead.
            async with replica(running, Position(0, uuid.uuid4())):
                # Its own COMMIT: others may come while a build waits too soon.
                door.when_answered("COMMIT", door.freeze, after="authority_change")
                call = asyncio.create_task(beyond.admin.revoke_key(key.name))
                await door.answered.wait()
                await asyncio.sleep(length)
                released = boottime()
                await door.accept()
                await call
                assert boottime() - released >= length


async def test_the_wait_is_counted_from_the_receipt_of_the_commit(service: Service) -> None:
    await counts_from_the_receipt(service)


async def finds_nothing_to_narrow(running: Service) -> None:
    """Who revokes a second time is told so only when the first one could be."""
    key = await a_key(running)
    await key.revoked()
    async with behind(running):
        await waits_for(running, lambda: running.admin.revoke_key(key.name))


async def test_what_finds_nothing_to_narrow_waits_as_the_one_before(service: Service) -> None:
    await finds_nothing_to_narrow(service)


async def another_tag(running: Service) -> None:
    """The process follows a database whose last revision was lost: its number says nothing."""
    key = await a_key(running)
    await key.revoked()
    here = await position(running)
    async with replica(running, Position(here.revision, uuid.uuid4())):
        await waits_for(running, lambda: running.admin.revoke_key(key.name))


async def test_a_process_with_our_number_and_another_tag_is_behind(service: Service) -> None:
    await another_tag(service)


async def test_a_process_with_our_number_and_tag_is_not_waited_for(patient: Service) -> None:
    key = await a_key(patient)
    await key.revoked()
    async with replica(patient, await position(patient)):
        assert (await patient.admin.revoke_key(key.name)).waited.ToTimedelta() < LONG


async def repeats_a_revocation(running: Service) -> None:
    """Who has no reply does not know whether the first call was through with its wait."""
    key = await a_key(running)
    request = {"name": key.name, "request_id": "revoked-once"}
    await running.admin.do("RevokeKey", **request)
    async with behind(running):
        reply = await waits_for(running, lambda: running.admin.do("RevokeKey", **request))
    assert reply.replayed


async def test_a_repetition_waits_as_the_first_call_did(service: Service) -> None:
    await repeats_a_revocation(service)


async def test_a_repetition_that_would_fail_by_now_waits_too(service: Service) -> None:
    key = await a_key(service)
    request = {"name": key.name, "request_id": "rotated-and-gone"}
    await service.admin.do("RotateKey", **request)
    await service.admin.delete_key(key.name)
    async with behind(service):
        reply = await waits_for(service, lambda: service.admin.do("RotateKey", **request))
    assert reply.replayed


async def test_who_does_not_want_to_wait_does_not(patient: Service) -> None:
    key = await a_key(patient)
    async with behind(patient):
        assert not (await key.revoked()).waited.ToTimedelta()
        assert not (await key.revoked()).waited.ToTimedelta()
        request = {"request_id": "hasty", "wait": wait_mode_pb2.WAIT_MODE_NONE}
        await patient.admin.do("RotateKey", name=(await a_key(patient)).name, **request)
    assert await key.state() == key_pb2.KEY_STATE_REVOKED


async def test_all_that_can_narrow_waits(service: Service) -> None:
    admin = service.admin
    updated, disabled, deleted, rotated = [(await a_key(service)).name for _ in range(4)]
    changed, idle, gone, holder = [
        (await admin.create_user(each)).name for each in ("changed", "idle", "gone", "holder")
    ]
    matching = (await admin.create_key(environment="test")).key.environment
    role = {"permissions": ["datasets.read"], "may_hold_keys": True}
    roles = [
        (await admin.do("CreateRole", parent=PARENT, role_id=each, role=role)).role.name
        for each in ("edited", "dropped")
    ]
    granted = {"user": holder, "resource": "projects/abc", "role": f"{PARENT}/roles/viewer"}
    grant = (await admin.do("CreateGrant", parent=PARENT, grant=granted)).grant.name
    calls: dict[str, dict[str, Any]] = {
        "UpdateKey": {"key": {"name": updated, "scopes": ["datasets.read"]}},
        "RotateKey": {"name": rotated},
        "DisableKey": {"name": disabled},
        "DeleteKey": {"name": deleted},
        "RevokeKeys": {"parent": PARENT, "filter": {"environment": matching}},
        "UpdateUser": {"user": {"name": changed, "role": f"{PARENT}/roles/labeler"}},
        "DisableUser": {"name": idle},
        "DeleteUser": {"name": gone},
        "UpdateRole": {"role": {"name": roles[0], "permissions": ["labels.read"]}},
        "DeleteRole": {"name": roles[1]},
        "DeleteGrant": {"name": grant},
        "UpdateWorkspace": {"workspace": {"name": PARENT, "policy": {"max_keys_per_user": 50}}},
    }
    async with behind(service):
        for method, request in calls.items():
            await waits_for(service, lambda m=method, r=request: admin.do(m, **r))  # type: ignore[misc]


async def test_a_connection_that_is_lost_meanwhile_changes_nothing(service: Service) -> None:
    async with behind(service), notifications(service) as told:
        key = await a_key(service)
        call = asyncio.create_task(
            waits_for(service, lambda: service.admin.revoke_key(key.name)),
        )
        await told.get()
        for pid in await watching(service):
            await service.quietly("SELECT pg_terminate_backend($1)", pid)
        await call
        assert await key.state() == key_pb2.KEY_STATE_REVOKED


async def test_a_database_that_falls_silent_meanwhile_delays_nothing(cluster: Cluster) -> None:
    async with proxy(await leased(cluster, BRIEF)) as door:
        await door.accept()
        async with service(door.dsn) as running, behind(replace(running, dsn=door.direct)):
            key = await a_key(running)
            direct = replace(running, dsn=door.direct)
            async with notifications(direct) as told:
                call = asyncio.create_task(running.admin.revoke_key(key.name))
                await told.get()
                door.freeze()
                assert (await call).waited.ToTimedelta() >= BRIEF
            await door.accept()


async def test_a_deadline_that_ends_the_wait_says_that_the_change_is_made(cluster: Cluster) -> None:
    settings = {"default_deadline": "1s", "max_deadline": "1s"}
    async with service(await leased(cluster, LONG), **settings) as running, behind(running):
        key = await a_key(running)
        request = {"name": key.name, "request_id": "cut-short"}
        for _ in range(2):  # the second is a repetition: it stands as before, and waits as before
            refused = await refusal(running.admin.do("RevokeKey", **request))
            assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert refused.reason == "WAIT_DEADLINE_EXCEEDED"
            assert "committed" in refused.message
            assert "10 s" in refused.message
            assert refused.info.metadata["committed"] == "true"
            assert refused.info.metadata["revision"]
            assert await key.state() == key_pb2.KEY_STATE_REVOKED


async def test_who_goes_away_meanwhile_leaves_the_change_made(patient: Service) -> None:
    async with behind(patient), notifications(patient) as told:
        key = await a_key(patient)
        call = asyncio.create_task(patient.admin.revoke_key(key.name))
        await told.get()
        call.cancel()
        assert await key.state() == key_pb2.KEY_STATE_REVOKED


async def one_connection_for_changes(running: Service) -> None:
    """What waits for a process that died lets others make their changes meanwhile."""
    async with (
        another(running, database_pool_size="2") as small,
        behind(small),
        notifications(small) as told,
    ):
        key = await a_key(small)
        call = asyncio.create_task(small.admin.revoke_key(key.name))
        await told.get()
        made = asyncio.create_task(a_key(small))
        await asyncio.wait([made])
        assert made.exception() is None
        assert not call.done()
        call.cancel()


async def one_connection_for_changes_and_a_long_lease(running: Service) -> None:
    """Longer than anybody waits for a connection."""
    await running.quietly("UPDATE keywright.installation SET lease_length = $1", LONG)
    await one_connection_for_changes(running)


async def test_others_make_their_changes_meanwhile(patient: Service) -> None:
    await one_connection_for_changes(patient)


async def test_who_made_room_for_others_waits_all_the_same(service: Service) -> None:
    async with another(service, database_pool_size="2") as small, behind(small):
        keys = [await a_key(small) for _ in range(4)]
        await asyncio.gather(
            *(waits_for(small, lambda k=key: small.admin.revoke_key(k.name)) for key in keys)  # type: ignore[misc]
        )


async def cut_off_before_its_commit(running: Service) -> None:
    """One server is lost with its revision given and not committed: others want the next one."""
    key, others = await a_key(running), await a_key(running)
    async with proxy(running.dsn) as door:
        await door.accept()
        async with another(replace(running, dsn=door.dsn)) as lost:
            async with held_row(running.dsn, "keywright.authority_revision") as revision:
                call = asyncio.create_task(refusal(lost.admin.revoke_key(key.name)))
                await revision.waited_for(1)
                door.freeze()
                await revision.let_go()
            began = time.monotonic()
            try:
                await running.admin.revoke_key(others.name)
            except RefusedError as refused:
                raise AssertionError(f"after {time.monotonic() - began:.1f} s") from refused
            await door.accept()
            await call


async def test_a_server_that_is_lost_before_its_commit_holds_others_up_for_a_moment_only(
    service: Service,
) -> None:
    await cut_off_before_its_commit(service)
