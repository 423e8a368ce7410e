"""The audit trail, in the background of a server: sealed, and kept for as long as is configured."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from keywright.app.background import Background
from keywright.domain.audit_trail import Seal
from keywright.wire.rpc import Backend

if TYPE_CHECKING:
    from keywright.app.composition import Parts

_log = structlog.get_logger("keywright.audit")

_INTERVAL = timedelta(milliseconds=500)
_RETENTION_INTERVAL = timedelta(hours=1)


def sealed(seal: Seal) -> None:
    """Write a seal to the log: there the database's owner cannot take it back."""
    _log.info(
        "sealed",
        workspace=seal.workspace_id,
        number=seal.number,
        count=seal.event_count,
        digest=seal.digest.hex(),
        signature=base64.b64encode(seal.signature).decode(),
        public_key=base64.b64encode(seal.public_key).decode(),
    )


def found_broken(workspace_id: str) -> None:
    """Tell that a chain was tampered with: this is not mended by waiting."""
    _log.error("the audit trail does not end where it did: not sealed", workspace=workspace_id)


def removal_held(workspace_id: str) -> None:
    """Tell why events that are too old are still there."""
    _log.warning("nothing is removed: old events are not sealed", workspace=workspace_id)


@asynccontextmanager
async def keeping_the_trail(
    parts: "Parts", backend: Backend, background: Background
) -> AsyncIterator[None]:
    """While the block runs and the database is there: seal, make months, remove those too old.

    At the end what is left is sealed.
    """
    loop = asyncio.get_running_loop()
    retention_due = loop.time()

    async def seal() -> None:
        if backend.services is not None:
            await parts.sealer.run()

    async def keep() -> None:
        nonlocal retention_due
        if backend.services is not None and loop.time() >= retention_due:
            retention_due = loop.time() + _RETENTION_INTERVAL.total_seconds()
            await parts.audit_retention.run()

    async with (
        background.repeating("seal the audit trail", seal, every=_INTERVAL, at_the_end=seal),
        background.repeating("keep the audit trail's months", keep, every=_INTERVAL),
    ):
        yield
