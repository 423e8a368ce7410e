"""Changing a user: who they are, and their role."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from keywright.console.authority import roles_within
from keywright.console.pages.user_rights import rights_over, section_of
from keywright.console.refusals import REFUSALS, lacking, note, overtaken
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import AuditEvent, KeywrightError, User

_FIELDS = ("display_name", "email", "external_id", "role")


async def _show(visit: PersonVisit) -> Response:
    return await _shown(visit, await visit.client.users.get(visit.id()))


async def _shown(
    visit: PersonVisit,
    user: User,
    status: int = HTTPStatus.OK,
    *,
    winner: AuditEvent | None = None,
) -> Response:
    visit.section = section_of(user)
    rights = await rights_over(visit, user)
    if not rights.manage and user.name != visit.me.user.name:
        return lacking(visit, "users.manage")
    roles = {each.id: each.display_name or each.id for each in await _roles(visit, user)}
    now = {name: _text(user, name) for name in _FIELDS}
    is_stale = visit.form.text("etag", user.etag) != user.etag
    return visit.page(
        "users/edit.html",
        status,
        user=user,
        rights=rights,
        roles=roles,
        now=now,
        differs=[
            name for name in _FIELDS if is_stale and visit.form.text(name, now[name]) != now[name]
        ],
        winner=winner,
    )


async def _roles(visit: PersonVisit, user: User) -> list[Any]:
    roles = await roles_within(visit.client, visit.me)
    if user.role and roles and user.role not in {each.name for each in roles}:
        # It is more than this person may give, and must not be lost by saving a new name.
        roles.append(await visit.client.roles.get(user.role))
    return roles


def _text(user: User, name: str) -> str:
    return user.role.rpartition("/")[2] if name == "role" else str(getattr(user, name))


async def _save(visit: PersonVisit) -> Response:
    form = visit.form
    user = await visit.client.users.get(visit.id())
    changes: Any = {name: form.text(name) for name in _FIELDS if name in form}
    if changes.get("role") == _text(user, "role"):
        del changes["role"]
    try:
        await visit.client.users.update(
            user.name, etag=form.text("etag"), request_id=form.request_id, **changes
        )
    except REFUSALS as error:
        return await _refused(visit, user, error)
    return visit.redirect(f"/users/{user.id}?done=saved")


async def _refused(visit: PersonVisit, user: User, error: KeywrightError) -> Response:
    if error.reason != "ETAG_MISMATCH":
        return await _shown(visit, user, note(visit.form, error))
    now = await visit.client.users.get(user.name)
    winner = await overtaken(visit, user.name)
    return await _shown(visit, now, HTTPStatus.CONFLICT, winner=winner)


PAGES = (page("/users/{id}/edit", _show, _save, section="users"),)
