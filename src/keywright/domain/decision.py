"""The decision: does this credential stand now, and may it do what is asked?

Pure, and the only place where it is made: `Authenticate`, the check of every caller and the check
inside every transaction come here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from keywright.domain.authority import Authority, authority_of
from keywright.domain.dependency import ChangeKind, dependency
from keywright.domain.directory import Owner, State, User
from keywright.domain.errors import Denied, Reason
from keywright.domain.keys import Address, Key, KeyState, Narrowing
from keywright.domain.permissions import PermissionSet
from keywright.domain.position import Position
from keywright.domain.roles import Role
from keywright.domain.sessions import SESSION_WORD, Session, SessionState

MISSING_TOLD_MAX_COUNT = 8
"""Missing permissions that a denial names. Denials are remembered as they are told, and whoever
asks chooses what is missing."""


@dataclass(frozen=True, slots=True)
class Credential:
    """All that a decision about a key or a session needs, as one snapshot of the database shows."""

    record: Key | Session
    user: User
    workspace_state: State
    authority: Authority
    secret_not_after: datetime | None = None
    workspace_internal_id: int = 0
    secret_internal_id: int = 0

    @property
    def key(self) -> Key:
        """The key, where it can be nothing else."""
        assert isinstance(self.record, Key), "asked of keys only"  # noqa: S101
        return self.record

    @property
    def kind(self) -> ChangeKind:
        """Which of the two it is."""
        return ChangeKind.SESSION if isinstance(self.record, Session) else ChangeKind.KEY

    @property
    def workspace_id(self) -> str:
        """The id of the workspace of the credential and its user."""
        return self.record.workspace_id

    @property
    def token_word(self) -> str:
        """What its token says in the environment's place."""
        return SESSION_WORD if isinstance(self.record, Session) else self.record.environment

    @property
    def expire_time(self) -> datetime | None:
        """When this very credential ends: with its record, or when its token's grace is over.

        Of a session that is the end which no use puts off.
        """
        times = (self.record.expire_time, self.secret_not_after)
        return min((each for each in times if each is not None), default=None)

    @property
    def gives_until(self) -> datetime | None:
        """When what it creates has to end at the latest; None: never.

        A session's own end is no bound: a person who has signed in for a day makes keys that last.
        """
        return self.record.not_after if isinstance(self.record, Session) else self.expire_time

    @property
    def rests_on(self) -> list[int]:
        """The dependencies of every decision about this credential."""
        roles = [self.user.role, self.authority.narrowing.role]
        role_ids = {each.internal_id for each in roles if each is not None}
        role_ids |= {each.role_internal_id for each in self.authority.grants}
        opening = self.record.opening_key if isinstance(self.record, Session) else None
        return [
            dependency(self.kind, self.record.internal_id),
            dependency(ChangeKind.USER, self.user.internal_id),
            dependency(ChangeKind.WORKSPACE, self.workspace_internal_id),
            *(dependency(ChangeKind.ROLE, each) for each in sorted(role_ids)),
            *(dependency(ChangeKind.KEY, each.internal_id) for each in (opening,) if each),
        ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the presented token is to be good for. Empty is: stands, nothing more."""

    resource: str = ""
    required_permissions: Sequence[str] = ()
    required_environment: str = ""
    client_address: Address | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The answer: who this is, with which credential and permissions.

    `decided_at` is the moment of the decision on the database's clock, `position` the point in the
    history of authority as of which the credential was seen.
    """

    credential: Credential
    permissions: PermissionSet
    decided_at: datetime
    position: Position | None = None

    @property
    def user(self) -> User:
        """Whose authority it is."""
        return self.credential.user

    @property
    def workspace_id(self) -> str:
        """In which workspace."""
        return self.credential.workspace_id

    def may(self, permission: str) -> bool:
        """Whether `permission` is among this principal's."""
        return not self.credential.authority.lacking([permission], self.permissions)

    def may_at(self, resource: str, permission: str) -> bool:
        """Whether this principal has `permission` on `resource`: by its role, or by grants there.

        A key that is bound to a resource has no permission anywhere else.
        """
        there = self.permissions_at(resource)
        return not self.credential.authority.lacking([permission], there)

    def permissions_at(self, resource: str) -> PermissionSet:
        """All that this principal may do on `resource` (empty: in the workspace as such)."""
        try:
            return self.credential.authority.at(resource)
        except Denied:  # the key is bound to another one
            return PermissionSet()

    def resources_with(self, permission: str) -> tuple[str, ...]:
        """Where this principal has `permission`: on these resources and below them.

        `("",)` is everywhere. Authority rises at the resources of grants and nowhere else, and
        begins at the resource that the key is bound to, so no other has to be looked at.
        """
        if self.may(permission):
            return ("",)
        authority = self.credential.authority
        rises = {each.resource for each in authority.grants} | {authority.narrowing.resource}
        return tuple(sorted(each for each in rises - {""} if self.may_at(each, permission)))


def stands(credential: Credential, now: datetime) -> None:
    """Whether the credential stands at `now`, on the database's clock.

    Raises:
        Denied: it does not; the reason is told only to whoever proved the right secret.
    """
    if isinstance(credential.record, Session):
        check_session(credential.record, now)
    else:
        check_key(credential.record, now)
        check_secret(credential, now)
    check_workspace(credential.workspace_state)
    check_user(credential.user)
    if isinstance(credential.record, Key):  # a guest may sign in all the same
        check_holding(credential.user.role)


def decide(credential: Credential, asked: Asked, now: datetime) -> Principal:
    """The principal, if the credential stands and is good for what is asked.

    Raises:
        Denied: it is not; no constraint is skipped because the caller left something out.
    """
    stands(credential, now)
    permissions = permitted(credential.record.environment, credential.authority, asked)
    return Principal(credential, permissions, now)


def permitted(environment: str, authority: Authority, asked: Asked) -> PermissionSet:
    """All that a key which stands may do, if it is good for what is asked.

    Raises:
        Denied: it is not.
    """
    check_environment(environment, asked.required_environment)
    check_address(authority.narrowing, asked.client_address)
    return _permitted(authority, asked)


def decide_user(owner: Owner, workspace_state: State, asked: Asked) -> PermissionSet:
    """All that a user may do on the asked resource, with a key that takes nothing away.

    Raises:
        Denied: the user, or its workspace, is disabled, or it lacks what is asked.
    """
    check_workspace(workspace_state)
    check_user(owner.user)
    return _permitted(authority_of(owner), asked)


def identify(
    credential: Credential,
    address: Address | None,
    now: datetime,
    position: Position | None = None,
) -> Principal:
    """The principal of who calls us from `address`, for whatever it calls us.

    A key that is bound to a resource has no authority in the workspace as such, so it has no
    permissions here; what it may do on its resource is asked of its `authority`.

    Raises:
        Denied: the credential does not stand, or may not be used from there.
    """
    stands(credential, now)
    check_address(credential.record.narrowing, address)
    bound = credential.authority.narrowing.resource
    permissions = PermissionSet() if bound else credential.authority.at("")
    return Principal(credential, permissions, now, position)


# The rules one by one, each of which raises `Denied`. An explanation asks them one by one, too.


def check_key(key: Key, now: datetime) -> None:
    """The key stands."""
    match key.state(now):
        case KeyState.REVOKED:
            _deny(Reason.KEY_REVOKED, "the key was revoked")
        case KeyState.EXPIRED:
            _deny(Reason.KEY_EXPIRED, "the key has expired")
        case KeyState.DISABLED:
            _deny(Reason.KEY_DISABLED, "the key is disabled")
        case KeyState.ACTIVE:
            pass


def check_session(session: Session, now: datetime) -> None:
    """The session stands."""
    match session.state(now):
        case SessionState.REVOKED:
            what = (
                "the key that opened the session may open none any more"
                if session.revoke_time is None
                else "the session was revoked or signed out"
            )
            _deny(Reason.SESSION_REVOKED, f"{what}: sign in again")
        case SessionState.EXPIRED:
            _deny(Reason.SESSION_EXPIRED, "the session has ended: sign in again")
        case SessionState.ACTIVE:
            pass


def check_secret(credential: Credential, now: datetime) -> None:
    """The token is the key's newest, or its grace lasts."""
    if credential.secret_not_after is not None and now >= credential.secret_not_after:
        _deny(Reason.TOKEN_RETIRED, "a rotation of the key replaced this token")


def check_workspace(state: State) -> None:
    """The workspace is in use."""
    if state is not State.ACTIVE:
        _deny(Reason.WORKSPACE_DISABLED, "the workspace is disabled")


def check_user(user: User) -> None:
    """The user may act."""
    if user.state is not State.ACTIVE:
        _deny(Reason.USER_DISABLED, "the user is disabled")


def check_holding(role: Role) -> None:
    """The user's role lets it use keys."""
    if not role.may_hold_keys:
        _deny(Reason.KEYS_NOT_ALLOWED, f"the role {role.role_id} may not use keys")


def check_environment(environment: str, required: str) -> None:
    """The key's environment is the one that is required, if one is."""
    if required and required != environment:
        what = (
            f"the key is for the environment {environment}" if environment else "a session has none"
        )
        _deny(Reason.ENVIRONMENT_MISMATCH, f"{what}, not {required}")


def check_address(narrowing: Narrowing, address: Address | None) -> None:
    """The key may be used from there."""
    if not narrowing.allowed_networks:
        return
    if address is None:
        _deny(Reason.ADDRESS_REQUIRED, "the key is bound to networks: say client_address")
    if not any(address in network for network in narrowing.allowed_networks):
        _deny(Reason.ADDRESS_NOT_ALLOWED, "the key may not be used from this address")


def _permitted(authority: Authority, asked: Asked) -> PermissionSet:
    permissions = authority.at(asked.resource)
    if missing := authority.lacking(asked.required_permissions, permissions):
        told = missing[:MISSING_TOLD_MAX_COUNT]
        more = f" and {len(missing) - len(told)} more" if len(missing) > len(told) else ""
        raise Denied(
            Reason.PERMISSION_MISSING,
            f"lacks {', '.join(told)}{more}",
            details={"missing": ",".join(told)},
        )
    return permissions


def _deny(reason: Reason, message: str) -> NoReturn:
    raise Denied(reason, message)
