"""An audit trail of a workspace of its own, which a test fills, seals and tampers with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from keywright.domain.audit_trail import Seal
from keywright.security.audit_signing import AuditSigner, TrustedKeys
from keywright.service.audit_keys import AuditKeys
from keywright.service.sealing import Sealer
from keywright.storage.database import Database
from tests.security.contract import new_id
from tests.support.service import Caller, Service, first_admin

PATIENCE = timedelta(seconds=20)


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Database]:
    """A pool as a server has it."""
    database = await Database.open(
        dsn, size=4, connect_timeout=PATIENCE, statement_timeout=PATIENCE
    )
    try:
        yield database
    finally:
        await database.close()


def sealer(database: Database, signer: AuditSigner | None = None) -> Sealer:
    """A sealer in this process; without a `signer`, with the key that the database keeps."""

    def ignore(_what: Seal | str) -> None:
        pass

    return Sealer(database, AuditKeys(database, signer, TrustedKeys()), ignore, ignore)


@dataclass
class Trail:
    """The trail of one workspace, and who may read it."""

    service: Service
    database: Database
    workspace_id: str
    admin: Caller

    @property
    def parent(self) -> str:
        return f"workspaces/{self.workspace_id}"

    async def add(self, count: int = 3, *, at: datetime | None = None) -> None:
        """Insert events, by default of now, and seal them: a seal of their own."""
        await self.insert(count, at=at)
        await self.seal()

    async def insert(self, count: int, *, at: datetime | None = None) -> None:
        """Insert events."""
        await self.sql(
            """
            INSERT INTO keywright.audit_event
                (create_time, workspace_id, action, resource, actor, credential)
            SELECT coalesce($3, now()), $1, 'UpdateKey', 'workspaces/' || $1 || '/keys/k' || i,
                   'workspaces/' || $1 || '/users/ann', ''
            FROM generate_series(1, $2) AS i
            """,
            count,
            at,
        )

    async def seal(self) -> None:
        """Seal what waits, here or in the server, whoever comes first."""
        here = sealer(self.database)
        while await self.value("SELECT count(*) FROM keywright.audit_event WHERE seal IS NULL"):
            await here.run()

    async def sql(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Behind everybody's back; `$1` is the workspace's id."""
        if "$1" not in statement:
            return await self.service.sql(statement, *values)
        return await self.service.sql(statement, self.workspace_id, *values)

    async def value(self, statement: str, *values: object) -> Any:
        """The first value."""
        return (await self.sql(statement, *values))[0][0]

    async def verify(self, **asked: Any) -> Any:
        """Verify to the end, or to the first break; the last reply."""
        reply = await self.admin.do("VerifyAuditTrail", parent=self.parent, **asked)
        while reply.intact and not reply.complete:
            asked["from_seal"] = reply.last_seal
            reply = await self.admin.do("VerifyAuditTrail", parent=self.parent, **asked)
        return reply

    async def seals(self) -> list[Any]:
        """All seals."""
        reply = await self.admin.do("ListAuditSeals", parent=self.parent, page_size=1000)
        return list(reply.audit_seals)


async def new_trail(service: Service, database: Database, *sizes: int) -> Trail:
    """A trail with a seal of each of these sizes, after those of its workspace's making."""
    workspace_id = new_id("w")
    token = await first_admin(service.dsn, workspace_id)
    trail = Trail(service, database, workspace_id, service.as_caller(token))
    await trail.seal()
    for size in sizes:
        await trail.add(size)
    return trail
