"""The lists of people and of service users."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Unpack

from starlette.responses import Response

from keywright.console.authority import me_at, visible_roles
from keywright.console.listing import Asked
from keywright.console.refusals import lacking
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    User,
    UserFilter,
    UserKind,
    UserState,
)

PAGE_SIZE = 50
STATES: Mapping[str, tuple[str, tuple[UserState, ...]]] = {
    "": ("All", ()),
    "active": ("Active", (UserState.ACTIVE,)),
    "disabled": ("Disabled", (UserState.DISABLED,)),
}
KINDS: Mapping[str, tuple[str, tuple[UserKind, ...]]] = {
    "": ("People", (UserKind.HUMAN,)),
    "service": ("Service users", (UserKind.SERVICE,)),
    "all": ("Both", (UserKind.HUMAN, UserKind.SERVICE)),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a list; none of it is seen without a permission."""

    users: tuple[User, ...] = ()
    next_page: str = ""
    is_denied: bool = False


async def _people(visit: PersonVisit) -> Response:
    form = visit.form
    if not visit.me.may("users.read"):
        return lacking(visit, "users.read")
    matching = _matching(visit)
    matching["kinds"] = KINDS.get(form.text("kind"), KINDS[""])[1]
    if form.text("role"):
        matching["role"] = form.text("role")
    found = await _found(visit, **matching)
    return visit.page(
        "users/list.html",
        _status(visit),
        found=found,
        asked=Asked(form, ("search", "state", "kind", "role")),
        states={value: told for value, (told, _) in STATES.items()},
        kinds={value: told for value, (told, _) in KINDS.items()},
        roles={"": "All"} | {each.id: each.id for each in await visible_roles(visit.client)},
        may_add=visit.me.may("users.manage"),
    )


async def _programs(visit: PersonVisit) -> Response:
    """Everybody's service users for who may see users; else those of a resource that is managed."""
    form = visit.form
    resource = form.text("resource")
    sees_all = visit.me.may("users.read")
    found = Found(is_denied=True)
    if sees_all or resource:
        matching = _matching(visit)
        matching["kinds"] = (UserKind.SERVICE,)
        if resource:
            matching["resource"] = resource
        found = await _found(visit, **matching)
    manages = resource and (await me_at(visit, resource)).may("keys.bound")
    return visit.page(
        "users/programs.html",
        _status(visit),
        found=found,
        asked=Asked(form, ("search", "state", "resource")),
        states={value: told for value, (told, _) in STATES.items()},
        sees_all=sees_all,
        may_add=visit.me.may("users.manage") or manages,
    )


def _matching(visit: PersonVisit) -> UserFilter:
    form = visit.form
    matching: UserFilter = {"states": STATES.get(form.text("state"), STATES[""])[1]}
    if form.text("search"):
        matching["search"] = form.text("search")
    return matching


async def _found(visit: PersonVisit, **matching: Unpack[UserFilter]) -> Found:
    listed = visit.client.users.list(page_size=PAGE_SIZE, **matching)
    try:
        page = await listed.page(visit.form.text("page"))
    except NotFound:  # a role that there is not
        return Found()
    except PermissionDenied:
        return Found(is_denied=True)
    except InvalidArgument as error:
        visit.form.take(error, {"page_token": ""})
        return Found()
    return Found(page.items, page.next_page_token)


def _status(visit: PersonVisit) -> HTTPStatus:
    return HTTPStatus.BAD_REQUEST if visit.form.errors else HTTPStatus.OK


PAGES = (
    page("/users", _people, section="users"),
    page("/service-users", _programs, section="service-users"),
)
