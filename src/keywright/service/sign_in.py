"""Signing in: the links that admins make, and the sessions that a proof of who one is gives.

A proof is a link, which is used up by it, a key, or an id token of OpenID Connect. Whoever is
proven is locked until the session is there: once it was disabled, or all its sessions were revoked,
none comes into being by what was proven before. And of its sessions only so many stand.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

from keywright.domain import creation
from keywright.domain import decision as rules
from keywright.domain import permissions as p
from keywright.domain.audit import time_value
from keywright.domain.authority import NO_NARROWING
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import State, User, UserKind
from keywright.domain.errors import (
    Denied,
    NotFound,
    Reason,
    ServiceError,
    Unavailable,
    authority_exceeded,
)
from keywright.domain.names import UserName, WorkspaceName
from keywright.domain.secret import Secret
from keywright.domain.sessions import (
    LINK_LIFETIME,
    LINK_WORD,
    SignInMethod,
)
from keywright.domain.text import check_description
from keywright.domain.token import Token, TokenFormat, TokenMalformedError, mint_parts
from keywright.security.id_tokens import Identity, IdTokenError, IdTokens
from keywright.security.provider_keys import ProviderKeysError
from keywright.service.admins import is_admin
from keywright.service.admission import Source
from keywright.service.authenticate import Authenticate
from keywright.service.call import Call, ConfirmedCall
from keywright.service.minting import Mint
from keywright.service.mutation import Committed, Mutated, changing, claim, creating, keep
from keywright.service.opening import Entry, Opening, ShownSession
from keywright.service.verifying import unknown
from keywright.service.visibility import is_named
from keywright.storage.database import Database, Writes
from keywright.storage.sessions import Link


@dataclass(frozen=True, slots=True)
class ShownLink:
    """What a link carries, which is shown this once (promise G9), and when it ends."""

    token: Secret[str]
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class _Proven:
    """Who signs in without a credential, and where; by internal and public ids."""

    workspace: int
    workspace_id: str
    user: int
    user_id: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """Makes links and sessions."""

    database: Database
    mint: Mint
    token_format: TokenFormat
    authenticate: Authenticate
    opening: Opening
    id_tokens: IdTokens | None

    async def create_link(self, call: Call, name: UserName) -> Committed[ShownLink]:
        """Make a link that signs a person in, whose authority is at most the caller's.

        An operator makes one for an admin of any workspace.

        Raises:
            NotFound: there is no such user for the caller.
            ServiceError: STATE_CONFLICT, AUTHORITY_EXCEEDED.
        """
        _may_link(call, name)
        prefix, secret = mint_parts(self.mint.entropy)

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[ShownLink]:
            _may_link(confirmed, name)
            owner = await writes.read.users.owner(name.workspace, name.user)
            if owner is None:
                raise NotFound(str(name))
            if name.workspace == confirmed.caller.workspace_id:
                creation.check_sign_in(confirmed.caller, owner)
            elif not is_admin(owner.user.role):
                raise NotFound(str(name))
            _check_person(owner.user)
            ends = await writes.sessions.insert_link(
                owner.user.internal_id,
                prefix,
                link_digest(secret),
                lifetime=LINK_LIFETIME,
                not_after=confirmed.caller.credential.gives_until,
            )
            event = confirmed.event(
                "CreateSignInLink",
                owner.user.name,
                workspace_id=name.workspace,
                after={"expire_time": time_value(ends)},
            )
            await writes.audit.insert(event)
            token = self.token_format.render(Token(LINK_WORD, prefix, secret))
            return Mutated(ShownLink(token, ends), confirmed.position)

        return await creating(self.database, call, transaction)

    async def by_link(self, entry: Entry, text: str) -> Committed[ShownSession]:
        """Sign in whom a link is for, and use it up: of several at once one is let in.

        Raises:
            Denied: SESSION_LINK_INVALID; the user or the workspace is disabled.
            ServiceError: FAILURES_LIMITED.
        """
        _check(entry)
        self._admit(entry)
        link = await self._link(text)
        if link is None:
            self._failed(entry)
            raise _link_invalid()
        if not link.is_good and entry.request is None:
            raise _link_invalid()

        async def use(writes: Writes, _user: User) -> None:
            if not await writes.sessions.use_link(link.internal_id):
                raise _link_invalid()

        proven = _Proven(link.workspace, link.workspace_id, link.user, link.user_id)
        return await self._enter(
            entry, proven, SignInMethod.LINK, use, _link_invalid(), not_after=link.not_after
        )

    async def by_key(self, entry: Entry, text: str) -> Committed[ShownSession]:
        """Sign in the user of a key that takes nothing away, for as long as the key could do so.

        Whatever becomes of the key or of this token of it, its session is withdrawn with it: the
        look-up of the session joins them (`storage.sessions`).

        Raises:
            Denied: the key does not stand, or may not be used from where the call comes.
            ServiceError: AUTHORITY_EXCEEDED, STATE_CONFLICT, FAILURES_LIMITED.
        """
        _check(entry)
        principal = await self.authenticate.caller(text, entry.peer)
        if principal.credential.kind is not ChangeKind.KEY:  # it would never end
            raise unknown()
        if principal.credential.record.narrowing != NO_NARROWING:
            raise authority_exceeded(
                "a session has its user's whole authority, and the key has not", "key_token"
            )
        _check_person(principal.user)
        minted = await self.mint.secret()
        call = Call(
            principal,
            entry.call_id,
            entry.peer,
            entry.remaining,
            entry.request,
            settling=None,
            waits=False,
        )

        async def transaction(writes: Writes) -> Mutated[ShownSession]:
            confirmed = await call.lock(writes)
            credential = confirmed.caller.credential
            if credential.record.narrowing != NO_NARROWING:
                raise authority_exceeded("the key was narrowed meanwhile", "key_token")
            shown, ended = await self.opening.open(
                writes,
                entry,
                confirmed.caller.user,
                SignInMethod.KEY,
                minted,
                not_after=credential.gives_until,
                key=credential,
            )
            return Mutated(shown, confirmed.position, ended)

        return await changing(self.database, call, transaction)

    async def by_id_token(
        self, entry: Entry, workspace: WorkspaceName, text: str, nonce: str
    ) -> Committed[ShownSession]:
        """Sign in the person whom the provider has seen.

        Found by `external_id`, else by an e-mail address that the provider has verified.

        Raises:
            Denied: SESSION_ID_TOKEN_INVALID, SESSION_USER_UNKNOWN; the user or the workspace is
                disabled.
            ServiceError: FAILURES_LIMITED.
            Unavailable: the provider's keys cannot be had.
        """
        _check(entry)
        self._admit(entry)
        identity = await self._identity(entry, text, nonce)
        async with self.database.reading() as reads:
            found = await reads.workspaces.get(workspace.workspace)
            user = await reads.users.identified(
                workspace.workspace, identity.subject, identity.email
            )
        if found is None or user is None or user.kind is not UserKind.HUMAN:
            raise _user_unknown()

        async def check(_writes: Writes, user: User) -> None:
            by_email = identity.email is not None and is_named(
                user, UserName(workspace.workspace, identity.email)
            )
            if user.external_id != identity.subject and not by_email:
                raise _user_unknown()

        proven = _Proven(found.internal_id, found.workspace_id, user.internal_id, user.user_id)
        return await self._enter(entry, proven, SignInMethod.OPENID_CONNECT, check, _user_unknown())

    async def _identity(self, entry: Entry, text: str, nonce: str) -> Identity:
        if self.id_tokens is None:
            raise _id_token_invalid("this installation has no OpenID Connect provider")
        try:
            return await self.id_tokens.verify(text, nonce)
        except IdTokenError as error:
            self._failed(entry)
            raise _id_token_invalid(str(error)) from None
        except ProviderKeysError as error:
            raise Unavailable(
                Reason.SERVER_UNAVAILABLE,
                "the keys of the OpenID Connect provider cannot be had; try again",
            ) from error

    async def _enter(
        self,
        entry: Entry,
        proven: _Proven,
        method: SignInMethod,
        check: Callable[[Writes, User], Awaitable[None]],
        gone: Denied,
        *,
        not_after: datetime | None = None,
    ) -> Committed[ShownSession]:
        """Sign in who is proven without a credential; `check` looks at the proof once more."""
        minted = await self.mint.secret()

        async def transaction(writes: Writes) -> Committed[ShownSession]:
            if replayed := await claim(writes, proven.user, entry.request):
                raise replayed
            await writes.authority.lock(held_workspace=proven.workspace, users=[proven.user])
            seen = await writes.read.workspaces.now(proven.workspace)
            user = await writes.read.users.get(proven.workspace_id, proven.user_id)
            if user is None or user.internal_id != proven.user:
                raise gone
            await check(writes, user)
            rules.check_workspace(seen.workspace.state)
            rules.check_user(user)
            shown, ended = await self.opening.open(
                writes, entry, user, method, minted, not_after=not_after
            )
            await keep(writes, proven.user, entry.request, shown)
            return Committed(
                shown, await writes.authority.advance(ended) if ended else seen.position
            )

        return await self.database.writing(transaction, within=entry.remaining())

    async def _link(self, text: str) -> Link | None:
        """The link that `text` is the secret of, used or not."""
        try:
            token = self.token_format.parse(text)
        except TokenMalformedError:
            return None
        async with self.database.reading() as reads:
            link = await reads.sessions.link(token.prefix)
        if link is None or token.environment != LINK_WORD:
            return None
        return link if compare_digest(link.digest, link_digest(token.secret)) else None

    def _admit(self, entry: Entry) -> None:
        if refusal := self.authenticate.admission.refusal(_source(entry)):
            raise refusal

    def _failed(self, entry: Entry) -> None:
        self.authenticate.admission.failed(_source(entry))


def _check(entry: Entry) -> None:
    check_description(entry.user_agent, "user_agent")


def _source(entry: Entry) -> Source:
    """Where a proof comes from; what somebody unknown says of clients counts for nothing."""
    return Source(None, entry.peer, None)


def _may_link(call: Call, name: UserName) -> None:
    if call.caller.may(p.WORKSPACES_MANAGE) and name.workspace != call.caller.workspace_id:
        return
    call.in_workspace(name.workspace, name)
    if not is_named(call.caller.user, name):
        call.require(p.USERS_MANAGE)


def _check_person(user: User) -> None:
    """The user can sign in at all.

    Raises:
        ServiceError: STATE_CONFLICT.
    """
    if user.kind is not UserKind.HUMAN:
        raise ServiceError(
            Reason.STATE_CONFLICT,
            f"{user.name} is a service user: only people sign in",
            details={"kind": user.kind},
        )
    if user.state is not State.ACTIVE:
        raise ServiceError(
            Reason.STATE_CONFLICT,
            f"{user.name} is disabled: enable the user first",
            details={"state": user.state},
        )


def _link_invalid() -> Denied:
    return Denied(
        Reason.SESSION_LINK_INVALID,
        "the sign-in link is unknown, was used, or is too old: ask for a new one",
    )


def _id_token_invalid(why: str) -> Denied:
    return Denied(Reason.SESSION_ID_TOKEN_INVALID, f"the id token cannot be accepted: {why}")


def _user_unknown() -> Denied:
    return Denied(
        Reason.SESSION_USER_UNKNOWN,
        "nobody in this workspace has this identity: ask an administrator to create the user",
    )


def link_digest(secret: Secret[bytes]) -> bytes:
    """What is stored of a link's secret: 256 random bits need no slow hash."""
    return sha256(secret.reveal()).digest()
