"""Explanations: every rule that decides about a credential, or a user, and what each comes to.

The answer itself is `decide`'s and `decide_user`'s, and so are the refusals of all rules but those
about permissions: what is here cannot deny otherwise than they do, and a property test holds the
steps to the answer. Steps are in the order in which the rules are looked at, so that the first
which denies is the reason of the denial.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from keywright.domain import decision
from keywright.domain.authority import Authority, authority_of
from keywright.domain.decision import Asked, Credential
from keywright.domain.directory import Grant, Owner, State, User
from keywright.domain.errors import Denied, Reason
from keywright.domain.keys import Key, KeyState
from keywright.domain.names import GrantName, RoleName, UserName, WorkspaceName
from keywright.domain.permissions import EVERYTHING, PermissionSet
from keywright.domain.roles import Role
from keywright.domain.sessions import Session
from keywright.domain.steps import Rule, Step, Verdict

# Where else a permission would be had is a hint, and a user may have thousands of grants.
_ELSEWHERE_MAX_COUNT = 20


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, and the steps that lead to it; `denied` is None where it is yes."""

    denied: Denied | None
    steps: tuple[Step, ...]


def explain_key(credential: Credential, asked: Asked, now: datetime) -> Explanation:
    """Why a key is, or is not, good for what is asked at `now`, on the database's clock."""
    key, user, authority = credential.key, credential.user, credential.authority
    steps = [
        *_standing(credential, now),
        *_states(user, credential.workspace_state),
        _holding(user),
        *_limits(key, authority, asked),
    ]
    for permission in asked.required_permissions:
        steps += _giving(user, authority, asked.resource, permission)
        steps += _narrowing(key, permission)
    return Explanation(_denial(lambda: decision.decide(credential, asked, now)), tuple(steps))


def explain_session(credential: Credential, asked: Asked, now: datetime) -> Explanation:
    """Why a session, which takes nothing away from its user, is good for what is asked or not."""
    session, user = credential.record, credential.user
    assert isinstance(session, Session), "asked of sessions only"  # noqa: S101
    ends = session.idle_expire_time
    unending = replace(session, last_used_time=now, expire_time=now + session.idle_timeout)
    unrevoked = replace(session, revoke_time=None, is_withdrawn=False)
    steps = [
        _checked(
            Rule.CREDENTIAL_STATE,
            session.name,
            lambda: decision.check_session(unending, now),
            "the session was not revoked",
        ),
        _checked(
            Rule.EXPIRY,
            session.name,
            lambda: decision.check_session(unrevoked, now),
            f"the session stands until {ends.isoformat()}, or longer if it is used",
        ),
        *_states(user, credential.workspace_state),
    ]
    for permission in asked.required_permissions:
        steps += _giving(user, credential.authority, asked.resource, permission)
    return Explanation(_denial(lambda: decision.decide(credential, asked, now)), tuple(steps))


def explain_user(owner: Owner, workspace_state: State, asked: Asked) -> Explanation:
    """Why a user may, or may not, do what is asked, whatever its keys take away from that."""
    steps = _states(owner.user, workspace_state)
    for permission in asked.required_permissions:
        steps += _giving(owner.user, authority_of(owner), asked.resource, permission)
    denied = _denial(lambda: decision.decide_user(owner, workspace_state, asked))
    return Explanation(denied, tuple(steps))


def explain_orphan(key: Key) -> Explanation:
    """Why a key does not stand whose user was deleted: no look-up finds it."""
    denied = Denied(Reason.TOKEN_UNKNOWN, "the user was deleted, and with it what the key proved")
    user = UserName(key.workspace_id, key.owner.user_id)
    step = Step(
        Rule.USER_STATE, Verdict.DENIES, str(user), denied.message, reason=Reason.TOKEN_UNKNOWN
    )
    return Explanation(denied, (step,))


# --- rules that `decide` has a check for --------------------------------------------------------


def _standing(credential: Credential, now: datetime) -> list[Step]:
    """The state of the key, and its end: each as though the other were not."""
    key = credential.key
    unending, enabled = replace(key, expire_time=None), replace(key, stored_state=KeyState.ACTIVE)

    def ended() -> None:
        decision.check_key(enabled, now)
        decision.check_secret(credential, now)

    ends = credential.expire_time
    state = _checked(
        Rule.CREDENTIAL_STATE,
        key.name,
        lambda: decision.check_key(unending, now),
        "the key is enabled",
    )
    expiry = _checked(
        Rule.EXPIRY,
        key.name,
        ended,
        "the key does not expire" if ends is None else f"the key stands until {ends.isoformat()}",
    )
    # Expiry outlasts being disabled, and revocation outlasts expiry.
    return [expiry, state] if key.state(now) is KeyState.EXPIRED else [state, expiry]


def _states(user: User, workspace_state: State) -> list[Step]:
    return [
        _checked(
            Rule.WORKSPACE_STATE,
            WorkspaceName(user.workspace_id),
            lambda: decision.check_workspace(workspace_state),
            "the workspace is enabled",
        ),
        _checked(
            Rule.USER_STATE,
            user.name,
            lambda: decision.check_user(user),
            "the user is enabled",
        ),
    ]


def _holding(user: User) -> Step:
    role = user.role
    return _checked(
        Rule.KEY_HOLDING,
        _role_name(user, role),
        lambda: decision.check_holding(role),
        f"the role {role.role_id} may use keys"
        if role.role_id
        else "the user has no role that could keep it from using keys",
    )


def _limits(key: Key, authority: Authority, asked: Asked) -> list[Step]:
    """Environment, networks and resource of the key; neutral where nothing has to hold."""
    networks, bound = key.narrowing.allowed_networks, authority.narrowing.resource
    return [
        _checked(
            Rule.ENVIRONMENT,
            key.name,
            lambda: decision.check_environment(key.environment, asked.required_environment),
            f"the key is for the environment {key.environment}",
            binds=bool(asked.required_environment),
        ),
        _checked(
            Rule.NETWORK,
            key.name,
            lambda: decision.check_address(key.narrowing, asked.client_address),
            f"the key may be used from {asked.client_address}"
            if networks
            else "the key is not bound to networks",
            values=tuple(map(str, networks)),
            binds=bool(networks),
        ),
        _checked(
            Rule.KEY_RESOURCE,
            key.name,
            lambda: authority.check_bound(asked.resource),
            f"the key is bound to a resource that covers {asked.resource}"
            if bound
            else "the key is not bound to a resource",
            values=(bound,) if bound else (),
            binds=bool(bound),
        ),
    ]


def _checked(
    rule: Rule,
    subject: object,
    check: Callable[[], object],
    otherwise: str,
    *,
    values: tuple[str, ...] = (),
    binds: bool = True,
) -> Step:
    """The step of a check: it denies in the check's own words, else it allows, or is neutral."""
    if denied := _denial(check):
        return Step(rule, Verdict.DENIES, str(subject), denied.message, values, denied.reason)
    verdict = Verdict.ALLOWS if binds else Verdict.NEUTRAL
    return Step(rule, verdict, str(subject), otherwise, values)


def _denial(check: Callable[[], object]) -> Denied | None:
    try:
        check()
    except Denied as denied:
        return denied
    return None


# --- permissions --------------------------------------------------------------------------------


def _giving(user: User, authority: Authority, resource: str, permission: str) -> Iterator[Step]:
    """The user's role and grants, of which one has to give the permission.

    Where none does it is the role that denies: it is the first that could have given it.
    """
    role, grants = user.role, authority.grants_at(resource)
    # What crosses workspaces is in no set of permissions outside of `system`, not even in all.
    can_be_given = not authority.lacking([permission], PermissionSet([EVERYTHING]))

    def gives(permissions: PermissionSet) -> bool:
        return can_be_given and permissions.allows(permission)

    lacks = (
        f"the role {role.role_id} does not give {permission}"
        if role.role_id
        else f"the user has no role that could give {permission}"
    )
    reason = None
    if gives(role.permissions):
        verdict, message = Verdict.ALLOWS, f"the role {role.role_id} gives {permission}"
    elif any(gives(each.permissions) for each in grants):
        verdict, message = Verdict.NEUTRAL, f"{lacks}, but a grant does"
    else:
        verdict, reason = Verdict.DENIES, Reason.PERMISSION_MISSING
        count = f"no grant does on {resource}" if resource else "grants count on a resource only"
        message = f"{lacks}, and {count}"
        if not can_be_given:
            message = f"{permission} crosses workspaces: only users of the workspace system have it"
    patterns = tuple(sorted(role.permissions.patterns))
    yield Step(Rule.USER_ROLE, verdict, _role_name(user, role), message, patterns, reason)
    for grant in grants:
        yield _grant(user, grant, permission, gives=gives(grant.permissions))
    elsewhere = {each.resource for each in authority.grants if gives(each.permissions)}
    if verdict is Verdict.DENIES and elsewhere:
        message = f"grants give {permission} on other resources"
        some = tuple(sorted(elsewhere)[:_ELSEWHERE_MAX_COUNT])
        yield Step(Rule.GRANT, Verdict.NEUTRAL, "", message, some)


def _grant(user: User, grant: Grant, permission: str, *, gives: bool) -> Step:
    return Step(
        Rule.GRANT,
        Verdict.ALLOWS if gives else Verdict.NEUTRAL,
        str(GrantName(user.workspace_id, grant.grant_id)),
        f"the grant of {grant.role_id} on {grant.resource} "
        f"{'gives' if gives else 'does not give'} {permission}",
        tuple(sorted(grant.permissions.patterns)),
    )


def _narrowing(key: Key, permission: str) -> list[Step]:
    """The key's role and scopes, each of which has to leave what the user has."""
    role, scopes = key.narrowing.role, key.narrowing.scopes
    return [
        Step(Rule.KEY_ROLE, Verdict.NEUTRAL, str(key.name), "no role narrows the key")
        if role is None
        else _within(
            Rule.KEY_ROLE,
            str(RoleName(key.workspace_id, role.role_id)),
            role.permissions,
            permission,
            f"the permissions of the role {role.role_id}",
        ),
        _within(Rule.KEY_SCOPES, str(key.name), PermissionSet(scopes), permission, "its scopes")
        if scopes
        else Step(Rule.KEY_SCOPES, Verdict.NEUTRAL, str(key.name), "no scopes narrow the key"),
    ]


def _within(rule: Rule, subject: str, bounds: PermissionSet, permission: str, what: str) -> Step:
    """The step of `what` a key is narrowed to, and of which there are `bounds`."""
    values = tuple(sorted(bounds.patterns))
    if bounds.allows(permission):
        message = f"the key is narrowed to {what}, which cover {permission}"
        return Step(rule, Verdict.ALLOWS, subject, message, values)
    message = f"the key is narrowed to {what}, which do not cover {permission}"
    return Step(rule, Verdict.DENIES, subject, message, values, Reason.PERMISSION_MISSING)


def _role_name(user: User, role: Role) -> str:
    """The name of a user's role; empty where it has none."""
    return str(RoleName(user.workspace_id, role.role_id)) if role.role_id else ""
