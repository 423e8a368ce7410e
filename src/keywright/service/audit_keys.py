"""Which key signs the audit trail's seals, and which keys' signatures count."""

from dataclasses import dataclass

from keywright.security.audit_signing import AuditSigner, TrustedKeys
from keywright.storage.database import Database


@dataclass(slots=True)
class AuditKeys:
    """The key of this process and those that are trusted besides.

    `configured` is the one of a key file. Without one, a key that the database keeps signs: the
    seals then prove nothing to who does not trust the database's owner.
    """

    database: Database
    configured: AuditSigner | None
    listed: TrustedKeys
    _kept: AuditSigner | None = None

    async def signer(self) -> AuditSigner:
        """The key that signs."""
        if self.configured is not None:
            return self.configured
        if self._kept is None:
            async with self.database.reading() as reads:
                self._kept = AuditSigner.of_seed(await reads.installation.audit_signing_key())
        return self._kept

    async def trusted(self) -> TrustedKeys:
        """The keys whose signatures count: never one because a seal says so."""
        return self.listed.and_of(await self.signer())
