"""The database goes away, in every way it can: nobody is judged, and all comes back by itself.

Faults come from a proxy between server and database, or from killing PostgreSQL itself.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2

from keywright.app.embedded import EmbeddedPostgres, locate_binaries
from keywright.storage import migrate
from keywright.storage.database import Database, Writes
from keywright.v1 import key_service_pb2, key_service_pb2_grpc
from tests.integration.test_notices import until_noticed
from tests.support.database import TIMEOUT, Cluster
from tests.support.proxy import Proxy, proxy
from tests.support.service import (
    PARENT,
    Caller,
    RefusedError,
    Service,
    another,
    refusal,
    service,
)
from tests.support.unprivileged import directory_others_may_enter
from tests.support.waiting import all_sealed, call_logged, held_key

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
POOL_SIZE = 3
# What the server needs to find out that its database is gone, with room for a busy machine.
FOUND_OUT_SECONDS = 15.0
# Less than the patience of a call: the default deadline of 10 s.
AT_ONCE_SECONDS = 8.0
ENDED_BY_DEADLINE = {
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,  # where the server found out first
}
OUR_TROUBLE = {"DATABASE_UNAVAILABLE", "SERVER_UNAVAILABLE"}


@dataclass
class Outage:
    """A service whose way to the database is in the test's hand."""

    service: Service
    door: Proxy

    @property
    def admin(self) -> Caller:
        return self.service.admin

    async def key(self) -> tuple[str, str]:
        """A new key: its name and its token."""
        created = await self.admin.create_key()
        await all_sealed(self.service)  # else the next COMMIT may be the sealer's
        return created.key.name, created.token

    async def healed(self) -> None:
        """The database is there again, and so is the service, by itself; no connection is broken.

        More calls at once than the pool has connections: each of those is used.
        """
        await self.door.accept()
        await self.service.becomes(SERVING)
        async with asyncio.timeout(10):
            token = self.service.admin_token
            await asyncio.gather(
                *(self.admin.authenticate(token) for _ in range(3 * POOL_SIZE)),
                *(self.admin.create_key() for _ in range(POOL_SIZE)),
            )


@pytest.fixture(scope="module", name="module_outage")
async def _module_outage(cluster: Cluster) -> AsyncIterator[Outage]:
    async with proxy(await cluster.migrated()) as door:
        await door.accept()
        async with service(
            door.direct,
            database_url=door.dsn,
            database_pool_size=str(POOL_SIZE),
            database_connect_timeout="5s",
        ) as running:
            yield Outage(running, door)
            # What the faults left behind is no defect, neither ours nor the driver's.
            assert [line for line in running.process.log if line["level"] == "error"] == []


@pytest.fixture(name="outage")
async def _outage(module_outage: Outage) -> AsyncIterator[Outage]:
    """One service for all tests here: each gives it back healed, which is half of what it shows."""
    await module_outage.healed()
    yield module_outage
    await module_outage.healed()


async def _in_time(service: Service, status: int) -> None:
    async with asyncio.timeout(FOUND_OUT_SECONDS):
        await service.becomes(status)


async def _nobody_is_judged(service: Service, token: str) -> None:
    """While the database goes away, calls are answered in full or told of our own trouble."""
    calls = (service.admin.authenticate(token) for _ in range(20))
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, RefusedError)
            assert outcome.code is grpc.StatusCode.UNAVAILABLE, outcome
            assert outcome.reason in OUR_TROUBLE


async def test_a_call_whose_connection_is_cut_is_told_that_the_database_is_unavailable(
    outage: Outage,
) -> None:
    name, token = await outage.key()
    async with held_key(outage.door.direct, name) as row:
        revoking = asyncio.create_task(refusal(outage.admin.revoke_key(name)))
        await row.waited_for()
        outage.door.cut()
        refused = await revoking
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "DATABASE_UNAVAILABLE"
    await outage.admin.authenticate(token)  # nothing was revoked


async def test_connections_cut_while_idle_are_replaced_without_anybody_being_judged(
    outage: Outage,
) -> None:
    outage.door.cut()
    await _nobody_is_judged(outage.service, outage.service.admin_token)
    assert await outage.service.health() == SERVING


async def test_a_database_that_refuses_makes_the_server_unavailable_until_it_is_back(
    outage: Outage,
) -> None:
    _, token = await outage.key()
    seen = len(outage.service.process.log)
    outage.door.refuse()
    refused = await refusal(outage.admin.authenticate(token))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason in OUR_TROUBLE
    await _in_time(outage.service, NOT_SERVING)

    line = await outage.service.process.logged("the database is out of reach", after=seen)
    assert line["level"] == "warning"
    # What it says depends on who found out first: a call on its old connection or a new one.
    assert re.fullmatch(r"the database cannot be reached .* \(.+\)", line["error"])
    for call in (outage.admin.authenticate(token), outage.admin.authenticate("kw_live_nonsense")):
        refused = await refusal(call)
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SERVER_UNAVAILABLE"

    await outage.door.accept()
    await outage.service.becomes(SERVING)
    await outage.admin.authenticate(token)
    await outage.service.process.logged("the database is back", after=seen)


async def test_a_database_that_says_nothing_answers_nobody_late_and_judges_nobody(
    outage: Outage,
) -> None:
    token = outage.service.admin_token
    outage.door.freeze()
    # More than the pool has connections: some wait for an answer, some for a connection.
    patient = [asyncio.create_task(refusal(outage.admin.list_keys())) for _ in range(2 * POOL_SIZE)]
    began = time.monotonic()
    await _in_time(outage.service, NOT_SERVING)
    for refused in await asyncio.gather(*patient):
        assert refused.code is grpc.StatusCode.UNAVAILABLE, refused
        assert refused.reason in OUR_TROUBLE
    assert time.monotonic() - began < 2 * FOUND_OUT_SECONDS

    began = time.monotonic()
    refused = await refusal(outage.admin.authenticate(token))
    assert refused.reason == "SERVER_UNAVAILABLE"
    assert time.monotonic() - began < AT_ONCE_SECONDS


async def test_a_call_with_a_near_deadline_ends_with_it_while_the_database_says_nothing(
    outage: Outage,
) -> None:
    outage.door.freeze()
    stub = key_service_pb2_grpc.KeyServiceStub(outage.service.channel)
    token = outage.service.admin_token
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.ListKeys(
            key_service_pb2.ListKeysRequest(parent=PARENT),
            metadata=[("authorization", f"Bearer {token}"), ("x-request-id", "near-deadline")],
            timeout=1,
        )
    assert failed.value.code() in ENDED_BY_DEADLINE
    assert time.monotonic() - began < AT_ONCE_SECONDS
    # And the server's side of it ended, too.
    line = await call_logged(outage.service.process, "near-deadline")
    assert line["duration_ms"] < 1000 * AT_ONCE_SECONDS


async def outcome_of(outage: Outage, token: str) -> str:
    """The reason of a denial, or of an outage; empty where it is allowed."""
    try:
        await outage.admin.authenticate(token)
    except RefusedError as refused:
        return refused.reason
    return ""


async def test_a_commit_without_a_reply_is_told_as_unknown(outage: Outage) -> None:
    name, token = await outage.key()
    outage.door.when_answered("COMMIT", outage.door.cut)
    refused = await refusal(outage.admin.revoke_key(name))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "DATABASE_UNAVAILABLE"
    assert "may or may not have happened" in refused.message
    # The proxy waited for the database's answer: here it did happen.
    async with asyncio.timeout(20):
        while (await outcome_of(outage, token)) != "KEY_REVOKED":  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.02)
    # That is noticed, and has a COMMIT of its own, which the next test must not see.
    await until_noticed(outage.service, resource=name)


async def test_a_deadline_during_a_commit_ends_the_call_and_leaves_the_commit_alone(
    outage: Outage,
) -> None:
    name, token = await outage.key()
    outage.door.when_answered("COMMIT", outage.door.freeze)
    caller = outage.service.as_caller(outage.service.admin_token, ("x-request-id", "late-commit-1"))
    request = key_service_pb2.RevokeKeyRequest(name=name)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await outage.service.channel.unary_unary(
            "/keywright.v1.KeyService/RevokeKey",
            request_serializer=key_service_pb2.RevokeKeyRequest.SerializeToString,
        )(request, metadata=caller._metadata(), timeout=2)  # enough to come to the COMMIT
    assert failed.value.code() in ENDED_BY_DEADLINE
    line = await call_logged(outage.service.process, "late-commit-1")
    assert line["duration_ms"] < 1000 * AT_ONCE_SECONDS

    await outage.healed()
    refused = await refusal(outage.admin.authenticate(token))
    assert refused.reason == "KEY_REVOKED"
    # That is noticed, and has a COMMIT of its own, which the next test must not see.
    await until_noticed(outage.service, resource=name)


async def test_a_client_that_cancels_in_the_middle_of_a_mutation_leaves_nothing_behind(
    outage: Outage,
) -> None:
    name, token = await outage.key()
    requests = [("x-request-id", f"cancelled-{number}") for number in range(2 * POOL_SIZE)]
    async with held_key(outage.door.direct, name) as row:
        for request in requests:
            caller = outage.service.as_caller(outage.service.admin_token, request)
            revoking = asyncio.create_task(caller.revoke_key(name))
            await row.waited_for(1)
            revoking.cancel()
            await asyncio.gather(revoking, return_exceptions=True)
            line = await call_logged(outage.service.process, request[1])
            assert line["code"] == "CANCELLED"
    await outage.admin.authenticate(token)
    [events] = await outage.service.sql(
        "SELECT count(*) FROM keywright.audit_event WHERE action = 'RevokeKey' AND resource = $1",
        name,
    )
    assert events["count"] == 0
    assert await _open_transactions(outage) == 0


async def test_a_client_that_cancels_while_a_transaction_begins_leaves_none_open(
    outage: Outage,
) -> None:
    name, token = await outage.key()
    outage.door.when_answered("BEGIN", outage.door.freeze)
    caller = outage.service.as_caller(outage.service.admin_token, ("x-request-id", "at-its-begin"))
    revoking = asyncio.create_task(caller.revoke_key(name))
    async with asyncio.timeout(10):
        await outage.door.answered.wait()
    revoking.cancel()
    await asyncio.gather(revoking, return_exceptions=True)
    await outage.door.accept()
    await call_logged(outage.service.process, "at-its-begin")
    await outage.admin.authenticate(token)
    assert await _open_transactions(outage) == 0


async def _open_transactions(outage: Outage) -> int:
    [found] = await outage.service.sql(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    return int(found["count"])


async def test_a_pool_that_is_busy_is_told_apart_from_an_outage(cluster: Cluster) -> None:
    async with service(
        await cluster.migrated(), database_pool_size="1", database_connect_timeout="500ms"
    ) as running:
        name = (await running.admin.create_key()).key.name
        async with held_key(running.dsn, name) as row:
            revoking = asyncio.create_task(running.admin.revoke_key(name))
            await row.waited_for()
            refused = await refusal(running.admin.authenticate(running.admin_token))
            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.reason == "OVERLOADED"
            assert await running.health() == SERVING
            await row.let_go()
            await revoking
        await running.admin.authenticate(running.admin_token)
        assert not [line for line in running.process.log if "out of reach" in line["event"]]


async def test_a_frozen_database_does_not_keep_a_stopping_server(cluster: Cluster) -> None:
    async with proxy(await cluster.migrated()) as door:
        await door.accept()
        async with service(
            door.direct, database_url=door.dsn, shutdown_grace="1s", default_deadline="30s"
        ) as running:
            door.freeze()
            asking = asyncio.create_task(refusal(running.admin.authenticate(running.admin_token)))
            began = time.monotonic()
            assert await running.process.stop() == 0
            assert time.monotonic() - began < 10
            assert (await asking).code in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.CANCELLED,
            }


async def test_a_transaction_that_went_on_after_a_failure_is_not_told_as_committed(
    database: str,
) -> None:
    opened = await Database.open(
        database, size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT
    )

    async def swallows(writes: Writes) -> None:
        await writes.workspaces.insert("begun")
        with suppress(asyncpg.PostgresError):
            await writes.users._connection.execute("SELECT 1 / 0")

    try:
        with pytest.raises(RuntimeError, match="rolled back"):
            await opened.writing(swallows)
        async with opened.reading() as reads:
            assert await reads.workspaces.get("begun") is None
    finally:
        await opened.close()


@asynccontextmanager
async def _own_postgres(**settings: str) -> AsyncIterator[tuple[EmbeddedPostgres, str, int]]:
    """A PostgreSQL of this test's own; its DSN, and the process to kill."""
    with directory_others_may_enter() as directory:
        server = EmbeddedPostgres(
            directory / "postgres",
            locate_binaries(os.environ),
            settings={"fsync": "off", **settings},
        )
        async with server as dsn:
            await migrate.migrate(dsn, migrate.load(), timeout=TIMEOUT)
            pid_file = next(directory.rglob("postmaster.pid"))
            yield server, dsn, int(pid_file.read_text().splitlines()[0])


async def _waits_for_its_standby(running: Service) -> int:
    """The process of the narrowing whose COMMIT waits for a standby, as soon as one does.

    A sealer's may wait as well.
    """
    waiting = """
        SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid)
        WHERE datname = current_database() AND wait_event = 'SyncRep'
            AND relation = 'keywright.authority_change'::regclass
    """
    async with asyncio.timeout(20):
        while not (found := await running.quietly(waiting)):  # noqa: ASYNC110  no event
            await asyncio.sleep(0.02)
    return int(found[0]["pid"])


async def test_a_commit_that_no_standby_confirmed_is_never_told_as_done() -> None:
    settings = {"synchronous_standby_names": "one_that_is_gone", "synchronous_commit": "local"}
    async with _own_postgres(**settings) as (_, dsn, _), service(dsn) as running:
        names = [(await running.admin.create_key()).key.name for _ in range(2)]
        # From now on, in new sessions: a COMMIT waits for the standby.
        await running.quietly("ALTER ROLE CURRENT_USER SET synchronous_commit = 'on'")
        await running.quietly(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'keywright'"
        )

        revoking = asyncio.create_task(refusal(running.admin.revoke_key(names[0])))
        pid = await _waits_for_its_standby(running)
        # PostgreSQL reports success for a wait that was cancelled, with a warning beside it.
        await running.quietly("SELECT pg_cancel_backend($1)", pid)
        refused = await revoking
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert "may or may not have happened" in refused.message

        caller = running.as_caller(running.admin_token, ("x-request-id", "who-gives-up"))
        revoking = asyncio.create_task(refusal(caller.revoke_key(names[1])))
        pid = await _waits_for_its_standby(running)
        revoking.cancel()
        await call_logged(running.process, "who-gives-up")
        # Who gives up does not take the COMMIT's patience away.
        assert await _waits_for_its_standby(running) == pid


async def test_a_postgresql_that_is_killed_and_started_again_is_used_again() -> None:
    async with _own_postgres() as (postgres, dsn, pid), service(dsn) as running:
        token = (await running.admin.create_key()).token
        await asyncio.gather(*(running.admin.authenticate(token) for _ in range(8)))
        os.kill(pid, signal.SIGKILL)
        await _nobody_is_judged(running, token)
        await _in_time(running, NOT_SERVING)
        await postgres.stop()
        await postgres.start()
        await running.becomes(SERVING)
        await running.admin.authenticate(token)
        assert [line for line in running.process.log if line["level"] == "error"] == []


async def knows_only_a_database_that_was_left_behind(running: Service) -> None:
    """Another server loses its lease, and all that it can still read is older than the key.

    As with an old primary that was cut off from its standby, and not from us.
    """
    old = await Cluster(running.dsn).migrated()
    async with proxy(running.dsn) as door:
        await door.accept()
        async with another(
            running,
            database_url=old,
            database_direct_url=door.dsn,
            authenticate_callers="any",
            lease_length="1s",
        ) as cut_off:
            anybody = cut_off.as_caller(None)
            door.refuse()
            over = time.monotonic() + 1
            while time.monotonic() < over:
                await refusal(anybody.authenticate(running.admin_token))
            refused = await refusal(anybody.authenticate(running.admin_token))
    assert refused.reason in OUR_TROUBLE


async def test_a_key_that_is_newer_than_a_database_left_behind_is_not_judged_by_it(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated()) as running:
        await knows_only_a_database_that_was_left_behind(running)
