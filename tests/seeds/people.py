"""People, what they are given, and what their keys are good for: all through gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc

from tests.support.service import PARENT, Caller, RefusedError, Service, refusal


@dataclass(frozen=True)
class Person:
    """A user, with a key by which it calls."""

    name: str
    email: str
    caller: Caller
    token: str
    key: str


def fresh(word: str) -> str:
    """An id that nothing else has: tests share a server and do not know of each other."""
    return f"{word}-{uuid4().hex[:12]}"


def user_name(id_or_email: str) -> str:
    return f"{PARENT}/users/{id_or_email}"


def role_name(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


def key_id(name: str) -> str:
    return name.rpartition("/")[2]


async def person(service: Service, role: str = "member") -> Person:
    """Somebody new with this role, whose key the admin has made."""
    user = await service.admin.create_user(fresh(role), role)
    created = await service.admin.create_key(user=user.name)
    caller = service.as_caller(created.token)
    return Person(user.name, user.email, caller, created.token, created.key.name)


async def set_role(service: Service, user: str, role_id: str) -> None:
    """Promote or demote somebody."""
    await service.admin.do("UpdateUser", user={"name": user, "role": role_name(role_id)})


async def give(caller: Caller, user: str, role_id: str, resource: str) -> str:
    """Give somebody a role on a resource; returns the grant's name."""
    given = await caller.do(
        "CreateGrant",
        parent=PARENT,
        grant={"user": user, "role": role_name(role_id), "resource": resource},
    )
    name: str = given.grant.name
    return name


async def own_role(service: Service, *permissions: str) -> str:
    """A role of the workspace's own; returns its id."""
    role_id = fresh("role")
    await service.admin.do(
        "CreateRole",
        parent=PARENT,
        role_id=role_id,
        role={"permissions": permissions, "may_hold_keys": True},
    )
    return role_id


@asynccontextmanager
async def workspace_with(service: Service, **attributes: Any) -> AsyncIterator[None]:
    """The workspace with this `policy` or `permission_catalog`, for as long as the block."""
    mask = {"paths": list(attributes)}
    await service.admin.do(
        "UpdateWorkspace", workspace={"name": PARENT, **attributes}, update_mask=mask
    )
    try:
        yield
    finally:
        await service.admin.do("UpdateWorkspace", workspace={"name": PARENT}, update_mask=mask)


async def may(service: Service, token: str, permission: str, resource: str = "") -> bool:
    """Whether whoever presents `token` may do this, as an application asks."""
    try:
        await service.admin.authenticate(
            token, resource=resource, required_permissions=[permission]
        )
    except RefusedError as error:
        refused = error
    else:
        return True
    assert refused.reason == "PERMISSION_MISSING", refused
    assert refused.denial is not None
    assert list(refused.denial.missing_permissions) == [permission]
    return False


async def denied(service: Service, token: str, **asked: Any) -> str:
    """The reason why `token` is denied, as it has to be."""
    refused = await refusal(service.admin.authenticate(token, **asked))
    assert refused.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    assert refused.denial is not None
    return refused.reason


async def cannot_call(caller: Caller) -> str:
    """The reason why a key is good for nothing any more: not even for its own user's keys."""
    refused = await refusal(caller.list_keys())
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "CALLER_CREDENTIAL_INVALID"
    return refused.info.metadata["caller_reason"]


async def listed(caller: Caller, **only: Any) -> list[str]:
    """The names of the keys that a caller is shown, newest first."""
    return [key.name for key in (await caller.list_keys(page_size=1000, filter=only)).keys]


async def let_expire(service: Service, key: str) -> None:
    """Let a key's last moment be now."""
    await service.sql(
        "UPDATE keywright.key SET expire_time = clock_timestamp() WHERE key_id = $1", key_id(key)
    )
