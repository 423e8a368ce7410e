"""Tokens that were found where they should not be: whoever holds one may end it.

Nobody is told whether there was such a token: the key's owner is, by the audit trail.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keywright.domain.audit import Outcome, time_value
from keywright.domain.decision import Credential
from keywright.domain.errors import Denied, Reason
from keywright.domain.keys import Address, KeyState
from keywright.domain.sessions import Session, SessionState
from keywright.domain.text import check_description
from keywright.domain.token import redact
from keywright.security.failure_limit import source_of
from keywright.service.call import row_of
from keywright.service.notices import LEAK_REPORTED, Notices, digest, of_key
from keywright.service.proving import Proving
from keywright.storage.audit import AuditEvent
from keywright.storage.credentials import Seen
from keywright.storage.database import Database, Writes


@dataclass(frozen=True, slots=True)
class LeakReport:
    """A token, and where it was found; `address` and `call_id` are of the call that says so."""

    token: str
    source: str
    address: Address | None
    call_id: str


@dataclass(frozen=True, slots=True)
class Leaks:
    """Ends leaked tokens."""

    database: Database
    proving: Proving
    notices: Notices

    async def report(self, report: LeakReport, *, within: timedelta | None) -> None:
        """End a token: its key, or what is left of its grace if a rotation has replaced it.

        Of a token that was imported into several workspaces, that is each of its keys. One that
        stands no more is noticed, once a minute.

        Raises:
            InvalidFields: `source` is no prose.
            ServiceError: OVERLOADED or FAILURES_LIMITED: there may be more to end; try again.
            Unavailable: the database cannot be reached.
        """
        source = redact(check_description(report.source, "source"))
        report = replace(report, source=source)
        # Strangers have a share of their own: behind a gateway, all have its address.
        stranger = f"report {source_of(report.address, '')}"
        try:
            async for credential, seen in self.proving.each(report.token, stranger):
                await self._reported(report, credential, seen, within)
        except Denied:  # nothing that anybody holds
            return

    async def _reported(
        self, report: LeakReport, credential: Credential, seen: Seen, within: timedelta | None
    ) -> None:
        now, reason = seen.now, _over(credential, seen.now)
        if reason is None:
            workspace = credential.workspace_internal_id

            async def transaction(writes: Writes) -> tuple[datetime, Reason | None]:
                await writes.authority.lock(held_workspace=workspace, calling=[row_of(credential)])
                again = await writes.read.credentials.again(credential.secret_internal_id)
                if not again.found:  # deleted meanwhile
                    return again.now, None
                (found,) = again.found
                over = _over(found.credential, again.now)
                if over is None:
                    await _end(writes, found.credential, report, again.now)
                return again.now, over

            now, reason = await self.database.writing(transaction, within=within)
        if reason is not None:
            self.notices.leak_reported(credential, reason, now, report.address, report.source)


def _over(credential: Credential, now: datetime) -> Reason | None:
    """Why a token is of no use to anybody for good; None if it may be."""
    record = credential.record
    if isinstance(record, Session):
        return None if record.revoke_time is None else Reason.SESSION_REVOKED
    if record.stored_state is KeyState.REVOKED:
        return Reason.KEY_REVOKED
    ends = credential.secret_not_after
    return Reason.TOKEN_RETIRED if ends is not None and ends <= now else None


async def _end(writes: Writes, credential: Credential, report: LeakReport, now: datetime) -> None:
    """What kills a token, with its event, and what moves the history on as the last thing."""
    record, replaced = credential.record, credential.secret_not_after
    before: dict[str, str | None]
    after: dict[str, str | None]
    if isinstance(record, Session):
        await writes.sessions.revoke(record.internal_id)
        before, after = {"state": record.state(now)}, {"state": SessionState.REVOKED}
    elif replaced is None:
        await writes.keys.set_state([record.internal_id], KeyState.REVOKED)
        before, after = {"state": record.stored_state}, {"state": KeyState.REVOKED}
        after["prefix"] = record.prefix
    else:
        await writes.keys.end_grace(record.internal_id)
        before, after = {"retire_time": time_value(replaced)}, {"retire_time": time_value(now)}
        after["prefix"] = record.prefix
    await writes.audit.insert(
        AuditEvent(
            workspace_id=credential.workspace_id,
            action=LEAK_REPORTED,
            resource=str(record.name),
            actor="",
            credential="",
            client_address="" if report.address is None else str(report.address),
            call_id=report.call_id,
            change={
                "before": before,
                "after": {**after, "source": report.source},
            },
            outcome=Outcome.NOTICED,
        )
    )
    # Whoever reports it again within the minute is counted, as if that had been a notice.
    await writes.notices.passing([digest(of_key(credential.rests_on[0], LEAK_REPORTED))])
    await writes.authority.advance([row_of(credential)])
