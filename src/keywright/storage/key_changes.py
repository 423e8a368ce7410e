"""Keys as they are made and changed. A secret is stored as prefix, verifier tag and hash only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keywright.domain.directory import User
from keywright.domain.keys import Key, KeyAt, KeyState, Narrowing, Person, RateLimit
from keywright.domain.secret import HashedSecret
from keywright.storage.audit import AuditEvent, insertion, values
from keywright.storage.connection import Connection
from keywright.storage.keys import KeyFilter, conditions, source

_INSERT = f"""
    WITH inserted AS (
        INSERT INTO keywright.key
            (workspace, key_id, owner, owner_user_id, owner_email, creator, creator_user_id,
             creator_email, creator_credential, display_name, environment, role, role_scope,
             scopes, resource, allowed_networks, rate_requests, rate_period, labels, expire_time,
             create_time, update_time)
        SELECT o.workspace, $2, o.id, o.user_id, coalesce(o.email, ''), $3, $4, $5, $6, $7, $8,
               r.id, r.scope, $10, $11, $12, $13, $14, $15, $16, $21, $21
        FROM keywright.user o LEFT JOIN keywright.role r ON r.id = $9
        WHERE o.id = $1
        RETURNING id
    ), secret AS (
        INSERT INTO keywright.key_secret
            (key, prefix, verifier_tag, hash, pepper_version, create_time)
        SELECT id, $17, $18, $19, $20, $21 FROM inserted
    ), event AS (
        {insertion(22)}
    )
    SELECT id, clock_timestamp() AS now FROM inserted
"""
_UPDATE = """
    UPDATE keywright.key k
    SET display_name = $2, role = r.id, role_scope = r.scope, scopes = $4, resource = $5,
        allowed_networks = $6, rate_requests = $7, rate_period = $8, labels = $9,
        expire_time = $10, version = k.version + 1, update_time = now()
    FROM (VALUES (1)) AS one LEFT JOIN keywright.role r ON r.id = $3
    WHERE k.id = $1
"""
# The newest secret gets its grace; an older one that still had some has none any more, so that no
# more than two stand at a time.
_RETIRE = """
    UPDATE keywright.key_secret s
    SET not_after = CASE WHEN s.id = newest.id THEN now() + $2 ELSE now() END
    FROM (SELECT max(id) AS id FROM keywright.key_secret WHERE key = $1) AS newest
    WHERE s.key = $1 AND (s.not_after IS NULL OR s.not_after > now())
"""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to insert, with its first secret."""

    key_id: str
    owner: User
    creator: User
    creator_credential: str
    display_name: str
    environment: str
    narrowing: Narrowing
    labels: Mapping[str, str]
    rate_limit: RateLimit | None
    expire_time: datetime | None
    prefix: str
    hashed: HashedSecret
    create_time: datetime

    @property
    def key(self) -> Key:
        """The key that this makes."""
        return Key(
            workspace_id=self.owner.workspace_id,
            key_id=self.key_id,
            owner=Person(self.owner.user_id, self.owner.email or ""),
            creator=Person(self.creator.user_id, self.creator.email or ""),
            creator_credential=self.creator_credential,
            display_name=self.display_name,
            narrowing=self.narrowing,
            environment=self.environment,
            prefix=self.prefix,
            stored_state=KeyState.ACTIVE,
            create_time=self.create_time,
            update_time=self.create_time,
            rotate_time=self.create_time,
            expire_time=self.expire_time,
            rate_limit=self.rate_limit,
            labels=self.labels,
            owner_internal_id=self.owner.internal_id,
        )


class KeyWriter:
    """Creates and changes keys, by their internal ids."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, new: NewKey, event: AuditEvent) -> KeyAt:
        """Insert a key, its first secret and the audit event, in one statement.

        Returns:
            The key, as a read would.
        """
        narrowing, limit = new.narrowing, new.rate_limit
        row = await self._connection.fetchrow(
            _INSERT,
            new.owner.internal_id,
            new.key_id,
            new.creator.internal_id,
            new.creator.user_id,
            new.creator.email or "",
            new.creator_credential,
            new.display_name,
            new.environment,
            None if narrowing.role is None else narrowing.role.internal_id,
            list(narrowing.scopes),
            narrowing.resource,
            list(narrowing.allowed_networks),
            None if limit is None else limit.requests,
            None if limit is None else limit.period,
            dict(new.labels),
            new.expire_time,
            new.prefix,
            new.hashed.verifier_tag,
            new.hashed.phc,
            new.hashed.pepper_version,
            new.create_time,
            *values(event),
        )
        assert row is not None, "who deletes users waits for who creates keys"  # noqa: S101
        return KeyAt(replace(new.key, internal_id=row["id"]), row["now"])

    async def update(self, changed: Key) -> None:
        """Write all that `UpdateKey` can change."""
        narrowing, limit = changed.narrowing, changed.rate_limit
        await self._connection.execute(
            _UPDATE,
            changed.internal_id,
            changed.display_name,
            None if narrowing.role is None else narrowing.role.internal_id,
            list(narrowing.scopes),
            narrowing.resource,
            list(narrowing.allowed_networks),
            None if limit is None else limit.requests,
            None if limit is None else limit.period,
            dict(changed.labels),
            changed.expire_time,
        )

    async def rotate(
        self, key: int, prefix: str, hashed: HashedSecret, *, grace: timedelta
    ) -> None:
        """Give a key a new secret; the one of today stands for `grace`, older ones not at all."""
        await self._connection.execute(_RETIRE, key, grace)
        await self._connection.execute(
            "INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash, pepper_version) "
            "VALUES ($1, $2, $3, $4, $5)",
            key,
            prefix,
            hashed.verifier_tag,
            hashed.phc,
            hashed.pepper_version,
        )
        await self._connection.execute(
            "UPDATE keywright.key SET version = version + 1, update_time = now() WHERE id = $1", key
        )

    async def set_state(self, keys: Sequence[int], state: KeyState) -> None:
        """Disable, enable or revoke keys; `REVOKED` is final."""
        await self._connection.execute(
            """
            UPDATE keywright.key
            SET state = $2, revoke_time = CASE WHEN $2 = 'REVOKED' THEN now() END,
                version = version + 1, update_time = now()
            WHERE id = ANY($1) AND state NOT IN ('REVOKED', $2)
            """,
            keys,
            state,
        )

    async def revoke_all_of(self, owner: int) -> list[str]:
        """Revoke all keys of a user that are not yet; returns their public ids."""
        rows = await self._connection.fetch(
            """
            UPDATE keywright.key
            SET state = 'REVOKED', revoke_time = now(), version = version + 1, update_time = now()
            WHERE owner = $1 AND state <> 'REVOKED'
            RETURNING key_id
            """,
            owner,
        )
        return [row["key_id"] for row in rows]

    async def lock(self, workspace_id: str, only: KeyFilter) -> dict[int, str]:
        """Lock the keys that match, in the order of their ids: public ids by internal id."""
        where = conditions(workspace_id, only)
        rows = await self._connection.fetch(
            f"SELECT k.id, k.key_id {source(where.sql)} WHERE {where.sql} "
            "ORDER BY k.id FOR NO KEY UPDATE OF k",
            *where.values,
        )
        return {row["id"]: row["key_id"] for row in rows}

    async def remember(self, user: User) -> None:
        """Keep a user's e-mail in the keys that it has or created: it is about to be deleted."""
        await self._connection.execute(
            "UPDATE keywright.key SET owner_email = $2 WHERE owner = $1",
            user.internal_id,
            user.email or "",
        )
        await self._connection.execute(
            "UPDATE keywright.key SET creator_email = $2 WHERE creator = $1",
            user.internal_id,
            user.email or "",
        )

    async def delete(self, key: int) -> None:
        """Delete a key and its secrets."""
        await self._connection.execute("DELETE FROM keywright.key WHERE id = $1", key)

    async def renew_hash(self, secret: int, old_hash: str, renewed: HashedSecret) -> None:
        """Replace a secret's hash by one with today's parameters, unless someone was faster."""
        await self._connection.execute(
            """
            UPDATE keywright.key_secret
            SET hash = $3, pepper_version = $4, verifier_tag = $5, hash_version = hash_version + 1
            WHERE id = $1 AND hash = $2
            """,
            secret,
            old_hash,
            renewed.phc,
            renewed.pepper_version,
            renewed.verifier_tag,
        )
