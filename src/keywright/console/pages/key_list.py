"""The list of keys: whoever may see more than their own can look at everybody's."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Unpack

from starlette.responses import Response

from keywright.console.forms import Form
from keywright.console.key_filters import (
    FIELDS,
    LABELS,
    MORE,
    STATES,
    any_environment,
    any_role,
    chosen,
    is_given,
    refused,
)
from keywright.console.listing import Asked
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import InvalidArgument, KeyFilter, NotFound, PermissionDenied

PAGE_SIZE = 50
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
_KEPT = ("owner", "sort", *FIELDS)


@dataclass(frozen=True, slots=True)
class Query:
    """What of the list is asked for, as its address says it."""

    form: Form

    def with_(self, **changed: str) -> str:
        """The address of the list with something else; from its first page on."""
        return Asked(self.form, _KEPT).with_(**changed)

    @property
    def without_filters(self) -> str:
        """The address of the list of all keys that are not revoked."""
        return Asked(self.form, ("owner", "sort")).with_()

    @property
    def of_many(self) -> str:
        """The query of what is done to all keys that match."""
        return Asked(self.form, FIELDS).with_()

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
        return is_given(self.form)

    @property
    def is_filtered_more(self) -> bool:
        """Whether one of the filters does that are of use to few."""
        return any(self.form.text(name) for name in MORE)


def _names(column: str) -> tuple[str, ...]:
    return ("", "created") if column == "created" else (column,)


async def _show(visit: PersonVisit) -> Response:
    form = visit.form
    sees_all = visit.me.may("keys.any")
    everybodys = sees_all and form.text("owner") == "all"
    matching = chosen(form)
    if not everybodys:
        matching["user"] = visit.me.user.name
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
        states={value: told for value, (told, _) in STATES.items()},
        labels=LABELS,
        environments=any_environment(workspace),
        roles=await any_role(visit) if everybodys else {},
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
    if form.errors:
        return (), ""
    try:
        page = await listed.page(form.text("page"))
    except (NotFound, InvalidArgument) as error:
        refused(form, error)
        return (), ""
    except PermissionDenied:  # none of the keys is to be seen
        return (), ""
    return page.items, page.next_page_token


def may_create(visit: PersonVisit) -> bool:
    """Whether a person may hold keys of their own at all."""
    return any(visit.me.may(each) for each in ("keys.own", "keys.any"))


PAGES = (page("/keys", _show, section="keys"),)
