"""Opening sessions, for who was proven to be somebody (`sign_in`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keywright.domain.audit import time_value
from keywright.domain.decision import Credential
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import User
from keywright.domain.identity import mint_id
from keywright.domain.keys import Address
from keywright.domain.names import SessionName
from keywright.domain.secret import Secret
from keywright.domain.sessions import (
    SESSION_WORD,
    SESSIONS_MAX_COUNT,
    SessionAt,
    SessionState,
    SessionTimes,
    SignInMethod,
)
from keywright.domain.token import TokenFormat
from keywright.service.call import Request
from keywright.service.minting import Mint, MintedSecret
from keywright.storage.audit import AuditEvent
from keywright.storage.authority import Change
from keywright.storage.database import Writes
from keywright.storage.sessions import NewSession


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session with its token, which is shown this once (promise G9)."""

    session: SessionAt
    token: Secret[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """Who wants to sign in, as far as the call tells.

    Attributes:
        peer: the address that the call comes from.
        remaining: what is left of the deadline, now; None without one.
        client_address, user_agent: what the caller says of the person's browser, for the record.
    """

    call_id: str
    peer: Address | None
    remaining: Callable[[], timedelta | None]
    request: Request | None
    client_address: Address | None
    user_agent: str


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens sessions, of which so many stand for a user."""

    mint: Mint
    token_format: TokenFormat
    times: SessionTimes

    async def open(
        self,
        writes: Writes,
        entry: Entry,
        user: User,
        method: SignInMethod,
        minted: MintedSecret,
        *,
        not_after: datetime | None,
        key: Credential | None = None,
    ) -> tuple[ShownSession, list[Change]]:
        """Insert a session of a user who is locked, and end those that are too many by it.

        With their audit events; returns what changes by the end of the others.
        """
        ended = await writes.sessions.end_unused(user.internal_id, but=SESSIONS_MAX_COUNT - 1)
        name = SessionName(user.workspace_id, mint_id(self.mint.entropy))
        await writes.sessions.insert(
            NewSession(
                session_id=name.session,
                user=user.internal_id,
                method=method,
                times=self.times,
                client_address=entry.client_address,
                user_agent=entry.user_agent,
                prefix=minted.prefix,
                hashed=minted.hashed,
                not_after=not_after,
                opening_secret=None if key is None else key.secret_internal_id,
            )
        )
        made = await writes.read.sessions.get(name.workspace, name.session)
        assert made is not None, "inserted above"  # noqa: S101
        event = AuditEvent(
            workspace_id=user.workspace_id,
            action="CreateSession",
            resource=str(name),
            actor=str(user.name),
            credential="" if key is None else str(key.record.name),
            actor_email=user.email or "",
            client_address="" if entry.peer is None else str(entry.peer),
            call_id=entry.call_id,
            request_id="" if entry.request is None else entry.request.identity.request_id,
            change={
                "after": {
                    "method": method,
                    "client_address": made.session.client_address,
                    "expire_time": time_value(made.session.expire_time),
                }
            },
        )
        await writes.audit.insert(event)
        if ended:
            revoked = replace(
                event, action="RevokeSession", change={"after": {"state": SessionState.REVOKED}}
            )
            names = [str(SessionName(user.workspace_id, each)) for each in ended.values()]
            await writes.audit.insert_each(revoked, names)
        shown = ShownSession(made, self.token_format.render(minted.token(SESSION_WORD)))
        return shown, [Change(ChangeKind.SESSION, each) for each in ended]
