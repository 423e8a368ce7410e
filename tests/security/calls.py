"""One call for each row of the permission matrix: what is asked, on resources made for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.security.contract import (
    an_hour_ago,
    import_of,
    new_id,
    new_role,
    new_session,
    new_workspace,
    used_once,
)
from tests.security.matrix import PROJECT, Actor, World, grant, new_actor, new_service_user
from tests.support.service import PARENT

ELSEWHERE = "projects/b"


@dataclass(frozen=True)
class Ask:
    """A request's fields. `sought`: what a list must have for the answer to be "yes".

    `caller` asks in place of the column's own one, where the call ends who calls.
    """

    fields: dict[str, Any]
    sought: str = ""
    caller: Actor | None = None


Call = Callable[[World, Actor, str], Awaitable[Ask]]


# --- keys -----------------------------------------------------------------------------------------

OWN = "own"
ANOTHERS = "another's"
BOUND = f"another's, bound to {PROJECT}"
SERVICES = f"a service user's, bound to {PROJECT}"
UNBOUND = "a service user's, not bound"
BY_USER = "another's, asked for by the user"
MORE = f"another's, bound to {PROJECT}, that may do more"


def _key(world: World, who: Actor, whose: str) -> tuple[str, dict[str, Any]]:
    """The workspace and the attributes of a key."""
    match whose:
        case "own":
            return who.home, {"user": who.owner}
        case "own, bound to projects/a":
            return who.home, {"user": who.owner, "resource": PROJECT}
        case "own, bound to projects/b":
            return who.home, {"user": who.owner, "resource": ELSEWHERE}
    bound = {"resource": PROJECT, "scopes": ["datasets.*"]}
    keys: dict[str, dict[str, Any]] = {
        ANOTHERS: {"user": world.another},
        BY_USER: {"user": world.another},
        BOUND: {"user": world.another, **bound},
        MORE: {"user": world.another, "resource": PROJECT},
        SERVICES: {"user": world.service_user, **bound},
        UNBOUND: {"user": world.service_user},
    }
    return PARENT, keys[whose]


async def _new_key(world: World, who: Actor, whose: str, **more: Any) -> Any:
    """A key that is there; the answer to its creation."""
    parent, key = _key(world, who, whose)
    admin = who.admin if whose.startswith("own") else world.admin
    return await admin.do("CreateKey", parent=parent, key={**key, **more})


async def _create_key(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    parent, key = _key(world, who, whose)
    return Ask({"parent": parent, "key": key, "key_id": new_id("key")})


async def _ensure_again(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    parent, key = _key(world, who, whose)
    made = (await _new_key(world, who, whose)).key
    return Ask({"parent": parent, "key": key, "key_id": made.name.rpartition("/")[2]})


async def _by_name(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    return Ask({"name": (await _new_key(world, who, whose)).key.name})


async def _enable_key(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    name = (await _new_key(world, who, whose)).key.name
    await (who.admin if whose == OWN else world.admin).do("DisableKey", name=name)
    return Ask({"name": name})


async def _look_up(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    key = (await _new_key(world, who, whose)).key
    return Ask({"parent": key.name.partition("/keys/")[0], "prefix": key.prefix})


async def _list_keys(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    label = {"row": new_id()}
    key = (await _new_key(world, who, whose, labels=label)).key
    only = {"labels": label, **({"user": world.another} if whose == BY_USER else {})}
    return Ask({"parent": key.name.partition("/keys/")[0], "filter": only}, sought=key.name)


async def _import(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    parent, key = _key(world, who, whose)
    return Ask(import_of({"key": key}, parent=parent))


async def _narrow(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    name = (await _new_key(world, who, whose)).key.name
    return Ask({"key": {"name": name, "scopes": ["datasets.read"]}})


async def _widen(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    scopes = ["datasets.read"]
    name = (await _new_key(world, who, whose, scopes=scopes)).key.name
    return Ask({"key": {"name": name}, "update_mask": {"paths": ["scopes"]}})


async def _bind(world: World, who: Actor, _column: str, *, resource: str) -> Ask:
    name = (await _new_key(world, who, OWN)).key.name
    return Ask({"key": {"name": name, "resource": resource}})


def _of_keys() -> dict[tuple[str, str], Call]:
    created = (OWN, "own, bound to projects/a", "own, bound to projects/b")
    known = (OWN, ANOTHERS, BOUND, SERVICES, UNBOUND)
    several = (OWN, ANOTHERS, BOUND, SERVICES, BY_USER)
    makers = {
        "GetKey": _by_name,
        "LookupKey": _look_up,
        "RotateKey": _by_name,
        "DisableKey": _by_name,
        "EnableKey": _enable_key,
        "RevokeKey": _by_name,
        "DeleteKey": _by_name,
    }
    calls: dict[tuple[str, str], Call] = {
        (method, whose): partial(_create_key, whose=whose)
        for method in ("CreateKey", "EnsureKey")
        for whose in (*created, ANOTHERS, BOUND, SERVICES, UNBOUND)
    }
    for whose in (OWN, ANOTHERS, BOUND):
        calls["EnsureKey", f"{whose}, there already"] = partial(_ensure_again, whose=whose)
    for method, make in makers.items():
        calls |= {(method, whose): partial(make, whose=whose) for whose in known}
    calls["EnableKey", MORE] = partial(_enable_key, whose=MORE)
    for method in ("ListKeys", "RevokeKeys"):
        calls |= {(method, whose): partial(_list_keys, whose=whose) for whose in several}
    for whose in (OWN, ANOTHERS, BOUND):
        calls["UpdateKey", f"{whose}, narrower"] = partial(_narrow, whose=whose)
    for whose in (OWN, BOUND, SERVICES):
        calls["UpdateKey", f"{whose}, wider"] = partial(_widen, whose=whose)
    for whose in (OWN, ANOTHERS):
        calls["ImportKeys", whose] = partial(_import, whose=whose)
    for resource in (PROJECT, ELSEWHERE):
        what = f"own, bound to {resource} from now on"
        calls["UpdateKey", what] = partial(_bind, resource=resource)
    return calls


# --- users ----------------------------------------------------------------------------------------


async def _create_person(_world: World, _who: Actor, _column: str) -> Ask:
    user_id = new_id("made")
    user = {"email": f"{user_id}@example.com"}
    return Ask({"parent": PARENT, "user_id": user_id, "user": user})


async def _create_service_user(
    _world: World, _who: Actor, _column: str, *, resource: str = "", email: str = ""
) -> Ask:
    address = f"{new_id()}{email}" if email else ""
    user = {"kind": "USER_KIND_SERVICE", "resource": resource, "email": address}
    return Ask({"parent": PARENT, "user_id": new_id("made"), "user": user})


async def _oneself(_world: World, who: Actor, _column: str) -> Ask:
    return Ask({"name": who.user})


async def _end_oneself(world: World, _who: Actor, column: str, **more: Any) -> Ask:
    fresh = await new_actor(world.service, column, world.another)
    return Ask({"name": fresh.user, **more}, caller=fresh)


async def _new_person(world: World) -> str:
    return (await world.admin.create_user(new_id("person"))).name


async def _another(world: World, _who: Actor, _column: str, **more: Any) -> Ask:
    return Ask({"name": await _new_person(world), **more})


async def _service_user(world: World, _who: Actor, _column: str, **more: Any) -> Ask:
    resource = more.pop("resource")
    return Ask({"name": await new_service_user(world.admin, resource), **more})


async def _list_another(world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"parent": PARENT, "page_size": 1000}, sought=await _new_person(world))


async def _list_service_user(world: World, _who: Actor, _column: str) -> Ask:
    only = {"resource": PROJECT}
    sought = await new_service_user(world.admin, PROJECT)
    return Ask({"parent": PARENT, "page_size": 1000, "filter": only}, sought=sought)


async def _update_oneself(_world: World, who: Actor, _column: str, **user: Any) -> Ask:
    return Ask({"user": {"name": who.user, **user}})


async def _update_user(world: World, _who: Actor, _column: str, *, resource: str = "") -> Ask:
    name = await (new_service_user(world.admin, resource) if resource else _new_person(world))
    return Ask({"user": {"name": name, "display_name": "renamed"}})


async def _readdress_service_user(world: World, _who: Actor, _column: str) -> Ask:
    name = await new_service_user(world.admin, PROJECT)
    return Ask({"user": {"name": name, "email": f"{new_id()}@example.com"}})


async def _enable_powerful_service_user(world: World, _who: Actor, _column: str) -> Ask:
    name = await new_service_user(world.admin, PROJECT)
    await grant(world.admin, name, PROJECT, "member")
    await world.admin.disable_user(name)
    return Ask({"name": name})


def _of_users() -> dict[tuple[str, str], Call]:
    calls: dict[tuple[str, str], Call] = {
        ("CreateUser", "a person"): _create_person,
        ("CreateUser", "a service user"): _create_service_user,
        ("GetUser", "oneself"): _oneself,
        ("GetUser", "another"): _another,
        ("ListUsers", "another"): _list_another,
        (
            "ListUsers",
            f"a service user of {PROJECT}, asked for by the resource",
        ): _list_service_user,
        ("UpdateUser", "one's own display name"): partial(_update_oneself, display_name="me"),
        ("UpdateUser", "what else is one's own"): partial(_update_oneself, labels={"a": "b"}),
        ("UpdateUser", "another"): _update_user,
        (
            "UpdateUser",
            f"a service user of {PROJECT}, its e-mail address",
        ): _readdress_service_user,
        (
            "CreateUser",
            f"a service user of {PROJECT}, with an e-mail address",
        ): partial(_create_service_user, resource=PROJECT, email="@example.com"),
        (
            "EnableUser",
            f"a service user of {PROJECT}, that may do more",
        ): _enable_powerful_service_user,
        ("EnableUser", "oneself"): _oneself,
        ("DisableUser", "oneself"): _end_oneself,
        ("DeleteUser", "oneself"): partial(_end_oneself, force=True),
    }
    for method in ("DisableUser", "EnableUser", "DeleteUser"):
        calls[method, "another"] = _another
    for resource in (PROJECT, ELSEWHERE):
        what = f"a service user of {resource}"
        calls["CreateUser", what] = partial(_create_service_user, resource=resource)
        calls["UpdateUser", what] = partial(_update_user, resource=resource)
        for method in ("GetUser", "DisableUser", "EnableUser", "DeleteUser"):
            calls[method, what] = partial(_service_user, resource=resource)
    del calls["GetUser", f"a service user of {ELSEWHERE}"]
    return calls


# --- roles, grants, workspaces --------------------------------------------------------------------


async def _create_role(_world: World, _who: Actor, _column: str) -> Ask:
    role = {"permissions": ["datasets.read"]}
    return Ask({"parent": PARENT, "role_id": new_id("role"), "role": role})


async def _own_role(_world: World, who: Actor, _column: str) -> Ask:
    seen = await who.admin.get_user(who.user)
    return Ask({"name": seen.role})


async def _role(world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"name": f"{PARENT}/roles/{await new_role(world.admin)}"})


async def _list_roles(world: World, _who: Actor, _column: str) -> Ask:
    sought = f"{PARENT}/roles/{await new_role(world.admin)}"
    return Ask({"parent": PARENT, "page_size": 1000}, sought=sought)


async def _update_role(world: World, _who: Actor, _column: str) -> Ask:
    name = f"{PARENT}/roles/{await new_role(world.admin)}"
    return Ask({"role": {"name": name, "display_name": "renamed"}})


async def _built_in_role(_world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"name": f"{PARENT}/roles/editor"})


async def _update_built_in_role(_world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"role": {"name": f"{PARENT}/roles/editor", "display_name": "renamed"}})


async def _create_grant(
    world: World, _who: Actor, _column: str, *, resource: str = "", role: str = "viewer"
) -> Ask:
    user = await (new_service_user(world.admin, resource) if resource else _new_person(world))
    wanted = {"user": user, "resource": resource or PROJECT, "role": f"{PARENT}/roles/{role}"}
    return Ask({"parent": PARENT, "grant": wanted})


async def _new_grant(world: World, who: Actor, whose: str) -> tuple[str, str]:
    """A grant, and the workspace that it is in."""
    if whose == "one's own":
        resource = new_id("projects/own")
        return await grant(who.admin, who.user, resource, "viewer"), who.home
    services = whose == f"a service user's of {PROJECT}"
    user = await (new_service_user(world.admin, PROJECT) if services else _new_person(world))
    return await grant(world.admin, user, PROJECT, "viewer"), PARENT


async def _grant(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    return Ask({"name": (await _new_grant(world, who, whose))[0]})


async def _list_grants(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    sought, parent = await _new_grant(world, who, whose)
    return Ask({"parent": parent, "page_size": 1000}, sought=sought)


async def _list_grants_of_another(world: World, _who: Actor, _column: str) -> Ask:
    user = await _new_person(world)
    sought = await grant(world.admin, user, PROJECT, "viewer")
    return Ask({"parent": PARENT, "filter": {"user": user}}, sought=sought)


async def _create_workspace(_world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"workspace_id": new_id("w"), "workspace": {}})


async def _own_workspace(_world: World, who: Actor, _column: str) -> Ask:
    return Ask({"name": who.home})


async def _workspace(world: World, _who: Actor, _column: str, *, disabled: bool = False) -> Ask:
    name = await new_workspace(world.service)
    if disabled:
        await world.service.operator.do("DisableWorkspace", name=name)
    return Ask({"name": name})


async def _list_workspaces(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    sought = who.home if own else await new_workspace(world.service)
    return Ask({"page_size": 1000}, sought=sought)


async def _update_workspace(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    name = who.home if own else await new_workspace(world.service)
    return Ask({"workspace": {"name": name, "display_name": new_id("renamed")}})


def _of_others() -> dict[tuple[str, str], Call]:
    own, built_in = "the workspace's own", "a built-in one"
    calls: dict[tuple[str, str], Call] = {
        ("CreateRole", ""): _create_role,
        ("GetRole", "one's own"): _own_role,
        ("GetRole", "another"): _role,
        ("ListRoles", ""): _list_roles,
        ("UpdateRole", own): _update_role,
        ("UpdateRole", built_in): _update_built_in_role,
        ("DeleteRole", own): _role,
        ("DeleteRole", built_in): _built_in_role,
        ("CreateGrant", f"to a person, on {PROJECT}"): _create_grant,
        ("CreateGrant", f"to a service user of {PROJECT}, on it"): partial(
            _create_grant, resource=PROJECT
        ),
        ("CreateGrant", f"to a service user of {PROJECT}, of more than its managers may do"): (
            partial(_create_grant, resource=PROJECT, role="member")
        ),
        ("CreateGrant", f"to a service user of {ELSEWHERE}, on it"): partial(
            _create_grant, resource=ELSEWHERE
        ),
        ("ListGrants", "another's, asked for by the user"): _list_grants_of_another,
        ("CreateWorkspace", ""): _create_workspace,
        ("EnableWorkspace", "another"): partial(_workspace, disabled=True),
        ("DeleteWorkspace", "another"): partial(_workspace, disabled=True),
    }
    for whose in ("one's own", f"another's, on {PROJECT}", f"a service user's of {PROJECT}"):
        calls["ListGrants", whose] = partial(_list_grants, whose=whose)
        for method in ("GetGrant", "DeleteGrant"):
            calls[method, whose] = partial(_grant, whose=whose)
    for method in ("GetWorkspace", "DisableWorkspace"):
        calls[method, "another"] = _workspace
    for method in ("GetWorkspace", "DisableWorkspace", "EnableWorkspace", "DeleteWorkspace"):
        calls[method, "one's own"] = _own_workspace
    for whose in ("one's own", "another"):
        calls["ListWorkspaces", whose] = partial(_list_workspaces, own=whose == "one's own")
        calls["UpdateWorkspace", whose] = partial(_update_workspace, own=whose == "one's own")
    return calls


async def _query_usage(world: World, who: Actor, _column: str, *, whose: str, by: str = "") -> Ask:
    key = (await _new_key(world, who, whose)).key
    await used_once(world.service, key.name)
    asked: dict[str, Any] = {"": {}, "key": {"keys": [key.name]}, "user": {"user": world.another}}
    parent = key.name.partition("/keys/")[0]
    given = {"parent": parent, "start_time": an_hour_ago(), "page_size": 1000, **asked[by]}
    return Ask(given, sought=key.name)


async def _report(world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"token": (await world.admin.create_key()).token})


def _of_usage() -> dict[tuple[str, str], Call]:
    return {
        ("QueryUsage", OWN): partial(_query_usage, whose=OWN),
        ("QueryUsage", ANOTHERS): partial(_query_usage, whose=ANOTHERS),
        ("QueryUsage", f"{ANOTHERS}, asked for by the key"): partial(
            _query_usage, whose=ANOTHERS, by="key"
        ),
        ("QueryUsage", BY_USER): partial(_query_usage, whose=BY_USER, by="user"),
        ("ReportLeakedToken", "anybody's token"): _report,
    }


async def _present(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    token = who.caller.token if own else (await world.admin.create_key()).token
    return Ask({"token": token})


async def _present_many(world: World, who: Actor, column: str, *, own: bool) -> Ask:
    # One's own first: that the rest is not is no reason to answer any of it.
    items = [await _present(world, who, column, own=each) for each in (True, own)]
    return Ask({"requests": [item.fields for item in items]})


async def _present_on_a_stream(world: World, who: Actor, column: str, *, own: bool) -> Ask:
    return Ask({"request": (await _present(world, who, column, own=own)).fields})


async def _watch(_world: World, _who: Actor, _column: str) -> Ask:
    return Ask({"serial": 1})


async def _calling_key(_world: World, who: Actor, _column: str) -> Ask:
    prefix = (who.caller.token or "").rpartition("_")[2][:12]
    found = await who.admin.do("LookupKey", parent=who.home, prefix=prefix)
    return Ask({"name": found.key.name, "permission": "datasets.read"})


def _of_explanations() -> dict[tuple[str, str], Call]:
    keys: dict[tuple[str, str], Call] = {
        ("ExplainAccess", whose): partial(_by_name, whose=whose)
        for whose in (OWN, ANOTHERS, BOUND, SERVICES, UNBOUND)
    }
    return {
        **keys,
        ("ExplainAccess", "the calling key"): _calling_key,
        ("ExplainAccess", "oneself"): _oneself,
        ("ExplainAccess", "another"): _another,
        ("ExplainAccess", f"a service user of {PROJECT}"): partial(_service_user, resource=PROJECT),
    }


# --- sessions -------------------------------------------------------------------------------------


async def _session(world: World, who: Actor, *, own: bool) -> str:
    """A session that is there; returns its name."""
    admin, user = (who.admin, who.user) if own else (world.admin, await _new_person(world))
    return str((await new_session(world.service, admin, user)).session.name)


async def _link(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    user = who.user if whose == "oneself" else await _new_person(world)
    if whose == "an admin":
        await world.admin.do("UpdateUser", user={"name": user, "role": f"{PARENT}/roles/admin"})
    return Ask({"user": user})


async def _sign_in(world: World, _who: Actor, _column: str) -> Ask:
    made = await world.admin.do("CreateSignInLink", user=await _new_person(world))
    return Ask({"link_token": made.link_token})


async def _one_session(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    return Ask({"name": await _session(world, who, own=own)})


async def _list_sessions(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    sought = await _session(world, who, own=own)
    return Ask({"parent": sought.partition("/sessions/")[0], "page_size": 1000}, sought=sought)


async def _all_sessions(world: World, who: Actor, _column: str, *, own: bool) -> Ask:
    user = who.user if own else await _new_person(world)
    return Ask({"parent": user.partition("/users/")[0], "user": user})


def _of_sessions() -> dict[tuple[str, str], Call]:
    calls: dict[tuple[str, str], Call] = {
        ("CreateSignInLink", whose): partial(_link, whose=whose)
        for whose in ("oneself", "another", "an admin")
    }
    calls["CreateSession", "anybody's link"] = _sign_in
    for whose, own in ((OWN, True), (ANOTHERS, False)):
        for method in ("GetSession", "RevokeSession"):
            calls[method, whose] = partial(_one_session, own=own)
        calls["ListSessions", whose] = partial(_list_sessions, own=own)
    calls["ExplainAccess", "one's own session"] = partial(_one_session, own=True)
    calls["ExplainAccess", "another's session"] = partial(_one_session, own=False)
    calls["RevokeSessions", "oneself"] = partial(_all_sessions, own=True)
    calls["RevokeSessions", "another"] = partial(_all_sessions, own=False)
    return calls


# --- the audit trail ------------------------------------------------------------------------------


async def _get_event(world: World, who: Actor, column: str, *, whose: str) -> Ask:
    return Ask({"name": (await _list_events(world, who, column, whose=whose)).sought})


async def _list_events(world: World, who: Actor, _column: str, *, whose: str) -> Ask:
    created = (await _new_key(world, who, whose)).key
    parent, only = created.name.partition("/keys/")[0], {"resource": created.name}
    admin = who.admin if whose == OWN else world.admin
    (event,) = (await admin.do("ListAuditEvents", parent=parent, filter=only)).audit_events
    return Ask({"parent": parent, "filter": only}, sought=event.name)


async def _of_the_trail(_world: World, who: Actor, _column: str) -> Ask:
    return Ask({"parent": who.home})


def _of_audit() -> dict[tuple[str, str], Call]:
    return {
        ("GetAuditEvent", "about one's own key"): partial(_get_event, whose=OWN),
        ("GetAuditEvent", "about another's key"): partial(_get_event, whose=ANOTHERS),
        ("ListAuditEvents", "about one's own key"): partial(_list_events, whose=OWN),
        ("ListAuditEvents", "about another's key"): partial(_list_events, whose=ANOTHERS),
        ("ListAuditSeals", ""): _of_the_trail,
        ("VerifyAuditTrail", ""): _of_the_trail,
    }


CALLS: dict[tuple[str, str], Call] = {
    ("Authenticate", "its own token"): partial(_present, own=True),
    ("Authenticate", "another's token"): partial(_present, own=False),
    ("BatchAuthenticate", "its own token"): partial(_present_many, own=True),
    ("BatchAuthenticate", "its own token and another's"): partial(_present_many, own=False),
    ("AuthenticateStream", "its own token"): partial(_present_on_a_stream, own=True),
    ("AuthenticateStream", "another's token"): partial(_present_on_a_stream, own=False),
    ("Watch", ""): _watch,
    **_of_explanations(),
    **_of_keys(),
    **_of_users(),
    **_of_others(),
    **_of_usage(),
    **_of_audit(),
    **_of_sessions(),
}
