"""Adding people and service users."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from keywright.console.authority import roles_within
from keywright.console.refusals import REFUSALS, lacking, note
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import UserKind

_DEFAULT_ROLE = "member"


async def _show_person(visit: PersonVisit) -> Response:
    if not visit.me.may("users.manage"):
        return lacking(visit, "users.manage")
    return await _person_shown(visit)


async def _person_shown(visit: PersonVisit, status: int = HTTPStatus.OK) -> Response:
    roles = await _roles(visit)
    preferred = _DEFAULT_ROLE if _DEFAULT_ROLE in roles else ""
    return visit.page("users/new.html", status, roles=roles, preferred_role=preferred)


async def _roles(visit: PersonVisit) -> Mapping[str, str]:
    """The roles to choose from; none if this person may not see roles, and has to type one."""
    return {
        each.id: each.display_name or each.id for each in await roles_within(visit.client, visit.me)
    }


async def _add_person(visit: PersonVisit) -> Response:
    form = visit.form
    if not form.text("email"):
        form.fail("email", "Enter the e-mail address: people are known by it.")
        return await _person_shown(visit, HTTPStatus.BAD_REQUEST)
    try:
        user = await visit.client.users.create(
            form.text("email"),
            role=form.text("role") or None,
            display_name=form.text("display_name"),
            external_id=form.text("external_id"),
            request_id=form.request_id,
        )
    except REFUSALS as error:
        return await _person_shown(visit, note(form, error))
    return visit.redirect(f"/users/{user.id}?done=added")


async def _show_program(visit: PersonVisit) -> Response:
    return await _program_shown(visit)


async def _program_shown(visit: PersonVisit, status: int = HTTPStatus.OK) -> Response:
    of_workspace = visit.me.may("users.manage")
    return visit.page(
        "users/new_program.html",
        status,
        roles={"": "None: only grants on one resource", **await _roles(visit)}
        if of_workspace
        else {},
        of_workspace=of_workspace,
    )


async def _add_program(visit: PersonVisit) -> Response:
    form = visit.form
    role, resource = form.text("role"), form.text("resource")
    if role and resource:
        form.fail("role", "Choose a role or enter a resource: with both, it is not clear which.")
    elif not role and not resource:
        form.fail("resource", "Enter the resource that it works on, projects/abc for example.")
    if form.errors:
        return await _program_shown(visit, HTTPStatus.BAD_REQUEST)
    try:
        user = await visit.client.users.create(
            kind=UserKind.SERVICE,
            role=role or None,
            resource=resource,
            display_name=form.text("display_name"),
            user_id=form.text("user_id"),
            request_id=form.request_id,
        )
    except REFUSALS as error:
        return await _program_shown(visit, note(form, error))
    return visit.redirect(f"/users/{user.id}?done=added")


PAGES = (
    page("/new-user", _show_person, _add_person, section="users"),
    page("/new-service-user", _show_program, _add_program, section="service-users"),
)
