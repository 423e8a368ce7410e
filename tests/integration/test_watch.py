"""Watch: what clients' caches are told, and for how long they may answer."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from keywright.v1 import auth_service_pb2 as pb
from tests.integration.test_authenticate_stream import TIMEOUT, ended, sidecar
from tests.support.database import Cluster
from tests.support.service import Caller, Service, another, service


class Watch:
    """A client's end of a stream."""

    def __init__(self, caller: Caller) -> None:
        self.stream = caller.open("Watch")
        self.serial = 0
        self.revision = ""

    async def ask(self, revision: str | None = None, serial: int | None = None) -> None:
        self.serial = self.serial + 1 if serial is None else serial
        revision = self.revision if revision is None else revision
        await self.stream.write(pb.WatchRequest(serial=self.serial, revision=revision))

    async def told(self) -> Any:
        """The next message; it counts as applied."""
        async with asyncio.timeout(TIMEOUT):
            message = await self.stream.read()
        assert message is not grpc.aio.EOF
        assert bool(message.reset) <= (not message.changes)
        self.revision = message.revision
        return message

    async def answered(self) -> Any:
        """Ask, and read to the answer."""
        await self.ask()
        while True:
            message = await self.told()
            if message.serial:
                assert message.serial == self.serial
                return message

    async def leased(self) -> Any:
        """Ask until there is a lease."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                answer = await self.answered()
                if answer.HasField("lease"):
                    assert not answer.reset
                    assert not answer.changes
                    return answer


@pytest.fixture(scope="module", autouse=True)
async def _moved(service: Service) -> None:
    """A first change: a history that has none cannot be gone on with."""
    name = (await service.admin.create_key()).key.name
    await service.admin.revoke_key(name)


async def revoked(running: Service) -> tuple[set[str], str]:
    """A key is used and revoked: what its answer rested on, and the revision."""
    created = await running.admin.create_key()
    rested_on = (await running.admin.authenticate(created.token)).depends_on
    reply = await running.admin.revoke_key(created.key.name)
    return set(rested_on), reply.revision


async def test_an_empty_cache_is_told_to_begin_and_then_leased(service: Service) -> None:
    watch = Watch(service.admin)
    first = await watch.answered()
    assert first.reset
    assert first.revision
    assert not first.HasField("lease")
    leased = await watch.leased()
    assert 0 < leased.lease.ToTimedelta().total_seconds() <= 0.9
    now = datetime.now(UTC)
    assert abs((leased.time.ToDatetime(UTC) - now).total_seconds()) < 5
    watch.stream.cancel()


async def test_a_change_is_told_by_itself_and_names_what_answers_rested_on(
    service: Service,
) -> None:
    watch = Watch(service.admin)
    await watch.leased()
    rested_on, revision = await revoked(service)
    message = await watch.told()
    assert message.serial == 0
    assert not message.reset
    assert {each.dependency for each in message.changes} <= rested_on
    assert {each.revision for each in message.changes} == {revision}
    assert message.revision == revision
    assert not message.HasField("lease")
    assert (await watch.leased()).revision == revision
    watch.stream.cancel()


async def only_who_is_at_the_position_is_leased(running: Service) -> None:
    watch = Watch(running.admin)
    await watch.leased()
    was = watch.revision
    await revoked(running)
    await watch.told()  # read, and not applied
    for _ in range(3):
        await watch.ask(was)
        answer = await watch.told()
        assert not answer.HasField("lease")
    watch.stream.cancel()


async def test_who_has_not_applied_a_change_is_not_leased(service: Service) -> None:
    await only_who_is_at_the_position_is_leased(service)


async def test_who_comes_back_goes_on_where_it_was_also_at_another_server(
    service: Service,
) -> None:
    watch = Watch(service.admin)
    await watch.leased()
    was = watch.revision
    watch.stream.cancel()
    rested_on, revision = await revoked(service)
    back = Watch(service.admin)
    await back.ask(was)
    message = await back.told()
    assert not message.reset
    assert {each.dependency for each in message.changes} <= rested_on
    assert message.revision == revision
    back.stream.cancel()

    async with another(service) as other:
        there = Watch(other.admin)
        await there.ask(revision)
        answer = await there.told()
        assert answer.HasField("lease")
        assert answer.revision == revision
        there.stream.cancel()


async def test_a_request_says_nothing_that_cannot_be(service: Service) -> None:
    """A number that does not rise, or a revision that this stream never told."""
    other = Watch(service.admin)
    await other.leased()
    before = other.revision
    await revoked(service)
    watch = Watch(service.admin)
    await watch.leased()
    genuine = (await service.admin.authenticate(service.admin_token)).revision
    assert genuine == watch.revision
    forged = genuine[:-4] + "AAAA"
    for serial, revision, field in (
        (watch.serial, genuine, "serial"),
        (0, genuine, "serial"),
        (-1, genuine, "serial"),
        (10, forged, "revision"),
        (10, "correct-horse", "revision"),
        (10, before, "revision"),
        (10, "", "revision"),
    ):
        again = Watch(service.admin)
        await again.leased()
        await again.ask(revision, serial)
        refused = await ended(again.stream)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT, (serial, revision)
        assert refused.fields == [field]
    for stream in (watch.stream, other.stream):
        stream.cancel()


@pytest.mark.parametrize(("serial", "revision"), [(0, ""), (1, "correct-horse")])
async def test_a_first_request_says_nothing_that_cannot_be(
    service: Service, serial: int, revision: str
) -> None:
    watch = Watch(service.admin)
    await watch.ask(revision, serial)
    assert (await ended(watch.stream)).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_requests_that_are_sent_ahead_are_answered_each_and_in_order(
    service: Service,
) -> None:
    watch = Watch(service.admin)
    await watch.leased()
    for _ in range(100):
        await watch.ask()
    serials: list[int] = []
    while len(serials) < 100:
        message = await watch.told()
        if message.serial:
            serials.append(message.serial)
    assert serials == list(range(watch.serial - 99, watch.serial + 1))
    await watch.stream.done_writing()
    async with asyncio.timeout(TIMEOUT):
        assert await watch.stream.read() is grpc.aio.EOF
    assert await watch.stream.code() is grpc.StatusCode.OK


async def test_watching_needs_the_permission(service: Service) -> None:
    plain = await service.person("plain")
    watch = Watch(plain)
    await watch.ask()
    refused = await ended(watch.stream)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "CALLER_PERMISSION_MISSING"


async def a_watcher_whose_caller_falls(running: Service) -> None:
    caller, key = await sidecar(running, "watching")
    watch = Watch(caller)
    await watch.leased()
    await running.admin.revoke_key(key)
    refused = await ended(watch.stream)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "CALLER_CREDENTIAL_INVALID"


async def test_a_watcher_whose_caller_falls_is_ended(service: Service) -> None:
    await a_watcher_whose_caller_falls(service)


async def test_a_watcher_that_says_nothing_is_told_one_thing_and_then_no_more(
    service: Service,
) -> None:
    watch = Watch(service.admin)
    await watch.leased()
    await revoked(service)
    await revoked(service)
    first = await watch.told()
    quiet = asyncio.create_task(watch.told())
    await revoked(service)
    await revoked(service)
    # Another one is told of all these, so there was time to tell this one.
    busy = Watch(service.admin)
    await busy.leased()
    assert not quiet.done()
    await watch.ask(first.revision)
    message = await quiet
    assert message.serial == watch.serial
    assert message.changes
    assert message.revision == busy.revision
    for stream in (watch.stream, busy.stream):
        stream.cancel()


async def acknowledged(running: Service) -> int:
    """How far the server says that it, and who answers under its lease, has come."""
    [row] = await running.sql("SELECT applied FROM keywright.replica")
    return int(row["applied"])


async def position(running: Service) -> int:
    [row] = await running.sql("SELECT revision FROM keywright.authority_revision")
    return int(row["revision"])


async def until_acknowledged(running: Service, revision: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while await acknowledged(running) < revision:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.02)


async def moved(running: Service) -> int:
    """Narrow something, without waiting; returns the revision."""
    name = (await running.admin.create_key()).key.name
    await running.admin.do("RevokeKey", name=name, wait="WAIT_MODE_NONE")
    return await position(running)


async def a_change_waits_for_who_has_left(running: Service) -> None:
    """Its cache may answer until its lease is over, which it counts from its question."""
    watch = Watch(running.admin)
    await watch.answered()
    asked_at = time.monotonic()
    lease = (await watch.answered()).lease.ToTimedelta().total_seconds()
    assert lease > 0
    watch.stream.cancel()
    revision = await moved(running)
    await until_acknowledged(running, revision)
    assert time.monotonic() > asked_at + lease


@pytest.mark.slow
async def test_a_change_waits_for_a_watcher_and_no_longer(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), lease_length="10s") as running:
        await a_change_waits_for_who_has_left(running)
        watch = Watch(running.admin)
        lease = (await watch.leased()).lease.ToTimedelta().total_seconds()
        answered_at = time.monotonic()
        revision = await moved(running)
        message = await watch.told()
        assert await acknowledged(running) < revision
        await watch.ask(message.revision)
        await until_acknowledged(running, revision)
        assert time.monotonic() < answered_at + lease, "it did not wait for the grant to be over"
        watch.stream.cancel()


async def test_a_server_that_stops_ends_watches_at_once(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), shutdown_grace="1h") as running:
        watch = Watch(running.admin)
        await watch.leased()
        stopping = asyncio.create_task(running.process.stop())
        refused = await ended(watch.stream)
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert await stopping == 0
        assert await running.sql("SELECT FROM keywright.replica") == []
