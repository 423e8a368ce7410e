"""Many keys, fast: made inside PostgreSQL, for what depends on their number only.

Their secrets are nobody's: each prefix is made of its number, so that a benchmark can name any of
them without asking, and the hash is the same for all.
"""

import base64
import hashlib
import time
from dataclasses import dataclass

import asyncpg

from bench.server import WORKSPACE, Postgres

KEYS_PER_USER = 10

# Identity columns count from where they are; the loaded rows are numbered among themselves. Display
# names are in another order than the keys, so that a list by name has something to sort.
_LOAD = """
WITH workspace AS (SELECT id FROM keywright.workspace WHERE workspace_id = '{workspace}'),
     member AS (SELECT id, scope FROM keywright.role WHERE scope = 0 AND role_id = 'member'),
     loaded_user AS (
         INSERT INTO keywright.user (workspace, user_id, kind, email, email_key, role, role_scope)
         SELECT workspace.id, 'loaded-' || i, 'HUMAN', i || '@loaded.example',
                i || '@loaded.example', member.id, member.scope
         FROM workspace, member, generate_series(0, {users} - 1) AS i
         RETURNING id, workspace, user_id, email
     ),
     loaded_key AS (
         INSERT INTO keywright.key (workspace, key_id, owner, owner_user_id, owner_email,
                                    creator_user_id, creator_email, display_name, environment)
         SELECT u.workspace, u.user_id || '-' || i, u.id, u.user_id, u.email, u.user_id, u.email,
                'Loaded ' || substr(md5(u.id || '-' || i), 1, 8), 'live'
         FROM loaded_user u, generate_series(0, {per_user} - 1) AS i
         RETURNING id
     )
INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash)
SELECT id, {prefix}, substr(sha256(int8send(n)), 1, 8), '{hash}'
FROM (SELECT id, row_number() OVER () - 1 AS n FROM loaded_key) AS numbered
"""
# 12 characters of a SHA-256 in base64, its two signs replaced by letters: as good as random.
_PREFIX = "left(translate(encode(sha256(int8send(n)), 'base64'), '+/', 'xy'), 12)"
_HASH = "$argon2id$v=19$m=1024,t=1,p=1$" + "A" * 22 + "$" + "A" * 43
_TABLES = ("user", "key", "key_secret")


def loaded_prefix(number: int) -> str:
    """The prefix of the key of that number, from 0."""
    digest = base64.b64encode(hashlib.sha256(number.to_bytes(8, "big")).digest()).decode()
    return digest.translate(str.maketrans("+/", "xy"))[:12]


def loaded_user(number: int) -> str:
    """The id of the user of that number, from 0."""
    return f"loaded-{number}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A database with that many keys.

    Attributes:
        load_seconds: how long they took to load.
    """

    keys: int
    dsn: str
    admin_token: str
    load_seconds: float

    @classmethod
    async def new(cls, postgres: Postgres, name: str, keys: int) -> "Loaded":
        """A new database of that name."""
        dsn, admin_token = await postgres.database(name)
        began = time.perf_counter()
        await load_keys(dsn, keys)
        return cls(keys, dsn, admin_token, time.perf_counter() - began)

    @property
    def name(self) -> str:
        """What a row is called."""
        return f"{self.keys:,} keys"


async def load_keys(dsn: str, count: int) -> None:
    """Add `count` keys (a multiple of `KEYS_PER_USER`) to a migrated database.

    Foreign keys are checked once at the end instead of at each row.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            checks = await connection.fetch(
                """
                SELECT conrelid::regclass::text AS "table", conname AS name,
                       pg_get_constraintdef(oid) AS rule
                FROM pg_constraint
                WHERE contype = 'f' AND conrelid = ANY($1::regclass[])
                """,
                [f"keywright.{table}" for table in _TABLES],
            )
            for check in checks:
                await connection.execute(
                    f"ALTER TABLE {check['table']} DROP CONSTRAINT {check['name']}"
                )
            await connection.execute(
                _LOAD.format(
                    workspace=WORKSPACE,
                    users=count // KEYS_PER_USER,
                    per_user=KEYS_PER_USER,
                    prefix=_PREFIX,
                    hash=_HASH,
                )
            )
            for check in checks:
                await connection.execute(
                    f"ALTER TABLE {check['table']} ADD CONSTRAINT {check['name']} {check['rule']}"
                )
        for table in _TABLES:
            await connection.execute(f"VACUUM ANALYZE keywright.{table}")
    finally:
        await connection.close()
