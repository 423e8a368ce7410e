"""Everything that takes authority away (DESIGN, section 5), each as a subject to be asked about.

A subject has one request that is allowed as long as it is wide. What narrows it for good is made
anew for each narrowing; what can be undone is narrowed again and again.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc

from keywright.v1 import auth_service_pb2 as pb
from tests.consistency.history import History, Subject
from tests.support.service import PARENT, Caller, RefusedError, first_admin

INSIDE, OUTSIDE = "192.0.2.0/24", "198.51.100.0/24"
ADDRESS = "192.0.2.7"
PROJECT = "projects/narrowed"


@dataclass(frozen=True, slots=True)
class Call:
    """A method of the contract and the fields of its request."""

    method: str
    fields: Mapping[str, Any]
    by_operator: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A subject with what is asked about it, and what narrows and widens it.

    `widen` is None where nothing does. `copies` is to how many processes at once the narrowing
    goes: whichever returns first must keep the promise, though it may have found nothing to do.
    """

    subject: Subject
    request: pb.AuthenticateRequest
    narrow: Call
    widen: Call | None = None
    copies: int = 1


async def doing(caller: Caller, call: Call) -> Any:
    """Make a call, and again as long as others are in the way, as the error says to."""
    while True:
        try:
            return await caller.do(call.method, **call.fields)
        except RefusedError as refused:
            if refused.code is not grpc.StatusCode.ABORTED:
                raise


Make = Callable[["Directory"], Awaitable[Case]]


@dataclass
class Directory:
    """Makes subjects in the database of `dsn`; `admin` is of the workspace `default`."""

    dsn: str
    admin: Caller
    history: History

    def id(self) -> str:
        """One that nobody else has."""
        return f"n{uuid.uuid4().hex[:20]}"

    async def do(self, method: str, **fields: Any) -> Any:
        """Any method, by the admin."""
        return await doing(self.admin, Call(method, fields))

    async def user(self, role: str = "member") -> str:
        """A new user's name."""
        user_id = self.id()
        given = {"email": f"{user_id}@example.com", "role": role_name(role)}
        made = await self.do("CreateUser", parent=PARENT, user_id=user_id, user=given)
        return made.user.name

    async def key(self, **given: Any) -> tuple[str, str]:
        """A new key: its name and its token. Of a user of its own, unless one is given."""
        if "user" not in given:
            given["user"] = await self.user()
        made = await self.do("CreateKey", parent=PARENT, key=given, key_id=self.id())
        return made.key.name, made.token

    async def session(self, user: str) -> tuple[str, str]:
        """A new session of a user: its name and its token."""
        link = await self.do("CreateSignInLink", user=user)
        made = await self.do("CreateSession", link_token=link.link_token)
        return made.session.name, made.token

    async def key_session(self) -> tuple[str, str]:
        """A new key's name, and the token of a session that it opened."""
        name, token = await self.key()
        return name, (await self.do("CreateSession", key_token=token)).token

    def case(
        self,
        kind: str,
        reason: str,
        token: str,
        narrow: Call,
        widen: Call | None = None,
        *,
        copies: int = 1,
        **asked: Any,
    ) -> Case:
        """A case whose narrowing is denied with `reason`."""
        subject = self.history.subject(kind, reason)
        request = pb.AuthenticateRequest(token=token, **asked)
        return Case(subject, request, narrow, widen, copies)


def role_name(role_id: str) -> str:
    """The name of a role in the workspace `default`."""
    return f"{PARENT}/roles/{role_id}"


def changing(name: str, /, **fields: Any) -> Call:
    """An update of these fields of a key, a user or a role."""
    what = name.split("/")[2].removesuffix("s")
    return Call(
        f"Update{what.capitalize()}",
        {what: {"name": name, **fields}, "update_mask": {"paths": list(fields)}},
    )


def _named(method: str, name: str, **fields: Any) -> Call:
    return Call(method, {"name": name, **fields})


# --- for good ---------------------------------------------------------------------------------


async def revoked(directory: Directory) -> Case:
    name, token = await directory.key(user=f"{PARENT}/users/admin")
    return directory.case("revoke key", "KEY_REVOKED", token, _named("RevokeKey", name))


async def revoked_twice(directory: Directory) -> Case:
    """Two at once: one of them finds nothing left to narrow."""
    name, token = await directory.key(user=f"{PARENT}/users/admin")
    narrow = _named("RevokeKey", name)
    return directory.case("revoke key, twice", "KEY_REVOKED", token, narrow, copies=2)


async def revoked_again(directory: Directory) -> Case:
    """Two at once with one request id: one of them is a repetition."""
    name, token = await directory.key(user=f"{PARENT}/users/admin")
    narrow = _named("RevokeKey", name, request_id=f"again-{directory.id()}-of-one-request")
    return directory.case("revoke key, repeated", "KEY_REVOKED", token, narrow, copies=2)


async def revoked_with_others(directory: Directory) -> Case:
    label = {"narrowed": directory.id()}
    _name, token = await directory.key(user=f"{PARENT}/users/admin", labels=label)
    narrow = Call("RevokeKeys", {"parent": PARENT, "filter": {"labels": label}})
    return directory.case("revoke keys", "KEY_REVOKED", token, narrow)


async def deleted(directory: Directory) -> Case:
    name, token = await directory.key(user=f"{PARENT}/users/admin")
    return directory.case("delete key", "TOKEN_UNKNOWN", token, _named("DeleteKey", name))


async def rotated(directory: Directory) -> Case:
    """Without grace, the old secret ends."""
    name, token = await directory.key(user=f"{PARENT}/users/admin")
    narrow = _named("RotateKey", name, grace=timedelta(0))
    return directory.case("rotate key", "TOKEN_RETIRED", token, narrow)


async def of_a_deleted_user(directory: Directory) -> Case:
    user = await directory.user()
    _name, token = await directory.key(user=user)
    narrow = _named("DeleteUser", user, force=True)
    return directory.case("delete user", "TOKEN_UNKNOWN", token, narrow)


async def signed_out(directory: Directory) -> Case:
    name, token = await directory.session(await directory.user("guest"))
    return directory.case("revoke session", "SESSION_REVOKED", token, _named("RevokeSession", name))


async def signed_out_everywhere(directory: Directory) -> Case:
    user = await directory.user("guest")
    _name, token = await directory.session(user)
    narrow = Call("RevokeSessions", {"parent": PARENT, "user": user})
    return directory.case("revoke sessions", "SESSION_REVOKED", token, narrow)


async def opened_by_a_revoked_key(directory: Directory) -> Case:
    name, token = await directory.key_session()
    narrow = _named("RevokeKey", name)
    return directory.case("revoke key of a session", "SESSION_REVOKED", token, narrow)


# --- and back ---------------------------------------------------------------------------------


async def disabled(directory: Directory) -> Case:
    name, token = await directory.key()
    calls = (_named("DisableKey", name), _named("EnableKey", name))
    return directory.case("disable key", "KEY_DISABLED", token, *calls)


async def opened_by_a_disabled_key(directory: Directory) -> Case:
    name, token = await directory.key_session()
    calls = (_named("DisableKey", name), _named("EnableKey", name))
    return directory.case("disable key of a session", "SESSION_REVOKED", token, *calls)


async def of_a_disabled_user(directory: Directory) -> Case:
    user = await directory.user()
    _name, token = await directory.key(user=user)
    calls = (_named("DisableUser", user), _named("EnableUser", user))
    return directory.case("disable user", "USER_DISABLED", token, *calls)


async def signed_in_while_disabled(directory: Directory) -> Case:
    user = await directory.user("guest")
    _name, token = await directory.session(user)
    calls = (_named("DisableUser", user), _named("EnableUser", user))
    return directory.case("disable user who has signed in", "USER_DISABLED", token, *calls)


async def of_a_demoted_user(directory: Directory) -> Case:
    user = await directory.user()
    _name, token = await directory.key(user=user)
    calls = (changing(user, role=role_name(role)) for role in ("labeler", "member"))
    return directory.case(
        "demote user", "PERMISSION_MISSING", token, *calls, required_permissions=["datasets.read"]
    )


async def of_a_user_made_guest(directory: Directory) -> Case:
    user = await directory.user()
    _name, token = await directory.key(user=user)
    calls = (changing(user, role=role_name(role)) for role in ("guest", "member"))
    return directory.case("make user a guest", "KEYS_NOT_ALLOWED", token, *calls)


async def of_a_narrowed_role(directory: Directory) -> Case:
    token, role = await _with_a_role_of_its_own(directory)
    calls = (
        changing(role, permissions=permissions)
        for permissions in (["keys.own"], ["keys.own", "datasets.read"])
    )
    return directory.case(
        "narrow role", "PERMISSION_MISSING", token, *calls, required_permissions=["datasets.read"]
    )


async def of_a_role_without_keys(directory: Directory) -> Case:
    token, role = await _with_a_role_of_its_own(directory)
    calls = (changing(role, may_hold_keys=may_hold_keys) for may_hold_keys in (False, True))
    return directory.case("keep role from keys", "KEYS_NOT_ALLOWED", token, *calls)


async def of_a_role_that_narrows_a_key(directory: Directory) -> Case:
    """The role is the key's, not its user's."""
    role_id = directory.id()
    permissions = ["keys.own", "datasets.read"]
    given = {"permissions": permissions, "may_hold_keys": True}
    role = (await directory.do("CreateRole", parent=PARENT, role_id=role_id, role=given)).role
    _name, token = await directory.key(role=role.name)
    calls = (changing(role.name, permissions=each) for each in (["keys.own"], permissions))
    return directory.case(
        "narrow key's role",
        "PERMISSION_MISSING",
        token,
        *calls,
        required_permissions=["datasets.read"],
    )


async def with_a_lesser_role(directory: Directory) -> Case:
    name, token = await directory.key()
    calls = (changing(name, role=each) for each in (role_name("labeler"), ""))
    return directory.case(
        "lower key's role",
        "PERMISSION_MISSING",
        token,
        *calls,
        required_permissions=["datasets.read"],
    )


async def with_fewer_scopes(directory: Directory) -> Case:
    name, token = await directory.key(scopes=["datasets.*", "labels.*"])
    calls = (changing(name, scopes=scopes) for scopes in (["labels.*"], ["datasets.*", "labels.*"]))
    return directory.case(
        "narrow scopes",
        "PERMISSION_MISSING",
        token,
        *calls,
        required_permissions=["datasets.read"],
    )


async def with_fewer_networks(directory: Directory) -> Case:
    name, token = await directory.key(allowed_networks=[INSIDE, OUTSIDE])
    calls = (
        changing(name, allowed_networks=networks) for networks in ([OUTSIDE], [INSIDE, OUTSIDE])
    )
    return directory.case(
        "narrow networks", "ADDRESS_NOT_ALLOWED", token, *calls, client_address=ADDRESS
    )


async def bound_elsewhere(directory: Directory) -> Case:
    name, token = await directory.key()
    calls = (changing(name, resource=each) for each in ("projects/other", ""))
    return directory.case("bind key", "RESOURCE_MISMATCH", token, *calls, resource=PROJECT)


async def without_a_grant(directory: Directory) -> Case:
    user = await directory.user("labeler")
    _name, token = await directory.key(user=user)
    grant_id = directory.id()
    grant = {"user": user, "resource": PROJECT, "role": role_name("editor")}
    give = Call("CreateGrant", {"parent": PARENT, "grant": grant, "grant_id": grant_id})
    await directory.do(give.method, **give.fields)
    return directory.case(
        "delete grant",
        "PERMISSION_MISSING",
        token,
        _named("DeleteGrant", f"{PARENT}/grants/{grant_id}"),
        give,
        resource=PROJECT,
        required_permissions=["projects.write"],
    )


async def of_a_narrowed_role_on_a_resource(directory: Directory) -> Case:
    """The role is one that a grant gives, not the user's own."""
    role_id, user = directory.id(), await directory.user("labeler")
    _name, token = await directory.key(user=user)
    given = {"permissions": ["projects.write"]}
    role = (await directory.do("CreateRole", parent=PARENT, role_id=role_id, role=given)).role
    grant = {"user": user, "resource": PROJECT, "role": role.name}
    await directory.do("CreateGrant", parent=PARENT, grant=grant)
    permissions = (["projects.read"], ["projects.write"])
    return directory.case(
        "narrow granted role",
        "PERMISSION_MISSING",
        token,
        *(changing(role.name, permissions=each) for each in permissions),
        resource=PROJECT,
        required_permissions=["projects.write"],
    )


async def of_a_disabled_workspace(directory: Directory) -> Case:
    workspace = directory.id()
    token = await first_admin(directory.dsn, workspace)
    calls = (
        Call(method, {"name": f"workspaces/{workspace}"}, by_operator=True)
        for method in ("DisableWorkspace", "EnableWorkspace")
    )
    return directory.case("disable workspace", "WORKSPACE_DISABLED", token, *calls)


async def _with_a_role_of_its_own(directory: Directory) -> tuple[str, str]:
    """A key's token and the name of its user's role, which reads datasets."""
    role_id = directory.id()
    given = {"permissions": ["keys.own", "datasets.read"], "may_hold_keys": True}
    await directory.do("CreateRole", parent=PARENT, role_id=role_id, role=given)
    _name, token = await directory.key(user=await directory.user(role_id))
    return token, role_name(role_id)


FOR_GOOD: tuple[Make, ...] = (
    revoked,
    revoked_twice,
    revoked_again,
    revoked_with_others,
    deleted,
    rotated,
    of_a_deleted_user,
    signed_out,
    signed_out_everywhere,
    opened_by_a_revoked_key,
)
AND_BACK: tuple[Make, ...] = (
    disabled,
    opened_by_a_disabled_key,
    of_a_disabled_user,
    signed_in_while_disabled,
    of_a_demoted_user,
    of_a_user_made_guest,
    of_a_narrowed_role,
    of_a_role_without_keys,
    of_a_role_that_narrows_a_key,
    with_a_lesser_role,
    with_fewer_scopes,
    with_fewer_networks,
    bound_elsewhere,
    without_a_grant,
    of_a_narrowed_role_on_a_resource,
    of_a_disabled_workspace,
)
