"""The contract as an attacker reads it: every method, and every place in a request for text."""

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api import field_behavior_pb2, resource_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from keywright.v1 import key_service_pb2, session_service_pb2
from keywright.v1._third_party.buf.validate import validate_pb2
from keywright.wire.methods import methods
from keywright.wire.rpc import Method
from tests.security.operated import Operated
from tests.support.service import ADMIN, PARENT, Caller
from tests.support.waiting import sealed

METHODS = methods()
IMPLEMENTED = [method for method in METHODS if method.handler is not None]
UNIMPLEMENTED = [method for method in METHODS if method.handler is None]

SHA256_HEX = key_service_pb2.HASH_FORM_SHA256_HEX
_TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_MASK = "google.protobuf.FieldMask"
# What is wrong with one of these is its result, not the call's: see test_import_items.py, and, in
# tests/integration, test_batch.py and test_authenticate_stream.py.
_TOLD_BESIDE = {
    "keywright.v1.ImportKeysRequest.items",
    "keywright.v1.BatchAuthenticateRequest.requests",
    "keywright.v1.AuthenticateStreamRequest.request",
}


@dataclass(frozen=True)
class Place:
    """A place in the request of a method that takes text.

    `path` is the field's as errors name it; `of_key` says that it is the keys of a map; `ignored`
    that the server does not read it; `unchangeable` that it reads it only to see that it is well
    formed, since what was said there at creation stands.
    """

    method: Method
    steps: tuple[FieldDescriptor, ...]
    of_key: bool = False

    def __str__(self) -> str:
        return f"{self.method.name}.{self.path}{'(key)' if self.of_key else ''}"

    @property
    def path(self) -> str:
        return ".".join(step.name for step in self.steps)

    @property
    def field(self) -> FieldDescriptor:
        return self.steps[-1]

    @property
    def identifies(self) -> bool:
        """Whether it is the name of the resource that an Update is about."""
        return self._updates and self._is(field_behavior_pb2.IDENTIFIER)

    @property
    def is_of_kept_seal(self) -> bool:
        """Whether it says which seal somebody has kept: what is not so is the answer, no error."""
        return self.steps[0].name in {"from_seal", "known_seal"} and self.field.name in {
            "name",
            "digest",
        }

    @property
    def ignored(self) -> bool:
        return not self.is_of_kept_seal and self._is_ignored

    @property
    def _is_ignored(self) -> bool:
        return self._is(field_behavior_pb2.OUTPUT_ONLY) or (
            self._is(field_behavior_pb2.IDENTIFIER) and not self._updates
        )

    @property
    def unchangeable(self) -> bool:
        return self._updates and self._is(field_behavior_pb2.IMMUTABLE)

    @property
    def is_required(self) -> bool:
        """Whether a request without it is refused; not asked of what is in a nested message."""
        return len(self.steps) == 1 and self._is(field_behavior_pb2.REQUIRED)

    @property
    def is_condition(self) -> bool:
        """Whether it is an etag, which a creation has no use for: only its length is bounded."""
        return self.field.name == "etag"

    @property
    def unread(self) -> bool:
        """Whether it is an etag where there is no earlier version."""
        return self.is_condition and self.method.name.startswith(("Create", "Ensure"))

    @property
    def _updates(self) -> bool:
        return self.method.name.startswith("Update")

    def _is(self, behavior: int) -> bool:
        return any(behavior in behaviors(step) for step in self.steps)

    def put(self, request: Any, text: str) -> None:
        """Write `text` here."""
        *outer, field = self.steps
        if outer and outer[0].name == "openid_connect":  # a proof is whole, or none
            request.openid_connect.MergeFrom(
                session_service_pb2.OpenIdConnectProof(workspace=PARENT, id_token="x", nonce="x")
            )
        for step in outer:
            inner = getattr(request, step.name)
            if step.is_repeated:
                inner = inner[-1] if inner else inner.add()
            request = inner
        if _is_map(field):
            pair = {text: "x"} if self.of_key else {"x": text}
            getattr(request, field.name).update(pair)
            return
        value = text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        if _is_mask(field):
            getattr(request, field.name).paths.append(value)
        elif field.is_repeated:
            getattr(request, field.name).append(value)
        else:
            setattr(request, field.name, value)

    def is_told(self, fields: list[str]) -> bool:
        """Whether one of the fields that an error names is this place, or below it."""
        outer = r"(?:\[[0-9]+\])?\.".join(re.escape(step.name) for step in self.steps)
        paths = [outer]
        if self.identifies:  # its rule stands at the resource: in a creation there is no name
            paths.append(re.escape(self.steps[0].name) + "$")
        return any(re.match(path, field) for field in fields for path in paths)

    @property
    def names(self) -> str:
        """The kind of resource that is named here, `User`; empty if none is."""
        if field_behavior_pb2.IDENTIFIER in behaviors(self.field):
            message: Any = self.field.containing_type
            named = message.GetOptions().Extensions[resource_pb2.resource].type
        else:
            reference = self.field.GetOptions().Extensions[resource_pb2.resource_reference]
            if reference.child_type:
                return "Workspace"
            named = reference.type
        return str(named).removeprefix("keywright.dev/").replace("*", "")


def behaviors(field: FieldDescriptor) -> list[int]:
    """What the contract says of a field: required, output only, ..."""
    return list(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def text_places(method: Method) -> list[Place]:
    """Every place for text in the request of `method`, in nested messages too."""
    message: Any = method.request_type.DESCRIPTOR
    return list(places_of(method, message, ()))


def named_places() -> list[Place]:
    """Every place in an implemented method's request where a resource is named."""
    return [
        place
        for method in IMPLEMENTED
        for place in text_places(method)
        if place.names
        and not place.ignored
        and not place.is_of_kept_seal
        # Who signs in is told of a workspace what is told of any other proof.
        and method.name != "CreateSession"
    ]


def places_of(
    method: Method, message: Descriptor, outer: tuple[FieldDescriptor, ...]
) -> Iterator[Place]:
    for field in message.fields:
        steps = (*outer, field)
        if field.full_name in _TOLD_BESIDE:
            continue
        if _is_map(field):
            yield Place(method, steps, of_key=True)
            yield Place(method, steps)
        elif field.type in _TEXT or _is_mask(field):
            yield Place(method, steps)
        elif field.message_type is not None:
            yield from places_of(method, field.message_type, steps)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_mask(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == _MASK


def asks_nothing(method: Method) -> bool:
    """Whether an empty request is a good one, or is told beside the others what it lacks."""
    message: Any = method.request_type.DESCRIPTOR
    return method.name == "AuthenticateStream" or (
        not method.is_authentication
        and not any(field_behavior_pb2.REQUIRED in behaviors(field) for field in message.fields)
        and not any(
            each.GetOptions().Extensions[validate_pb2.oneof].required for each in message.oneofs
        )
    )


def entitled(service: Operated, method: Method) -> Caller:
    """Who may call `method`: the admin, or for workspaces an operator."""
    return service.operator if method.service == "WorkspaceService" else service.admin


def new_id(what: str = "x") -> str:
    """An id that nothing has."""
    return f"{what}-{uuid.uuid4().hex[:20]}"


async def good_request(service: Operated, method: Method, *, of: str = ADMIN) -> Message:
    """A request of the method that succeeds, by who is `entitled`, on resources of its own.

    Keys and grants in it are those of the user `of`, who may send it too where one's own needs no
    more.
    """
    fields = await _MAKERS[method.service](service, method.name, of)
    assert fields is not None, f"say how a good {method.name} looks, so that bad ones are tried too"
    return method.request_type(**fields)


Fields = dict[str, Any] | None


def import_of(item: dict[str, Any], *, parent: str = PARENT) -> dict[str, Any]:
    """The fields of an `ImportKeys` of one key with a digest that is nobody's yet."""
    digest = {"hash": hashlib.sha256(new_id().encode()).hexdigest(), "hash_form": SHA256_HEX}
    shape = {"pattern": "[A-Za-z]{64}", "lookup": key_service_pb2.TOKEN_LOOKUP_DIGEST}
    return {"parent": parent, "format": shape, "items": [{**digest, **item}]}


async def _of_authentication(service: Operated, method: str, of: str) -> Fields:
    match method:
        case "Authenticate":
            return {"token": service.admin_token}
        case "BatchAuthenticate":
            return {"requests": [{"token": service.admin_token}]}
        case "AuthenticateStream":
            return {"request": {"token": service.admin_token}}
        case "Watch":
            return {"serial": 1}
        case "ExplainAccess":
            return {"name": (await service.admin.create_key(user=of)).key.name}
    return None


async def _of_keys(service: Operated, method: str, of: str) -> Fields:
    admin = service.admin
    without_a_key = {
        "CreateKey": {"parent": PARENT, "key": {}},
        "EnsureKey": {"parent": PARENT, "key": {}, "key_id": new_id("ensured")},
        "ImportKeys": import_of({"key": {"user": of}}),
        "ListKeys": {"parent": PARENT},
    }
    if method in without_a_key:
        return without_a_key[method]
    if method == "RevokeKeys":
        swept = {"swept": new_id()}
        await admin.create_key(user=of, labels=swept)
        return {"parent": PARENT, "filter": {"labels": swept}}
    created = await admin.create_key(user=of)
    if method == "ReportLeakedToken":
        return {"token": created.token}
    return await _of_one_key(admin, method, created.key)


async def _of_one_key(admin: Caller, method: str, key: Any) -> Fields:
    match method:
        case "LookupKey":
            return {"parent": PARENT, "prefix": key.prefix}
        case "UpdateKey":
            return {"key": {"name": key.name, "display_name": new_id("renamed")}}
        case "EnableKey":
            await admin.do("DisableKey", name=key.name)
            return {"name": key.name}
        case "GetKey" | "RotateKey" | "DisableKey" | "RevokeKey" | "DeleteKey":
            return {"name": key.name}
    return None


async def _of_users(service: Operated, method: str, of: str) -> Fields:
    match method:
        case "CreateUser":
            return {"parent": PARENT, "user": {"email": f"{new_id('u')}@example.com"}}
        case "ListUsers":
            return {"parent": PARENT}
    name = of if of != ADMIN else (await service.admin.create_user(new_id("u"))).name
    match method:
        case "UpdateUser":
            return {"user": {"name": name, "display_name": new_id("renamed")}}
        case "EnableUser" if of == ADMIN:
            await service.admin.disable_user(name)
            return {"name": name}
        case "GetUser" | "DisableUser" | "EnableUser" | "DeleteUser":
            return {"name": name}
    return None


async def _of_roles(service: Operated, method: str, _of: str) -> Fields:
    match method:
        case "CreateRole":
            role = {"permissions": ["datasets.read"]}
            return {"parent": PARENT, "role": role, "role_id": new_id("role")}
        case "ListRoles":
            return {"parent": PARENT}
    name = f"{PARENT}/roles/{await new_role(service.admin)}"
    match method:
        case "UpdateRole":
            return {"role": {"name": name, "description": new_id("described")}}
        case "GetRole" | "DeleteRole":
            return {"name": name}
    return None


async def new_role(admin: Caller, *permissions: str, parent: str = PARENT) -> str:
    """A role of a workspace's own; returns its id."""
    role_id = new_id("role")
    role = {"permissions": permissions or ("datasets.read",), "may_hold_keys": True}
    await admin.do("CreateRole", parent=parent, role_id=role_id, role=role)
    return role_id


async def _of_grants(service: Operated, method: str, of: str) -> Fields:
    if method == "ListGrants":
        return {"parent": PARENT}
    if method == "CreateGrant" and of == ADMIN:
        of = (await service.admin.create_user(new_id("u"))).name
    wanted = {
        "parent": PARENT,
        "grant": {"user": of, "resource": new_id("projects/p"), "role": f"{PARENT}/roles/viewer"},
    }
    match method:
        case "CreateGrant":
            return wanted
        case "GetGrant" | "DeleteGrant":
            return {"name": (await service.admin.do("CreateGrant", **wanted)).grant.name}
    return None


async def _of_workspaces(service: Operated, method: str, _of: str) -> Fields:
    workspace = {"permission_catalog": {"entries": [{"permission": "datasets.read"}]}}
    match method:
        case "CreateWorkspace":
            return {"workspace": workspace, "workspace_id": new_id("w")}
        case "ListWorkspaces":
            return {}
    name = await new_workspace(service)
    match method:
        case "UpdateWorkspace":
            return {"workspace": {"name": name, **workspace}}
        case "EnableWorkspace" | "DeleteWorkspace":
            await service.operator.do("DisableWorkspace", name=name)
            return {"name": name}
        case "GetWorkspace" | "DisableWorkspace":
            return {"name": name}
    return None


async def new_session(service: Operated, admin: Caller, user: str) -> Any:
    """Sign a user in by a link that `admin` makes; returns the session and its token."""
    made = await admin.do("CreateSignInLink", user=user)
    return await service.as_caller(None).do("CreateSession", link_token=made.link_token)


async def _of_sessions(service: Operated, method: str, of: str) -> Fields:
    if method in {"CreateSignInLink", "RevokeSessions"} and of == ADMIN:
        of = (await service.admin.create_user(new_id("u"))).name
    match method:
        case "CreateSignInLink":
            return {"user": of}
        case "CreateSession":
            return {"link_token": (await service.admin.do("CreateSignInLink", user=of)).link_token}
        case "ListSessions":
            return {"parent": PARENT}
        case "RevokeSessions":
            return {"parent": PARENT, "user": of}
        case "GetSession" | "RevokeSession":
            return {"name": (await new_session(service, service.admin, of)).session.name}
    return None


async def _of_usage(service: Operated, _method: str, of: str) -> Fields:
    created = await service.admin.create_key(user=of)
    await used_once(service, created.key.name)
    return {"parent": PARENT, "start_time": an_hour_ago(), "keys": [created.key.name]}


def an_hour_ago() -> datetime:
    """When a key was not used yet that was used once, though an hour begins meanwhile."""
    return datetime.now(UTC) - timedelta(hours=1)


async def used_once(service: Operated, key: str) -> None:
    """Count a use of a key in this hour, as a server writes it after a while."""
    await service.sql(
        "INSERT INTO keywright.key_usage (key, hour, outcome, count, workspace, key_id) "
        "SELECT id, date_trunc('hour', now()), 'ALLOWED', 1, workspace, key_id "
        "FROM keywright.key WHERE key_id = $1",
        key.rpartition("/")[2],
    )


async def new_workspace(service: Operated) -> str:
    """A workspace with nobody in it; returns its name."""
    workspace_id = new_id("w")
    created = await service.operator.do("CreateWorkspace", workspace={}, workspace_id=workspace_id)
    return str(created.workspace.name)


async def _of_audit(service: Operated, method: str, _of: str) -> Fields:
    match method:
        case "ListAuditEvents" | "ListAuditSeals":
            return {"parent": PARENT}
        case "VerifyAuditTrail":
            await sealed(service.admin, PARENT)
            listed = await service.admin.do("ListAuditSeals", parent=PARENT, page_size=1)
            seal = listed.audit_seals[0]
            return {"parent": PARENT, "from_seal": seal, "known_seal": seal}
        case "GetAuditEvent":
            listed = await service.admin.do("ListAuditEvents", parent=PARENT, page_size=1)
            return {"name": listed.audit_events[0].name}
    return None


_MAKERS: dict[str, Callable[[Operated, str, str], Awaitable[Fields]]] = {
    "AuditService": _of_audit,
    "AuthService": _of_authentication,
    "KeyService": _of_keys,
    "UserService": _of_users,
    "RoleService": _of_roles,
    "GrantService": _of_grants,
    "SessionService": _of_sessions,
    "UsageService": _of_usage,
    "WorkspaceService": _of_workspaces,
}
