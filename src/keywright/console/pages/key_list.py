"""The list of keys: whoever may see more than their own can look at everybody's."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Unpack
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console.forms import Form
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import InvalidArgument, KeyFilter, KeyState, NotFound, PermissionDenied

PAGE_SIZE = 50
_STANDING = (KeyState.ACTIVE, KeyState.DISABLED, KeyState.EXPIRED)
STATES: Mapping[str, tuple[str, tuple[KeyState, ...]]] = {
    "": ("All but revoked", _STANDING),
    "active": ("Active", (KeyState.ACTIVE,)),
    "disabled": ("Disabled", (KeyState.DISABLED,)),
    "expired": ("Expired", (KeyState.EXPIRED,)),
    "revoked": ("Revoked", (KeyState.REVOKED,)),
    "all": ("All", (*_STANDING, KeyState.REVOKED)),
}
SORTS: Mapping[str, str] = {
    "": "create_time desc",
    "created": "create_time",
    "name": "display_name",
    "-name": "display_name desc",
    "used": "last_used_time desc",
    "-used": "last_used_time",
    "expires": "expire_time",
    "-expires": "expire_time desc",
}
_KEPT = ("owner", "search", "state", "environment", "role", "sort")


@dataclass(frozen=True, slots=True)
class Query:
    """What of the list is asked for, as its address says it."""

    form: Form

    def with_(self, **changed: str) -> str:
        """The address of the list with something else; from its first page on."""
        asked = {name: self.form.text(name) for name in _KEPT} | changed
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"?{query}" if query else "?"

    def sorted_by(self, column: str) -> str:
        """The other way to sort by a column, of two."""
        ways = [each for each in SORTS if each.lstrip("-") in _names(column)]
        now = self.form.text("sort")
        return ways[(ways.index(now) + 1) % len(ways)] if now in ways else ways[0]

    def direction(self, column: str) -> str:
        """For `aria-sort`."""
        now = self.form.text("sort")
        if now not in SORTS or now.lstrip("-") not in _names(column):
            return "none"
        return "descending" if SORTS[now].endswith(" desc") else "ascending"

    @property
    def is_filtered(self) -> bool:
        """Whether anything narrows the list."""
        return any(self.form.text(name) for name in ("search", "state", "environment", "role"))


def _names(column: str) -> tuple[str, ...]:
    return ("", "created") if column == "created" else (column,)


async def _show(visit: PersonVisit) -> Response:
    form = visit.form
    sees_all = visit.me.may("keys.any")
    everybodys = sees_all and form.text("owner") == "all"
    matching: KeyFilter = {"states": STATES.get(form.text("state"), STATES[""])[1]}
    if not everybodys:
        matching["user"] = visit.me.user.name
    if form.text("search"):
        matching["search"] = form.text("search")
    if form.text("environment"):
        matching["environment"] = form.text("environment")
    if form.text("role"):
        matching["role"] = form.text("role")
    found, workspace = await asyncio.gather(
        _found(visit, **matching), visit.client.workspaces.get()
    )
    status = HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK
    return visit.page(
        "keys/list.html",
        status,
        keys=found[0],
        next_page=found[1],
        query=Query(form),
        states=STATES,
        sees_all=sees_all,
        everybodys=everybodys,
        workspace=workspace,
        may_create=may_create(visit),
    )


async def _found(
    visit: PersonVisit, **matching: Unpack[KeyFilter]
) -> tuple[tuple[object, ...], str]:
    form = visit.form
    listed = visit.client.keys.list(
        order_by=SORTS.get(form.text("sort"), SORTS[""]), page_size=PAGE_SIZE, **matching
    )
    try:
        page = await listed.page(form.text("page"))
    except (NotFound, PermissionDenied):  # there is no such role; or none of the keys is to be seen
        return (), ""
    except InvalidArgument as error:
        form.take(error)
        return (), ""
    return page.items, page.next_page_token


def may_create(visit: PersonVisit) -> bool:
    """Whether a person may hold keys of their own at all."""
    return any(visit.me.may(each) for each in ("keys.own", "keys.any"))


PAGES = (page("/keys", _show, section="keys"),)
