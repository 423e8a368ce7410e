"""Why a key, or a user, may do something or not: for whoever may see all that decides it."""

from dataclasses import dataclass

from keywright.domain import access
from keywright.domain.decision import Asked
from keywright.domain.errors import NotFound
from keywright.domain.explanation import (
    Explanation,
    explain_key,
    explain_orphan,
    explain_session,
    explain_user,
)
from keywright.domain.names import KeyName, SessionName, UserName
from keywright.domain.position import Position
from keywright.service.call import Call
from keywright.service.visibility import visible_session
from keywright.storage.database import Database


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation, and the position of the history that it was found at."""

    explanation: Explanation
    position: Position


@dataclass(frozen=True, slots=True)
class ExplainAccess:
    """Explains decisions as they would be made now."""

    database: Database

    async def key(self, call: Call, name: KeyName, asked: Asked) -> Explained:
        """Why a token of this key, its newest, would be allowed or denied.

        Raises:
            NotFound: there is none, or the caller may not see the key and its user.
        """
        call.in_workspace(name.workspace, name)
        async with self.database.reading() as reads:
            found = await reads.keys.get(name.workspace, name.key)
            if found is None:
                raise NotFound(str(name))
            if found.key.owner_internal_id is None and access.covers_key(call.caller, found.key):
                return Explained(explain_orphan(found.key), await reads.position())
            seen = await reads.credentials.of_key(found.key.internal_id)
        if seen is None or not access.may_explain_key(
            call.caller, seen.credential.key, seen.credential.user
        ):
            raise NotFound(str(name))
        return Explained(explain_key(seen.credential, asked, seen.now), seen.position)

    async def session(self, call: Call, name: SessionName, asked: Asked) -> Explained:
        """Why this session would be allowed or denied.

        Raises:
            NotFound: there is none, or the caller may not see the session, its user and grants.
        """
        async with self.database.reading() as reads:
            found = await visible_session(reads, call, name)
            seen = await reads.credentials.of_session(found.session.internal_id)
        if seen is None or not access.may_explain_user(call.caller, seen.credential.user):
            raise NotFound(str(name))
        return Explained(explain_session(seen.credential, asked, seen.now), seen.position)

    async def user(self, call: Call, name: UserName, asked: Asked) -> Explained:
        """Why this user, with a key that takes nothing away, may do something or not.

        Raises:
            NotFound: there is none, or the caller may not see the user and its grants.
        """
        call.in_workspace(name.workspace, name)
        async with self.database.reading() as reads:
            seen = await reads.users.seen(name.workspace, name.user)
        if seen is None or not access.may_explain_user(call.caller, seen.owner.user):
            raise NotFound(str(name))
        explanation = explain_user(seen.owner, seen.workspace_state, asked)
        return Explained(explanation, seen.position)
