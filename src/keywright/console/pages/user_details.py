"""A user with all that hangs on it: keys, sessions, grants."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

from starlette.responses import Response

from keywright.console.pages.user_changes import changes_of
from keywright.console.pages.user_rights import Rights, rights_over, section_of
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import KeyState, NotFound, PermissionDenied, Role, User, UserKind

_SHOWN = 25
_STANDING = (KeyState.ACTIVE, KeyState.DISABLED, KeyState.EXPIRED)
DONE = {
    "added": "The user is added.",
    "saved": "The changes are saved, and count at once.",
    "disable": "The user is disabled: none of their keys and sessions stands.",
    "enable": "The user may act again.",
    "sign-out": "Signed out everywhere.",
    "sign-out-there": "Signed out there.",
    "revoke-keys": "The keys are revoked: they are dead everywhere.",
    "given": "The role is given, and counts at once.",
    "taken": "The role is taken away.",
}


class _Pages(Protocol):
    def page(self) -> Awaitable[Any]: ...


async def _show(visit: PersonVisit) -> Response:
    user = await visit.client.users.get(visit.id())
    visit.section = section_of(user)
    rights = await rights_over(visit, user)
    client, is_person = visit.client, user.kind is UserKind.HUMAN
    keys, sessions, grants, role = await asyncio.gather(
        _some(client.keys.list(user=user.name, states=_STANDING, page_size=_SHOWN), rights.keys),
        _some(
            client.sessions.list(user=user.name, page_size=_SHOWN), rights.everything and is_person
        ),
        _some(client.grants.list(user=user.name, page_size=_SHOWN), rights.grants),
        _role(visit, user),
    )
    return visit.page(
        "users/details.html",
        user=user,
        rights=rights,
        role=role,
        may_hold_keys=role is None or role.may_hold_keys,
        keys=keys,
        sessions=sessions,
        grants=grants,
        changes=changes_of(user) if rights.manage else [],
        may_link=_may_link(user, rights),
        done=DONE.get(visit.form.text("done"), ""),
    )


async def _some(listed: _Pages, is_for_them: bool) -> Any:  # noqa: FBT001
    """The first page of a list; None if it is not for this person to see."""
    if not is_for_them:
        return None
    try:
        return await listed.page()
    except (PermissionDenied, NotFound):
        return None


async def _role(visit: PersonVisit, user: User) -> Role | None:
    if not user.role:
        return None
    try:
        return await visit.client.roles.get(user.role)
    except (PermissionDenied, NotFound):
        return None


def _may_link(user: User, rights: Rights) -> bool:
    return rights.everything and user.kind is UserKind.HUMAN and user.state == "ACTIVE"


PAGES = (page("/users/{id}", _show, section="users"),)
