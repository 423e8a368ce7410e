"""A sealed trail shows whatever was done to it: edits, removals, insertions, a tail cut off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keywright.domain.audit_trail import Leaves, sha256
from keywright.security.audit_signing import AuditSigner
from keywright.storage.audit_seals import ADVISORY_LOCK
from keywright.storage.database import Database
from keywright.v1 import audit_service_pb2 as pb
from tests.support.audit import Trail, new_trail, opened, sealer
from tests.support.database import Cluster
from tests.support.service import Service, refusal
from tests.support.service import service as running

# Three seals after the first, which may be two: the third has the newest events.
SIZES = (4, 5, 3)
_OF_LAST = "(SELECT max(number) FROM keywright.audit_seal WHERE workspace_id = $1)"
_BEFORE_LAST = f"{_OF_LAST} - 1"
_AN_EVENT = (
    "(SELECT min(id) + 1 FROM keywright.audit_event"
    f" WHERE workspace_id = $1 AND seal = {_BEFORE_LAST})"
)
_INSERT = (
    "INSERT INTO keywright.audit_event (workspace_id, action, resource, actor, credential, seal)"
    " VALUES ($1, 'UpdateKey', 'workspaces/w', '', '', {seal}) RETURNING id"
)


@pytest.fixture(scope="module", name="database")
async def _database(service: Service) -> AsyncIterator[Database]:
    async with opened(service.dsn) as database:
        yield database


@pytest.fixture(name="trail")
async def _trail(service: Service, database: Database) -> Trail:
    return await new_trail(service, database, *SIZES)


def kind(reply: Any) -> str:
    return pb.AuditBreakKind.Name(reply.first_break.kind).removeprefix("AUDIT_BREAK_KIND_")


def number(name: str) -> int:
    return int(name.rpartition("/")[2])


async def test_a_trail_that_nobody_touched_is_intact(trail: Trail) -> None:
    verified = await trail.verify()
    assert verified.intact
    assert verified.complete
    assert not verified.HasField("first_break")
    assert verified.last_seal == (await trail.seals())[-1]
    assert verified.event_count == await trail.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
    )


async def test_a_trail_without_anything_is_intact(service: Service, trail: Trail) -> None:
    await trail.sql("DELETE FROM keywright.audit_event WHERE workspace_id = $1")
    await trail.sql("DELETE FROM keywright.audit_seal WHERE workspace_id = $1")
    await trail.sql("DELETE FROM keywright.audit_chain WHERE workspace_id = $1")
    verified = await trail.verify()
    assert verified.intact
    assert verified.complete
    assert not verified.HasField("last_seal")


# --- events -----------------------------------------------------------------------------------

EDITS = {
    "action": "'RevokeKey'",
    "resource": "'workspaces/other/keys/k'",
    "outcome": "'DENIED'",
    "reason": "'PERMISSION_MISSING'",
    "actor": "'workspaces/w/users/bea'",
    "actor_email": "'bea@example.com'",
    "credential": "'workspaces/w/keys/k'",
    "client_address": "'192.0.2.1'",
    "call_id": "'c'",
    "request_id": "'r'",
    "count": "2",
    "first_time": "now()",
    "create_time": "create_time + interval '1 microsecond'",
    "change": """'{"after": {"state": "ACTIVE"}}'""",
}


async def an_edited_event(trail: Trail, column: str) -> None:
    event_id = await trail.value(f"SELECT {_AN_EVENT}")
    await trail.sql(
        f"UPDATE keywright.audit_event SET {column} = {EDITS[column]} WHERE id = {event_id}"
    )
    verified = await trail.verify()
    assert not verified.intact
    assert kind(verified) == "EVENT_CHANGED"
    assert number(verified.first_break.audit_event) == event_id
    assert number(verified.first_break.seal) == number(verified.last_seal.name) + 1


@pytest.mark.parametrize("column", EDITS)
async def test_an_edit_of_anything_in_an_event_is_shown(trail: Trail, column: str) -> None:
    await an_edited_event(trail, column)


TAMPERED_EVENTS = {
    "removed": ("DELETE FROM keywright.audit_event WHERE id = {event}", "EVENT_MISSING"),
    "moved to another workspace": (
        "UPDATE keywright.audit_event SET workspace_id = 'elsewhere' WHERE id = {event}",
        "EVENT_MISSING",
    ),
    "moved to a later seal": (
        "UPDATE keywright.audit_event SET seal = seal + 1 WHERE id = {event}",
        "EVENT_MISSING",
    ),
    "moved to an earlier seal": (
        "UPDATE keywright.audit_event SET seal = seal - 1 WHERE id = {event}",
        "EVENT_INSERTED",
    ),
    "sealed once more": (
        "UPDATE keywright.audit_event SET seal = NULL, actor = 'x' WHERE id = {event}",
        "EVENT_MISSING",
    ),
}


@pytest.mark.parametrize("what", TAMPERED_EVENTS)
async def test_an_event_that_is_not_where_it_was_is_shown(trail: Trail, what: str) -> None:
    statement, expected = TAMPERED_EVENTS[what]
    event_id = await trail.value(f"SELECT {_AN_EVENT}")
    await trail.sql(statement.format(event=event_id))
    await trail.seal()
    verified = await trail.verify()
    assert kind(verified) == expected
    assert number(verified.first_break.audit_event) == event_id


@pytest.mark.parametrize("seal", [_BEFORE_LAST, "1", f"{_OF_LAST} + 7"])
async def test_an_event_put_among_the_sealed_is_shown(trail: Trail, seal: str) -> None:
    event_id = await trail.value(_INSERT.format(seal=seal))
    verified = await trail.verify()
    assert kind(verified) == "EVENT_INSERTED"
    assert number(verified.first_break.audit_event) == event_id


@pytest.mark.parametrize("shift", ["1 microsecond", "-1 microsecond", "400 days"])
async def test_an_edited_event_does_not_hide_behind_a_copy(trail: Trail, shift: str) -> None:
    """The key of an event has its time, so that there can be two of one id."""
    event_id = await trail.value(f"SELECT {_AN_EVENT}")
    await trail.sql(
        "INSERT INTO keywright.audit_event (id, create_time, workspace_id, action, resource,"
        " actor, credential, seal) OVERRIDING SYSTEM VALUE"
        f" SELECT id, create_time + interval '{shift}', workspace_id, 'DeleteKey', resource, actor,"
        f" credential, seal FROM keywright.audit_event WHERE id = {event_id}"
    )
    verified = await trail.verify()
    assert kind(verified) == "EVENT_INSERTED"
    assert number(verified.first_break.audit_event) == event_id


async def test_an_event_for_no_seal_is_shown_also_where_the_database_lets_it_in(
    trail: Trail,
) -> None:
    await trail.sql("ALTER TABLE keywright.audit_event DROP CONSTRAINT audit_event_seal_positive")
    await trail.sql(_INSERT.format(seal=0))
    assert kind(await trail.verify()) == "EVENT_INSERTED"


async def test_the_newest_events_cut_off_are_shown(trail: Trail) -> None:
    await trail.sql(
        f"DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal = {_OF_LAST}"
    )
    verified = await trail.verify()
    assert kind(verified) == "EVENT_MISSING"
    assert number(verified.first_break.seal) == number(verified.last_seal.name) + 1


# --- seals ------------------------------------------------------------------------------------

OTHER_KEY = AuditSigner(Ed25519PrivateKey.generate())

SEAL_EDITS = {
    "create_time": "create_time + interval '1 second'",
    "month": "month - interval '1 month'",
    "previous": "sha256('x')",
    "event_ids": "event_ids[1:event_count - 1] || 999999999::bigint",
    "leaves": "overlay(leaves placing sha256('x') from 1)",
    "root": "sha256('x')",
    "digest": "sha256('x')",
    "signature": "decode(repeat('00', 64), 'hex')",
    "public_key": f"decode('{OTHER_KEY.public_key.hex()}', 'hex')",
}


async def an_edited_seal(trail: Trail, column: str) -> None:
    await trail.sql(
        f"UPDATE keywright.audit_seal SET {column} = {SEAL_EDITS[column]} "
        f"WHERE workspace_id = $1 AND number = {_BEFORE_LAST}"
    )
    verified = await trail.verify()
    assert kind(verified) == "SEAL_INVALID"
    assert number(verified.first_break.seal) == number(verified.last_seal.name) + 1


@pytest.mark.parametrize("column", SEAL_EDITS)
async def test_an_edit_of_anything_in_a_seal_is_shown(trail: Trail, column: str) -> None:
    await an_edited_seal(trail, column)


UNREADABLE = {
    "a seal's time": ("audit_seal", "create_time = 'infinity'", "SEAL_INVALID"),
    "a seal's month": ("audit_seal", "month = '20000-01-01'", "SEAL_INVALID"),
    "a seal's events": ("audit_seal", "event_ids[1] = NULL", "SEAL_INVALID"),
    "a seal's digest": ("audit_seal", "digest = NULL", "SEAL_INVALID"),
    "an event's time": ("audit_event", "create_time = 'infinity'", "EVENT_CHANGED"),
    "an event's year": ("audit_event", "create_time = '20000-01-01'", "EVENT_CHANGED"),
    "an event's first time": ("audit_event", "first_time = '-infinity'", "EVENT_CHANGED"),
    "what a removal removed": (
        "audit_event",
        "action = 'RemoveAuditEvents', change = '{}'",
        "EVENT_CHANGED",
    ),
}
_CONSTRAINTS = (
    ("audit_event", "DROP CONSTRAINT audit_event_times_readable"),
    ("audit_seal", "DROP CONSTRAINT audit_seal_times_readable"),
    ("audit_seal", "DROP CONSTRAINT audit_seal_ids_known"),
    ("audit_seal", "ALTER COLUMN digest DROP NOT NULL"),
)


@pytest.fixture(name="unguarded")
async def _unguarded(cluster: Cluster) -> AsyncIterator[Trail]:
    """A trail in a database whose owner has let in whatever fits a column."""
    async with running(await cluster.migrated()) as alone, opened(alone.dsn) as database:
        for table, change in _CONSTRAINTS:
            await alone.sql(f"ALTER TABLE keywright.{table} {change}")
        yield await new_trail(alone, database, *SIZES)


async def test_what_cannot_be_read_is_shown_and_stops_nobody_elses_sealing(
    unguarded: Trail,
) -> None:
    for what, (table, change, expected) in UNREADABLE.items():
        trail = await new_trail(unguarded.service, unguarded.database, *SIZES)
        which = {"audit_seal": "number", "audit_event": "seal"}[table]
        await trail.sql(
            f"UPDATE keywright.{table} SET {change} WHERE workspace_id = $1"
            f" AND {which} = {_BEFORE_LAST}"
        )
        verified = await trail.verify()
        assert kind(verified) == expected, what
        assert number(verified.first_break.seal) == number(verified.last_seal.name) + 1

    await trail.sql(
        "INSERT INTO keywright.audit_event (create_time, workspace_id, action, resource, actor,"
        " credential) SELECT time, $1, '', '', '', '' FROM unnest('{infinity,20000-01-01}'::"
        "timestamptz[]) AS time"
    )
    await unguarded.insert(3)
    await sealer(unguarded.database).run()
    assert (await unguarded.verify()).event_count == await unguarded.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
    )


async def a_forged_end(trail: Trail) -> None:
    """An edited event, sealed anew by who has all of the database but not the key."""
    last = await trail.value(f"SELECT {_OF_LAST}")
    await trail.sql(
        "UPDATE keywright.audit_event SET actor = 'nobody' WHERE id ="
        " (SELECT max(id) FROM keywright.audit_event WHERE workspace_id = $1)"
    )
    async with trail.database.reading() as reads:
        was = await reads.seals.get(trail.workspace_id, last)
        events = (await reads.seals.leaves(trail.workspace_id, last, last))[last]
    assert was is not None
    covered = Leaves([each for each, _ in events], b"".join(leaf for _, leaf in events))
    digest = sha256(replace(was.seal, root=covered.root).content)
    await trail.sql(
        "UPDATE keywright.audit_seal SET leaves = $3, root = $4, digest = $5, signature = $6,"
        " public_key = $7 WHERE workspace_id = $1 AND number = $2",
        *(last, covered.leaves, covered.root, digest),
        *(OTHER_KEY.sign(digest), OTHER_KEY.public_key),
    )
    await trail.sql("UPDATE keywright.audit_chain SET digest = $2 WHERE workspace_id = $1", digest)
    verified = await trail.verify()
    assert not verified.intact
    assert kind(verified) == "SEAL_INVALID"
    assert number(verified.first_break.seal) == last


async def test_a_seal_that_another_key_signed_is_shown(trail: Trail) -> None:
    await a_forged_end(trail)


@pytest.mark.parametrize("which", [_BEFORE_LAST, _OF_LAST, "1"])
async def test_a_seal_that_is_gone_is_shown(trail: Trail, which: str) -> None:
    gone = await trail.value(f"SELECT ({which})::bigint + 0 * length($1)")
    await trail.sql(f"DELETE FROM keywright.audit_seal WHERE workspace_id = $1 AND number = {gone}")
    verified = await trail.verify()
    assert kind(verified) == "SEAL_MISSING"
    assert number(verified.first_break.seal) == gone


async def the_end_cut_off(trail: Trail) -> None:
    """The newest events with their seals, but not the head of the chain."""
    await trail.sql(
        f"DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal >= {_BEFORE_LAST}"
    )
    cut = await trail.value(f"SELECT {_BEFORE_LAST}")
    await trail.sql(f"DELETE FROM keywright.audit_seal WHERE workspace_id = $1 AND number >= {cut}")
    verified = await trail.verify()
    assert not verified.intact
    assert kind(verified) == "SEAL_MISSING"
    assert number(verified.first_break.seal) == cut


async def test_the_newest_seals_cut_off_are_shown(trail: Trail) -> None:
    await the_end_cut_off(trail)


HEADS = {
    "gone": "DELETE FROM keywright.audit_chain WHERE workspace_id = $1",
    "behind": "UPDATE keywright.audit_chain c SET number = s.number, digest = s.digest"
    f" FROM keywright.audit_seal s WHERE s.workspace_id = $1 AND s.number = {_BEFORE_LAST}"
    " AND c.workspace_id = $1",
    "of another digest": "UPDATE keywright.audit_chain SET digest = sha256('x')"
    " WHERE workspace_id = $1",
}


@pytest.mark.parametrize("what", HEADS)
async def test_a_head_that_is_not_the_newest_seal_is_shown(trail: Trail, what: str) -> None:
    await trail.sql(HEADS[what])
    verified = await trail.verify()
    assert kind(verified) == "SEAL_INVALID"
    assert verified.first_break.seal == (await trail.seals())[-1].name


async def test_nothing_is_sealed_on_top_of_a_chain_that_was_cut(
    service: Service, trail: Trail, database: Database
) -> None:
    """Others' events go on, and the log says so."""
    await trail.sql(
        f"DELETE FROM keywright.audit_seal WHERE workspace_id = $1 AND number = {_OF_LAST}"
    )
    await trail.insert(2)
    here = sealer(database)
    await here.run()
    await here.run()
    assert trail.workspace_id in here.broken
    assert (
        await trail.value(
            "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1 AND seal IS NULL"
        )
        == 2
    )
    told = await service.process.logged("the audit trail does not end where it did: not sealed")
    assert told["level"] == "error"
    await trail.sql("DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal IS NULL")


@asynccontextmanager
async def no_sealing(trail: Trail) -> AsyncIterator[None]:
    """As anybody can do who may connect."""
    holder = await asyncpg.connect(trail.service.dsn)
    try:
        await holder.execute(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
        yield
    finally:
        await holder.close()


@pytest.mark.parametrize("off", [timedelta(minutes=-2), timedelta(days=2)])
async def test_events_that_are_kept_from_being_sealed_are_shown(
    trail: Trail, database: Database, off: timedelta
) -> None:
    async with no_sealing(trail):
        await trail.insert(1)
        assert (await trail.verify()).intact
        await trail.insert(2, at=datetime.now(UTC) + off)
        here = sealer(database)
        await here.run()
        assert here.seal_count == 0
        assert here.waited > timedelta()
        verified = await trail.verify()
        assert kind(verified) == "EVENT_UNSEALED"
        assert not verified.intact
        assert not verified.complete
        assert number(verified.first_break.audit_event) == await trail.value(
            "SELECT max(id) - 1 FROM keywright.audit_event WHERE workspace_id = $1"
        )
        assert not verified.first_break.seal
    await trail.seal()
    assert (await trail.verify()).intact


async def test_a_removal_is_not_believed_while_it_is_kept_from_being_sealed(trail: Trail) -> None:
    await trail.add(2, at=datetime.now(UTC) - timedelta(days=400))
    await trail.sql(
        f"DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal = {_OF_LAST}"
    )
    async with no_sealing(trail):
        await trail.sql(
            "INSERT INTO keywright.audit_event (create_time, workspace_id, action, resource, actor,"
            " credential, change) SELECT now() - interval '2 minutes', $1, 'RemoveAuditEvents', '',"
            " 'retention', '', jsonb_build_object('after', jsonb_build_object('removed_before',"
            " date_trunc('month', now() - interval '100 days')::date))"
        )
        assert kind(await trail.verify()) == "EVENT_MISSING"
    await trail.seal()
    assert (await trail.verify()).intact


# --- what is known elsewhere -------------------------------------------------------------------


async def cut_without_a_trace(trail: Trail) -> None:
    """The newest events, their seal and the head, so that all fits together."""
    await trail.sql(
        f"DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal = {_OF_LAST}"
    )
    await trail.sql(
        f"DELETE FROM keywright.audit_seal WHERE workspace_id = $1 AND number = {_OF_LAST}"
    )
    await trail.sql(
        "UPDATE keywright.audit_chain c SET number = s.number, digest = s.digest"
        f" FROM keywright.audit_seal s WHERE s.workspace_id = $1 AND s.number = {_OF_LAST}"
        " AND c.workspace_id = $1"
    )


async def test_a_seal_kept_elsewhere_finds_a_tail_that_was_cut_without_a_trace(
    trail: Trail,
) -> None:
    kept = (await trail.seals())[-1]
    assert (await trail.verify(known_seal=kept)).intact
    await cut_without_a_trace(trail)
    assert (await trail.verify()).intact
    verified = await trail.verify(known_seal=kept)
    assert not verified.intact
    assert kind(verified) == "SEAL_MISSING"
    assert verified.first_break.seal == kept.name


async def test_a_seal_kept_elsewhere_finds_a_trail_that_was_made_anew(trail: Trail) -> None:
    kept = (await trail.seals())[-1]
    await cut_without_a_trace(trail)
    await trail.add(3)
    assert (await trail.verify()).intact
    assert kind(await trail.verify(known_seal=kept)) == "SEAL_INVALID"


async def test_a_trail_is_verified_from_a_seal_on(trail: Trail) -> None:
    seals = await trail.seals()
    verified = await trail.verify(from_seal=seals[-2])
    assert verified.intact
    assert verified.complete
    assert verified.event_count == SIZES[-1]
    other = seals[-2]
    other.digest = sha256("x")
    assert kind(await trail.verify(from_seal=other)) == "SEAL_INVALID"
    missing = seals[-1]
    missing.name = f"{trail.parent}/auditSeals/99"
    assert kind(await trail.verify(from_seal=missing)) == "SEAL_MISSING"


async def test_a_seal_without_name_or_digest_is_refused(trail: Trail) -> None:
    for seal in ({}, {"name": f"{trail.parent}/auditSeals/1", "digest": b"short"}):
        for field in ("from_seal", "known_seal"):
            error = await refusal(trail.verify(**{field: seal}))
            assert error.reason == "FIELD_INVALID"
            assert error.fields[0].startswith(field)


async def test_a_foreign_seal_is_answered_for_as_a_missing_one(
    service: Service, trail: Trail
) -> None:
    foreign = (await trail.seals())[0]
    error = await refusal(
        service.admin.do("VerifyAuditTrail", parent="workspaces/default", known_seal=foreign)
    )
    assert error.reason == "RESOURCE_NOT_FOUND"
    error = await refusal(service.admin.do("VerifyAuditTrail", parent=trail.parent))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_long_trail_is_verified_in_several_calls(trail: Trail) -> None:
    await trail.add(21_500)
    first = await trail.admin.do("VerifyAuditTrail", parent=trail.parent)
    assert first.intact
    assert not first.complete
    assert first.event_count >= 20_000
    rest = await trail.admin.do("VerifyAuditTrail", parent=trail.parent, from_seal=first.last_seal)
    assert rest.intact
    assert rest.complete
    assert first.event_count + rest.event_count == await trail.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
    )
    assert max(each.event_count for each in await trail.seals()) == 1000


async def test_clocks_that_go_back_break_nothing(trail: Trail) -> None:
    now = await trail.value("SELECT now()")
    await trail.add(2, at=now - timedelta(hours=3))
    await trail.add(2, at=now - timedelta(days=400))
    await trail.insert(2, at=now + timedelta(days=400))
    await trail.insert(2)
    await trail.seal()
    seals = await trail.seals()
    assert [each.event_count for each in seals[-3:-1]] == [2, 2]
    assert (await trail.verify()).intact
