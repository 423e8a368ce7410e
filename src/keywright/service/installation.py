"""What all processes of an installation have to agree on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from keywright.security.pepper import PepperRing
from keywright.storage.connections import ConnectionLimits
from keywright.storage.database import Database, Writes

BESIDE_THE_POOL = 2
"""Connections of a process that belong to no pool: for its lease, and for signs of life."""

_DEAD_AFTER_LENGTHS = 10


class LeaseLengthError(Exception):
    """Other processes of the installation count by another length of leases."""

    def __init__(self, asked: timedelta, agreed: timedelta) -> None:
        super().__init__(
            f"lease_length is {agreed.total_seconds():g} s in this installation, and processes run "
            f"by that: stop them all before one is started with {asked.total_seconds():g} s, or "
            "leave KEYWRIGHT_LEASE_LENGTH out"
        )


class TooFewConnectionsError(Exception):
    """The database has fewer connections than the processes of this machine would use."""

    def __init__(self, processes: int, each: int, limits: ConnectionLimits) -> None:
        allowed, why = _allowed(limits)
        whom = "a process needs" if processes == 1 else f"{processes} processes need"
        times = "" if processes == 1 else f"{processes} x {each} = "
        super().__init__(
            f"{whom} {times}{processes * each} connections to the database (the pool's "
            f"{each - BESIDE_THE_POOL} and {BESIDE_THE_POOL} beside it, each), and it has "
            f"{allowed}: {why}. Set KEYWRIGHT_WORKERS or KEYWRIGHT_DATABASE_POOL_SIZE to less, or "
            "raise the limit"
        )


def _allowed(limits: ConnectionLimits) -> tuple[int, str]:
    """How many connections there are for us, and by which limit."""
    of_server = f"max_connections is {limits.most}"
    if limits.reserved:
        of_server += f", of which {limits.reserved} are reserved"
    found = [(limits.most - limits.reserved, of_server)]
    if limits.of_role is not None:
        found.append((limits.of_role, f"the connection limit of the role is {limits.of_role}"))
    if limits.of_database is not None:
        of_database = f"the connection limit of the database is {limits.of_database}"
        found.append((limits.of_database, of_database))
    return min(found)


@dataclass(frozen=True, slots=True)
class Installation:
    """Reads and records what is shared, on a migrated database."""

    database: Database

    async def signing_key(self) -> bytes:
        """The key that authenticates page tokens and revisions."""
        async with self.database.reading() as reads:
            return await reads.installation.signing_key()

    async def durability_warnings(self) -> Sequence[str]:
        """What the database may lose of what it has committed; nothing if all is well."""
        async with self.database.reading() as reads:
            return await reads.durability.warnings()

    async def check_connections(self, processes: int, pool_size: int) -> None:
        """See that the database has as many connections as these processes may use.

        Raises:
            TooFewConnectionsError: it has not.
        """
        async with self.database.reading() as reads:
            limits = await reads.connections.limits()
        each = pool_size + BESIDE_THE_POOL
        if processes * each > _allowed(limits)[0]:
            raise TooFewConnectionsError(processes, each, limits)

    async def agree_on_lease_length(self, asked: timedelta | None) -> timedelta:
        """The length of leases; None asks for the one that the installation has.

        Another one can be had when no process runs. A row that is left of one that was killed
        shows that by standing still.

        Raises:
            LeaseLengthError: processes run by another length than is asked for.
        """
        async with self.database.reading() as reads:
            agreed = await reads.installation.lease_length()
            before = await reads.installation.replicas()
        if asked is None or asked == agreed:
            return agreed
        if before:
            await asyncio.sleep(_DEAD_AFTER_LENGTHS * agreed.total_seconds())

        async def change(writes: Writes) -> bool:
            return await writes.installation.change_lease_length(asked, dead=before)

        if not await self.database.writing(change):
            raise LeaseLengthError(asked, agreed)
        return asked

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
