"""A key with all that is known of it: its origin, what was done with it, what it may do."""

import asyncio
from http import HTTPStatus

from starlette.responses import Response

from keywright.console.pages.key_changes import CHANGES, changes_of
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import (
    AccessExplanation,
    AuditEvent,
    InvalidArgument,
    Key,
    KeyState,
    NotFound,
    PermissionDenied,
)

_EVENTS = 25
_TOLD = {each.id: each for each in CHANGES}


async def _show(visit: PersonVisit) -> Response:
    key = await visit.client.keys.get(visit.id())
    events, explanation, workspace = await asyncio.gather(
        _events(visit, key), _explanation(visit, key), visit.client.workspaces.get()
    )
    return visit.page(
        "keys/details.html",
        HTTPStatus.BAD_REQUEST if visit.form.errors else HTTPStatus.OK,
        key=key,
        events=events,
        explanation=explanation,
        workspace=workspace,
        changes=changes_of(key),
        done=_TOLD.get(visit.form.text("done")),
        may_rotate=key.state in {KeyState.ACTIVE, KeyState.DISABLED},
    )


async def _events(visit: PersonVisit, key: Key) -> tuple[AuditEvent, ...] | None:
    """What was done with the key, newest first; None if that is not for this person to see."""
    try:
        listed = visit.client.audit.list(resource=key.name, page_size=_EVENTS)
        return (await listed.page()).items
    except (PermissionDenied, NotFound):
        return None


async def _explanation(visit: PersonVisit, key: Key) -> AccessExplanation | None:
    """Why the key may do what is asked about, or only whether it stands; None if none may say."""
    form = visit.form
    try:
        return await visit.client.explain_access(
            key.name,
            form.text("permission"),
            resource=form.text("resource"),
            client_address=form.text("client_address"),
        )
    except InvalidArgument as error:
        form.take(error)
    except (PermissionDenied, NotFound):
        pass
    return None


PAGES = (page("/keys/{id}", _show, section="keys"),)
