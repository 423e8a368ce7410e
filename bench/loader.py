"""Many keys, fast: made inside PostgreSQL, for what depends on their number only.

Their secrets are nobody's: each prefix is made of its number, so that a benchmark can name any of
them without asking, and the hash is the same for all. `load_tokens` gives some of them secrets.
"""

import asyncio
import base64
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncpg

from bench.server import WORKSPACE, Postgres
from keywright.domain.secret import Secret
from keywright.domain.token import SECRET_BYTES, Token, TokenFormat, verifier_tag
from keywright.security.hashing import TOKEN, hash_secret

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
# What costs time at each row, and what makes it anew: rules between tables, and all indexes but
# those that such a rule needs.
_LATER = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname) AS drop,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname,
              pg_get_constraintdef(c.oid)) AS create
FROM pg_constraint c
WHERE c.conrelid = ANY($1::regclass[])
  AND (c.contype = 'f' OR c.contype = 'u' AND NOT EXISTS (
      SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = c.conindid
  ))
UNION ALL
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
FROM pg_index i
WHERE i.indrelid = ANY($1::regclass[])
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""
_GIVE_SECRETS = """
UPDATE keywright.key_secret AS s SET verifier_tag = given.tag, hash = given.hash
FROM unnest($1::text[], $2::bytea[], $3::text[]) AS given (prefix, tag, hash)
WHERE s.prefix = given.prefix
"""


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

    @classmethod
    async def shared(cls, postgres: Postgres, keys: int) -> "Loaded":
        """A database for whoever only reads it, or changes what the others do not look at."""
        name = f"loaded_{keys}"
        if (postgres.dsn, name) not in _shared:
            _shared[postgres.dsn, name] = await cls.new(postgres, name, keys)
        return _shared[postgres.dsn, name]

    @property
    def name(self) -> str:
        """What a row is called."""
        return f"{self.keys:,} keys"


_shared: dict[tuple[str, str], Loaded] = {}


async def load_keys(dsn: str, count: int) -> None:
    """Add `count` keys (a multiple of `KEYS_PER_USER`) to a migrated database.

    Foreign keys are checked and indexes are built once at the end, instead of at each row.
    """
    tables = [f"keywright.{table}" for table in _TABLES]
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
            later = await connection.fetch(_LATER, tables)
            for each in later:
                await connection.execute(each["drop"])
            await connection.execute(
                _LOAD.format(
                    workspace=WORKSPACE,
                    users=count // KEYS_PER_USER,
                    per_user=KEYS_PER_USER,
                    prefix=_PREFIX,
                    hash=_HASH,
                )
            )
            for each in later:
                await connection.execute(each["create"])
        for table in _TABLES:
            await connection.execute(f"VACUUM ANALYZE keywright.{table}")
    finally:
        await connection.close()


async def load_tokens(dsn: str, count: int) -> list[str]:
    """Add `count` keys (a multiple of `KEYS_PER_USER`) with a secret each; returns their tokens."""
    await load_keys(dsn, count)
    return await give_secrets(dsn, count)


async def give_secrets(dsn: str, count: int) -> list[str]:
    """Give the first `count` of the loaded keys a secret each; returns their tokens."""
    tokens = [
        Token("live", loaded_prefix(n), Secret(os.urandom(SECRET_BYTES))) for n in range(count)
    ]
    with ThreadPoolExecutor() as pool:  # Argon2 leaves the interpreter to others
        hashes = await asyncio.get_running_loop().run_in_executor(
            None, lambda: list(pool.map(_hash, tokens))
        )
    connection = await asyncpg.connect(dsn)
    try:
        tags = [verifier_tag(token.secret) for token in tokens]
        await connection.execute(_GIVE_SECRETS, [each.prefix for each in tokens], tags, hashes)
        await connection.execute("VACUUM ANALYZE keywright.key_secret")
    finally:
        await connection.close()
    return [TokenFormat().render(token).reveal() for token in tokens]


def _hash(token: Token) -> str:
    return hash_secret(token.secret, TOKEN, os.urandom(TOKEN.salt_len))
