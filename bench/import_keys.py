"""`ImportKeys`, a thousand keys a call, beside the bare inserts of what it leaves behind."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import asyncpg

from bench import server
from bench.effort import Effort
from bench.keys import PARENT, Admin, bearer
from bench.server import Postgres
from bench.table import milliseconds, show
from keywright.v1 import key_pb2, key_service_pb2_grpc
from keywright.v1 import key_service_pb2 as pb

_KEYS_PER_CALL = 1_000
_USERS = 100
_NOTE = (
    f"Keys of {_USERS} members with SHA-256 digests, as better-auth keeps them, one call of "
    f"{_KEYS_PER_CALL:,} after the other. The baseline inserts the same rows (key, secret, audit "
    "event; a statement for all of a kind) in a transaction for each of its calls, from the "
    "benchmark's process."
)
_FORMAT = pb.ImportedTokenFormat(pattern="[A-Za-z]{64}", lookup=pb.TOKEN_LOOKUP_DIGEST)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Batch: TypeAlias = Callable[[range], Awaitable[None]]


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("import_keys")
    count = 3 * effort.few
    async with server.keywright(dsn) as at:
        admin = Admin(at.channel, admin_token)
        users = [await admin.service_user(f"member-{n}", "member") for n in range(_USERS)]
        stub: Any = key_service_pb2_grpc.KeyServiceStub(at.channel)

        async def imported(numbers: range) -> None:
            items = [_item(number, users[number % _USERS]) for number in numbers]
            request = pb.ImportKeysRequest(parent=PARENT, format=_FORMAT, items=items)
            reply = await stub.ImportKeys(request, metadata=bearer(admin_token))
            assert reply.imported_count == len(items), reply.results[0].error

        connection = await asyncpg.connect(dsn)
        try:
            taken = await _taken(imported, range(count))
            bare = await _taken(_bare_inserts(connection), range(count, 2 * count))
        finally:
            await connection.close()
    show(
        f"ImportKeys, {count:,} keys, beside bare inserts",
        _NOTE,
        ("", "seconds", "keys/s", "p50 ms/call", "longest ms/call", "time / bare"),
        [
            _row("bare inserts", bare, bare),
            _row("ImportKeys", taken, bare),
        ],
    )


def _row(name: str, taken: Sequence[float], bare: Sequence[float]) -> Sequence[str]:
    total = sum(taken)
    return (
        name,
        f"{total:.1f}",
        f"{len(taken) * _KEYS_PER_CALL / total:,.0f}",
        milliseconds(sorted(taken)[len(taken) // 2]),
        milliseconds(max(taken)),
        f"{total / sum(bare):.2f}",
    )


async def _taken(batch: Batch, numbers: range) -> list[float]:
    """How long each call takes, in seconds."""
    taken = []
    for start in range(numbers.start, numbers.stop, _KEYS_PER_CALL):
        began = time.perf_counter()
        await batch(range(start, start + _KEYS_PER_CALL))
        taken.append(time.perf_counter() - began)
    return taken


def _digest(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def _item(number: int, user: str) -> pb.ImportItem:
    return pb.ImportItem(
        key=key_pb2.Key(user=user, display_name=f"key {number}", labels={"from": "better-auth"}),
        hash=_digest(number).hex(),
        hash_form=pb.HASH_FORM_SHA256_HEX,
    )


def _bare_inserts(connection: Connection) -> Batch:
    """Copies of the rows that the first import left, but for what is unique."""

    async def copied(table: str, column: str, **instead: tuple[str, Sequence[object]]) -> Any:
        names = await connection.fetch(
            """
            SELECT quote_ident(attname) AS name FROM pg_attribute
            WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
              AND attidentity = '' AND attgenerated = ''
            """,
            table,
        )
        columns = [each["name"] for each in names]
        values = [f"n.{each}" if each in instead else f"k.{each}" for each in columns]
        arrays = ", ".join(
            f"${place + 1}::{kind}[]" for place, (kind, _) in enumerate(instead.values())
        )
        return await connection.fetch(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
            f"FROM (SELECT * FROM {table} ORDER BY {column} LIMIT 1) k, "
            f"unnest({arrays}) AS n ({', '.join(instead)}) RETURNING id",
            *(given for _, given in instead.values()),
        )

    async def insert(numbers: range) -> None:
        digests = [_digest(number) for number in numbers]
        ids = [digest.hex()[:16] for digest in digests]
        async with connection.transaction():
            keys = await copied("keywright.key", "id DESC", key_id=("text", ids))
            await copied(
                "keywright.key_secret",
                "id DESC",
                key=("bigint", [row["id"] for row in keys]),
                digest=("bytea", digests),
            )
            names = [f"{PARENT}/keys/{key_id}" for key_id in ids]
            await copied("keywright.audit_event", "id DESC", resource=("text", names))

    return insert
