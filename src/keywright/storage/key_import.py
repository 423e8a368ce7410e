"""Keys of other products: inserted by the hundred, in a handful of statements."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.storage.connection import Connection
from keywright.storage.key_changes import NewKey

# A key whose id another transaction has just taken is left out.
_INSERT_KEYS = """
    INSERT INTO keywright.key
        (workspace, key_id, owner, owner_user_id, owner_email, creator, creator_user_id,
         creator_email, creator_credential, display_name, environment, role, role_scope,
         scopes, resource, allowed_networks, rate_requests, rate_period, labels, expire_time,
         create_time, update_time)
    SELECT o.workspace, n.key_id, o.id, o.user_id, coalesce(o.email, ''), $2, $3, $4, $5,
           n.display_name, n.environment, r.id, r.scope, n.scopes, n.resource, n.networks,
           n.rate_requests, n.rate_seconds * interval '1 second', n.labels, n.expire_time,
           n.create_time, $6
    FROM jsonb_to_recordset($1) AS n (
        place integer, key_id text, owner bigint, display_name text, environment text, role bigint,
        scopes text[], resource text, networks cidr[], rate_requests integer,
        rate_seconds double precision, labels jsonb, expire_time timestamptz,
        create_time timestamptz
    )
    JOIN keywright.user o ON o.id = n.owner
    LEFT JOIN keywright.role r ON r.id = n.role
    ORDER BY n.place
    ON CONFLICT DO NOTHING
    RETURNING id, key_id
"""
_INSERT_SECRETS = """
    INSERT INTO keywright.key_secret (key, format, foreign_prefix, digest, hash, create_time)
    SELECT * FROM unnest($1::bigint[], array_fill($2::bigint, ARRAY[cardinality($1)]), $3::text[],
                         $4::bytea[], $5::text[], $6::timestamptz[])
    ON CONFLICT DO NOTHING
    RETURNING key
"""


@dataclass(frozen=True, slots=True)
class NewImported:
    """A key to insert; its record is found by the prefix of `key`, or by a digest."""

    key: NewKey
    digest: bytes | None

    @property
    def place(self) -> str | bytes:
        """Where the record is found, which is unique."""
        return self.key.prefix if self.digest is None else self.digest


class KeyImporter:
    """Inserts keys of other products."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def taken_ids(self, workspace: int, key_ids: Sequence[str]) -> set[str]:
        """Those of the ids that keys of a workspace (by internal id) have."""
        rows = await self._connection.fetch(
            "SELECT key_id FROM keywright.key WHERE workspace = $1 AND key_id = ANY($2)",
            workspace,
            key_ids,
        )
        return {row["key_id"] for row in rows}

    async def taken_places(
        self, workspace: int, places: Collection[str | bytes]
    ) -> set[str | bytes]:
        """Those of the prefixes and digests under which there is a secret already.

        Prefixes of this workspace, whatever the format: the same row with another pattern is not
        another key. Digests of any.
        """
        rows = await self._connection.fetch(
            """
            SELECT foreign_prefix, digest FROM keywright.key_secret
            WHERE foreign_prefix = ANY($2)
              AND format IN (SELECT id FROM keywright.token_format WHERE workspace = $1)
            UNION ALL
            SELECT foreign_prefix, digest FROM keywright.key_secret WHERE digest = ANY($3)
            """,
            workspace,
            [place for place in places if isinstance(place, str)],
            [place for place in places if isinstance(place, bytes)],
        )
        return {row["foreign_prefix"] or row["digest"] for row in rows}

    async def insert(
        self, format_id: int, new: Sequence[NewImported], *, now: datetime
    ) -> Mapping[str, int]:
        """Insert keys with their secrets; all have one creator.

        Returns:
            Internal ids by public ones. What another transaction has made meanwhile is left out.
        """
        creator = new[0].key.creator
        keys = await self._connection.fetch(
            _INSERT_KEYS,
            [_record(place, each.key) for place, each in enumerate(new)],
            creator.internal_id,
            creator.user_id,
            creator.email or "",
            new[0].key.creator_credential,
            now,
        )
        inserted = {row["key_id"]: row["id"] for row in keys}
        proven = [each for each in new if each.key.key_id in inserted]
        secrets = await self._connection.fetch(
            _INSERT_SECRETS,
            [inserted[each.key.key_id] for each in proven],
            format_id,
            [each.key.prefix or None for each in proven],
            [each.digest for each in proven],
            [each.key.hashed.phc for each in proven],
            [each.key.create_time for each in proven],
        )
        complete = {row["key"] for row in secrets}
        bare = [key for key in inserted.values() if key not in complete]
        if bare:
            await self._connection.execute("DELETE FROM keywright.key WHERE id = ANY($1)", bare)
        return {key_id: key for key_id, key in inserted.items() if key in complete}


def _record(place: int, new: NewKey) -> dict[str, object]:
    narrowing, limit = new.narrowing, new.rate_limit
    return {
        "place": place,
        "key_id": new.key_id,
        "owner": new.owner.internal_id,
        "display_name": new.display_name,
        "environment": new.environment,
        "role": None if narrowing.role is None else narrowing.role.internal_id,
        "scopes": narrowing.scopes,
        "resource": narrowing.resource,
        "networks": list(map(str, narrowing.allowed_networks)),
        "rate_requests": None if limit is None else limit.requests,
        "rate_seconds": None if limit is None else limit.period.total_seconds(),
        "labels": dict(new.labels),
        "expire_time": None if new.expire_time is None else new.expire_time.isoformat(),
        "create_time": new.create_time.isoformat(),
    }
