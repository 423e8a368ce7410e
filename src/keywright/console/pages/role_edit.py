"""Adding, changing and deleting the roles of a workspace."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from keywright.console.pages.role_use import use_of
from keywright.console.permissions import OWN
from keywright.console.refusals import REFUSALS, lacking, note, overtaken
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import AuditEvent, KeywrightError, Role


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks a role to be."""

    display_name: str
    description: str
    permissions: tuple[str, ...]
    may_hold_keys: bool

    @property
    def attributes(self) -> Any:
        """As the client takes them."""
        return {
            "display_name": self.display_name,
            "description": self.description,
            "permissions": self.permissions,
            "may_hold_keys": self.may_hold_keys,
        }


def _wanted(visit: PersonVisit, role: Role | None) -> Wanted:
    """What was filled in; at first what the role is."""
    form = visit.form
    if "display_name" in form:
        return Wanted(
            form.text("display_name"),
            form.text("description"),
            tuple(dict.fromkeys(form.texts("permissions"))),
            "may_hold_keys" in form,
        )
    if role is None:
        return Wanted("", "", (), may_hold_keys=True)
    return Wanted(role.display_name, role.description, role.permissions, role.may_hold_keys)


async def _show(visit: PersonVisit) -> Response:
    role = await _role(visit)
    if not visit.me.may("roles.manage"):
        return lacking(visit, "roles.manage")
    return await _shown(visit, role)


async def _role(visit: PersonVisit) -> Role | None:
    """The role that the path names; None where one is added."""
    if "id" not in visit.request.path_params:
        return None
    return await visit.client.roles.get(visit.id())


async def _shown(
    visit: PersonVisit,
    role: Role | None,
    status: int = HTTPStatus.OK,
    *,
    winner: AuditEvent | None = None,
) -> Response:
    workspace = await visit.client.workspaces.get()
    groups = {"Of keywright itself": OWN}
    if workspace.permission_catalog:
        groups = {"Of your applications": workspace.permission_catalog, **groups}
    wanted = _wanted(visit, role)
    listed = {each for group in groups.values() for each in group}
    is_stale = role is not None and visit.form.text("etag", role.etag) != role.etag
    return visit.page(
        "roles/edit.html",
        status,
        role=role,
        wanted=wanted,
        groups=groups,
        has_catalog=workspace.permission_catalog is not None,
        others=[each for each in wanted.permissions if each not in listed],
        now=role if is_stale else None,
        winner=winner,
    )


async def _add(visit: PersonVisit) -> Response:
    form = visit.form
    if not form.text("role_id"):
        form.fail("role_id", "Enter an id, reviewer for example.")
        return await _shown(visit, None, HTTPStatus.BAD_REQUEST)
    try:
        role = await visit.client.roles.create(
            form.text("role_id").lower(), form.request_id, **_wanted(visit, None).attributes
        )
    except REFUSALS as error:
        return await _shown(visit, None, note(form, error))
    return visit.redirect(f"/roles/{role.id}?done=added")


async def _save(visit: PersonVisit) -> Response:
    """Change a role; what takes away or gives is shown first, with whom it touches."""
    form = visit.form
    role = await visit.client.roles.get(visit.id())
    wanted = _wanted(visit, role)
    given = [each for each in wanted.permissions if each not in role.permissions]
    taken = [each for each in role.permissions if each not in wanted.permissions]
    flips = wanted.may_hold_keys != role.may_hold_keys
    if (given or taken or flips) and form.text("confirmed") != "yes":
        return visit.page(
            "roles/confirm.html",
            role=role,
            wanted=wanted,
            given=given,
            taken=taken,
            flips=flips,
            use=await use_of(visit, role),
        )
    try:
        await visit.client.roles.update(
            role.name, etag=form.text("etag"), request_id=form.request_id, **wanted.attributes
        )
    except REFUSALS as error:
        return await _refused(visit, role, error)
    return visit.redirect(f"/roles/{role.id}?done=saved")


async def _refused(visit: PersonVisit, role: Role, error: KeywrightError) -> Response:
    if error.reason != "ETAG_MISMATCH":
        return await _shown(visit, role, note(visit.form, error))
    now = await visit.client.roles.get(role.name)
    winner = await overtaken(visit, role.name)
    return await _shown(visit, now, HTTPStatus.CONFLICT, winner=winner)


async def _ask_delete(visit: PersonVisit) -> Response:
    return await _delete_asked(visit, HTTPStatus.OK)


async def _delete_asked(visit: PersonVisit, status: HTTPStatus) -> Response:
    role = await visit.client.roles.get(visit.id())
    return visit.page("roles/delete.html", status, role=role, use=await use_of(visit, role))


async def _delete(visit: PersonVisit) -> Response:
    try:
        await visit.client.roles.delete(visit.id(), request_id=visit.form.request_id)
    except REFUSALS as error:
        if users := error.metadata.get("used_by", "").replace(",", ", "):
            visit.form.fail("", f"It is still had by {users}.")
            return await _delete_asked(visit, HTTPStatus.CONFLICT)
        return await _delete_asked(visit, note(visit.form, error))
    return visit.redirect("/roles?done=deleted")


PAGES = (
    page("/new-role", _show, _add, section="roles"),
    page("/roles/{id}/edit", _show, _save, section="roles"),
    page("/roles/{id}/delete", _ask_delete, _delete, section="roles"),
)
