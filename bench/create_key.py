"""`CreateKey` through gRPC, beside the bare inserts of what it leaves behind."""

import hashlib
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from bench import server
from bench.effort import Effort
from bench.keys import PARENT, Admin, bearer
from bench.load import Call, in_turn
from bench.loader import loaded_prefix
from bench.server import Postgres
from bench.table import remark
from bench.target import IN_FLIGHT, Target, show_targets, take_turns
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

CREATE_KEY = "/keywright.v1.KeyService/CreateKey"
_BARE = "bare inserts"
_NOTE = (
    "Each call is a key of its own for one member, created by the admin and committed durably. The "
    "baseline inserts the same rows (key, secret, audit event; a statement each) in a transaction "
    "each, from the benchmark's process, on as many connections as there are calls in flight."
)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table, and whether the history of authority stood still meanwhile."""
    dsn, admin_token = await postgres.database("create_key")
    async with AsyncExitStack() as open_:
        at = await open_.enter_async_context(server.keywright(dsn))
        member = await Admin(at.channel, admin_token).service_user("member", "member")
        request = pb.CreateKeyRequest(parent=PARENT, key=key_pb2.Key(user=member))
        create = in_turn(at.channel, CREATE_KEY, [request.SerializeToString()], bearer(admin_token))
        first = pb.CreateKeyResponse.FromString(await create())
        insert = await open_.enter_async_context(_bare_inserts(dsn, first.key, max(IN_FLIGHT)))
        targets = [
            Target(name, by, call, in_flight)
            for in_flight in IN_FLIGHT
            for name, by, call in ((_BARE, None, insert), ("CreateKey", at, create))
        ]
        before = await _revision(dsn)
        await take_turns(targets, effort)
        after = await _revision(dsn)
    show_targets("CreateKey, beside bare inserts", _NOTE, _BARE, targets)
    created = sum(target.calls for target in targets if target.server is not None)
    remark(
        f"While these {created:,} keys were created, the row of `keywright.authority_revision` "
        f"{'stood still' if before == after else 'MOVED'}: revision {before['revision']} before, "
        f"{after['revision']} after."
    )


async def _revision(dsn: str) -> asyncpg.Record:
    """The one row that all narrowing transactions queue for, with its place in the table.

    `ctid` changes with every update, even with one that leaves everything as it was.
    """
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow("SELECT ctid, * FROM keywright.authority_revision")
    finally:
        await connection.close()
    assert row is not None, "the first migration inserts the one row"
    return row


@dataclass(frozen=True, slots=True)
class Insert:
    """A statement that inserts a row like a given one."""

    sql: str
    values: Mapping[str, object]

    @classmethod
    async def like(cls, connection: Connection, table: str, column: str, value: object) -> "Insert":
        """For a copy of the row of `table` that has `value` in `column`.

        What the database gives by itself is left to it: identities and times of creation.
        """
        names = await connection.fetch(
            """
            SELECT quote_ident(attname) AS name FROM pg_attribute
            WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
              AND attidentity = '' AND attgenerated = ''
              AND attname <> ALL('{create_time,update_time}')
            """,
            table,
        )
        columns = ", ".join(each["name"] for each in names)
        row = await connection.fetchrow(f"SELECT {columns} FROM {table} WHERE {column} = $1", value)
        assert row is not None, "CreateKey left it"
        places = ", ".join(f"${place + 1}" for place in range(len(row)))
        return cls(f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING id", dict(row))

    async def execute(self, connection: Connection, **instead: object) -> object:
        """Insert a row with some other values; returns its internal id."""
        return await connection.fetchval(self.sql, *{**self.values, **instead}.values())


@asynccontextmanager
async def _bare_inserts(dsn: str, like: key_pb2.Key, connections: int) -> AsyncIterator[Call]:
    """A call that inserts what the creation of a key like this one leaves in the database.

    The rows are copies, but for what is unique: whatever a creation stores, this stores, too.
    """
    async with AsyncExitStack() as open_:
        idle: list[Connection] = []
        for _ in range(connections):
            idle.append(await asyncpg.connect(dsn))
            open_.push_async_callback(idle[-1].close)
        name, (one, *_) = like.name, idle
        key = await Insert.like(one, "keywright.key", "key_id", name.rpartition("/")[2])
        secret = await Insert.like(one, "keywright.key_secret", "prefix", like.prefix)
        event = await Insert.like(one, "keywright.audit_event", "resource", name)
        numbers = itertools.count()

        async def insert() -> None:
            number = next(numbers)
            # As a server draws them: in no order, so that the indexes are written all over.
            key_id = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()[:16]
            connection = idle.pop()
            try:
                async with connection.transaction():
                    inserted = await key.execute(connection, key_id=key_id)
                    prefix = loaded_prefix(number)
                    await secret.execute(connection, key=inserted, prefix=prefix)
                    await event.execute(connection, resource=f"{PARENT}/keys/{key_id}")
            finally:
                idle.append(connection)

        yield insert
