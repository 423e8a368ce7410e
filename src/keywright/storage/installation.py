"""What all processes of an installation share: the signing key and the peppers' fingerprints."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from keywright.storage.connection import Connection, row_count


class InstallationReader:
    """Reads the one row of settings, and fingerprints."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def signing_key(self) -> bytes:
        """The key that authenticates page tokens and revisions (it protects no secret)."""
        key: bytes = await self._connection.fetchval(
            "SELECT signing_key FROM keywright.installation"
        )
        return key

    async def lease_length(self) -> timedelta:
        """For how long any process may answer from memory without acknowledging."""
        length: timedelta = await self._connection.fetchval(
            "SELECT lease_length FROM keywright.installation"
        )
        return length

    async def replicas(self) -> dict[UUID, int]:
        """The processes that take part, each with how often it has renewed its lease."""
        rows = await self._connection.fetch("SELECT id, counter FROM keywright.replica")
        return {row["id"]: row["counter"] for row in rows}

    async def audit_signing_key(self) -> bytes:
        """The seed of the key that signs the audit trail where no other is configured."""
        seed: bytes = await self._connection.fetchval(
            "SELECT audit_signing_key FROM keywright.installation"
        )
        return seed

    async def pepper_fingerprints(self, configured: Collection[int]) -> dict[int, bytes]:
        """Fingerprint by version, of each pepper that some secret needs or that is `configured`."""
        rows = await self._connection.fetch(
            """
            SELECT version, fingerprint FROM keywright.pepper p
            WHERE version = ANY($1)
               OR EXISTS (SELECT FROM keywright.key_secret WHERE pepper_version = p.version)
            """,
            list(configured),
        )
        return {row["version"]: row["fingerprint"] for row in rows}


class InstallationWriter:
    """Records fingerprints."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def change_lease_length(self, length: timedelta, *, dead: Mapping[UUID, int]) -> bool:
        """Let leases have another length; False if any process takes part.

        Not those of `dead` whose counters are still the same: they are removed. Whoever registers
        meanwhile waits for this row, or was waited for.
        """
        await self._connection.execute("SELECT FROM keywright.installation FOR UPDATE")
        await self._connection.execute(
            "DELETE FROM keywright.replica r USING unnest($1::uuid[], $2::bigint[]) AS d (id, "
            "counter) WHERE (r.id, r.counter) = (d.id, d.counter)",
            list(dead),
            list(dead.values()),
        )
        changed = await self._connection.execute(
            "UPDATE keywright.installation SET lease_length = $1 "
            "WHERE NOT EXISTS (SELECT FROM keywright.replica)",
            length,
        )
        return row_count(changed) == 1

    async def record_peppers(self, fingerprints: Mapping[int, bytes]) -> None:
        """Remember `fingerprints` that are not known yet; a known version keeps its own."""
        await self._connection.executemany(
            "INSERT INTO keywright.pepper (version, fingerprint) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING",
            list(fingerprints.items()),
        )
