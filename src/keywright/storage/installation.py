"""What all processes of an installation share: the signing key and the peppers' fingerprints."""

from collections.abc import Collection, Mapping

from keywright.storage.connection import Connection


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

    async def record_peppers(self, fingerprints: Mapping[int, bytes]) -> None:
        """Remember `fingerprints` that are not known yet; a known version keeps its own."""
        await self._connection.executemany(
            "INSERT INTO keywright.pepper (version, fingerprint) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING",
            list(fingerprints.items()),
        )
