"""What all processes of an installation have to agree on."""

from dataclasses import dataclass

from keywright.security.pepper import PepperRing
from keywright.storage.database import Database


@dataclass(frozen=True, slots=True)
class Installation:
    """Reads and records what is shared, on a migrated database."""

    database: Database

    async def signing_key(self) -> bytes:
        """The key that authenticates page tokens and revisions."""
        async with self.database.reading() as reads:
            return await reads.installation.signing_key()

    async def agree_on_peppers(self, peppers: PepperRing) -> None:
        """Hold this process to the peppers that others use, and others to this one's.

        To be called before the first secret is hashed: a server with a wrong pepper is not ready,
        and never rejects anybody for it. Checked again after recording, because another process may
        have recorded a pepper of the same version in between.

        Raises:
            PepperMismatchError: a pepper is missing here, or differs.
        """
        await self._check(peppers)
        current = peppers.current
        if current is None:
            return
        recorded = {current: peppers.fingerprint(current)}
        await self.database.writing(lambda writes: writes.installation.record_peppers(recorded))
        await self._check(peppers)

    async def _check(self, peppers: PepperRing) -> None:
        async with self.database.reading() as reads:
            peppers.check(await reads.installation.pepper_fingerprints(peppers.peppers.keys()))
