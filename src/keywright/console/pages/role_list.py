"""The roles there are, and one with who has it."""

import asyncio

from starlette.responses import Response

from keywright.console.pages.role_use import use_of
from keywright.console.permissions import OWN
from keywright.console.refusals import lacking
from keywright.console.routing import page
from keywright.console.visit import PersonVisit

_PAGE_SIZE = 100
_DONE = {
    "added": "The role is added. Give it to a user, or with a grant on a resource.",
    "saved": "The changes are saved, and count at once.",
    "deleted": "The role is deleted.",
}


async def _show(visit: PersonVisit) -> Response:
    if not visit.me.may("roles.read"):
        return lacking(visit, "roles.read")
    listed = visit.client.roles.list(page_size=_PAGE_SIZE)
    found = await listed.page(visit.form.text("page"))
    return visit.page(
        "roles/list.html",
        roles=found.items,
        next_page=found.next_page_token,
        may_manage=visit.me.may("roles.manage"),
        done=_DONE.get(visit.form.text("done"), ""),
    )


async def _show_one(visit: PersonVisit) -> Response:
    role = await visit.client.roles.get(visit.id())
    use, workspace = await asyncio.gather(use_of(visit, role), visit.client.workspaces.get())
    return visit.page(
        "roles/details.html",
        role=role,
        use=use,
        told={**OWN, **(workspace.permission_catalog or {})},
        may_manage=visit.me.may("roles.manage") and not role.built_in,
        done=_DONE.get(visit.form.text("done"), ""),
    )


PAGES = (
    page("/roles", _show, section="roles"),
    page("/roles/{id}", _show_one, section="roles"),
)
