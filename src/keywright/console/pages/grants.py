"""Who has which role on which resource."""

import asyncio
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console.authority import me_at, roles_within, visible_roles
from keywright.console.listing import Asked
from keywright.console.refusals import REFUSALS, note
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import Grant, InvalidArgument, NotFound, Role

PAGE_SIZE = 50
_FILTERS = ("user", "resource", "role")
_DONE = {
    "given": "The role is given, and counts at once.",
    "taken": "The role is taken away: it counts nowhere any more.",
}


async def _show(visit: PersonVisit) -> Response:
    """Everybody sees their own grants here, and those on resources that they manage."""
    form, me = visit.form, visit.me
    (grants, next_page), roles, here = await asyncio.gather(
        _found(visit), visible_roles(visit.client), me_at(visit, form.text("resource"))
    )
    return visit.page(
        "grants/list.html",
        HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK,
        grants=grants,
        next_page=next_page,
        asked=Asked(form, _FILTERS),
        roles={"": "All"} | {each.id: each.id for each in roles},
        sees_all=me.may("grants.read") or me.may("grants.manage"),
        # With `keys.bound` alone one gives to service users only, and takes away on their pages.
        may_give=here.may("grants.manage") or here.may("keys.bound"),
        may_take=here.may("grants.manage"),
        manages_programs=bool(form.text("resource")) and here.may("keys.bound"),
        done=_DONE.get(form.text("done"), ""),
    )


async def _found(visit: PersonVisit) -> tuple[tuple[Grant, ...], str]:
    form = visit.form
    listed = visit.client.grants.list(
        user=form.text("user") or None,
        resource=form.text("resource"),
        role=form.text("role") or None,
        page_size=PAGE_SIZE,
    )
    try:
        page = await listed.page(form.text("page"))
    except NotFound:  # a user or a role that there is not
        return (), ""
    except InvalidArgument as error:
        form.take(error, {"page_token": ""})
        return (), ""
    return page.items, page.next_page_token


async def _show_new(visit: PersonVisit) -> Response:
    return await _new_shown(visit)


async def _new_shown(visit: PersonVisit, status: int = HTTPStatus.OK) -> Response:
    here = await me_at(visit, visit.form.text("resource"))
    roles = await roles_within(visit.client, here)
    return visit.page(
        "grants/new.html",
        status,
        # One may do more on a resource than everywhere; the server knows when it is told which.
        roles={each.id: _told(each) for each in roles},
    )


def _told(role: Role) -> str:
    return f"{role.display_name} ({role.id})" if role.display_name else role.id


async def _give(visit: PersonVisit) -> Response:
    form = visit.form
    needed = {
        "user": "Enter an e-mail address or an id.",
        "resource": "Enter a resource, projects/abc for example.",
        "role": "Choose a role.",
    }
    for field, told in needed.items():
        if not form.text(field):
            form.fail(field, told)
    if form.errors:
        return await _new_shown(visit, HTTPStatus.BAD_REQUEST)
    try:
        await visit.client.grants.create(
            form.text("user"),
            form.text("resource"),
            form.text("role"),
            request_id=form.request_id,
        )
    except REFUSALS as error:
        return await _new_shown(visit, note(form, error, {"grant": "", "name": "user"}))
    given = {"user": form.text("user"), "done": "given"}
    return visit.redirect(f"/grants?{urlencode(given)}")


async def _ask(visit: PersonVisit) -> Response:
    return await _asked(visit, HTTPStatus.OK)


async def _asked(visit: PersonVisit, status: HTTPStatus) -> Response:
    return visit.page("grants/delete.html", status, grant=await visit.client.grants.get(visit.id()))


async def _take(visit: PersonVisit) -> Response:
    try:
        await visit.client.grants.delete(visit.id(), request_id=visit.form.request_id)
    except REFUSALS as error:
        return await _asked(visit, note(visit.form, error))
    return visit.redirect("/grants?done=taken")


PAGES = (
    page("/grants", _show, section="grants"),
    page("/new-grant", _show_new, _give, section="grants"),
    page("/grants/{id}/delete", _ask, _take, section="grants"),
)
