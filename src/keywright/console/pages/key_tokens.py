"""Pages that show a token: a new key's, and that of a key that was rotated. Each is shown once."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from keywright.console import lifetimes
from keywright.console.authority import roles_to_give
from keywright.console.forms import Form
from keywright.console.pages.key_list import may_create
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import (
    AlreadyExists,
    CreatedKey,
    FailedPrecondition,
    InvalidArgument,
    KeywrightError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RotatedKey,
    TokenLost,
)

# Which field of the form a refusal is about; the others are about all of it.
_ABOUT: Mapping[str, str] = {
    "POLICY_LIFETIME_TOO_SHORT": "validity",
    "POLICY_LIFETIME_TOO_LONG": "validity",
    "POLICY_EXPIRY_REQUIRED": "validity",
    "PERMISSION_UNKNOWN": "scopes",
    "ttl": "validity",
    "expire_time": "validity",
    "user": "user",
}
_GRACES: Mapping[str, tuple[str, timedelta | None]] = {
    "none": ("At once", None),
    "1h": ("After 1 hour", timedelta(hours=1)),
    "1d": ("After 1 day", timedelta(days=1)),
    "7d": ("After 7 days", timedelta(days=7)),
}


async def _show(visit: PersonVisit) -> Response:
    return await _form_shown(visit)


async def _form_shown(visit: PersonVisit, status: int = HTTPStatus.OK) -> Response:
    workspace, roles = await asyncio.gather(
        visit.client.workspaces.get(), roles_to_give(visit.client, visit.me)
    )
    return visit.page(
        "keys/new.html",
        status,
        workspace=workspace,
        environments={each: each for each in workspace.environments},
        roles={"": "No limit by a role"}
        | {each.id: each.display_name or each.id for each in roles},
        validities=lifetimes.choices(workspace.policy),
        preferred_validity=lifetimes.preferred(workspace.policy),
        units=lifetimes.UNITS,
        may_create=may_create(visit),
        for_others=visit.me.may("keys.any"),
    )


async def _create(visit: PersonVisit) -> Response:
    form = visit.form
    workspace = await visit.client.workspaces.get()
    attributes = {**_attributes(form), **lifetimes.chosen(form, workspace.policy)}
    if form.errors:
        return await _form_shown(visit, HTTPStatus.BAD_REQUEST)
    try:
        made = await visit.client.keys.create(request_id=form.request_id, **attributes)
    except TokenLost as lost:
        return await _already_shown(visit, lost)
    except (
        InvalidArgument,
        PermissionDenied,
        FailedPrecondition,
        NotFound,
        AlreadyExists,
        ResourceExhausted,
    ) as error:
        return await _refused(visit, error)
    return shown_once(visit, made)


async def _refused(visit: PersonVisit, error: KeywrightError) -> Response:
    if error.reason == "REQUEST_ID_REUSED":
        visit.form.renew()
        visit.form.fail("", "This form has made a key before. Send it again to make another one.")
        return await _form_shown(visit, HTTPStatus.CONFLICT)
    about = dict(_ABOUT)
    if isinstance(error, NotFound):
        about[error.reason] = "user" if visit.form.text("user") else "role"
    visit.form.take(error, about)
    return await _form_shown(visit, HTTPStatus.CONFLICT)


def _attributes(form: Form) -> dict[str, Any]:
    """What the key is to be, but for its lifetime; empty fields are not given."""
    given: dict[str, Any] = {
        "display_name": form.text("display_name"),
        "user": form.text("user"),
        "role": form.text("role"),
        "scopes": form.texts("scopes"),
        "resource": form.text("resource"),
        "environment": form.text("environment"),
        "allowed_networks": form.texts("allowed_networks"),
    }
    return {name: value for name, value in given.items() if value}


async def _show_rotation(visit: PersonVisit) -> Response:
    key = await visit.client.keys.get(visit.id())
    return visit.page(
        "keys/rotate.html", key=key, graces={name: told for name, (told, _) in _GRACES.items()}
    )


async def _rotate(visit: PersonVisit) -> Response:
    chosen = _GRACES.get(visit.form.text("grace"))
    if chosen is None:
        visit.form.fail("grace", "Choose one of these.")
        return await _show_rotation(visit)
    try:
        made = await visit.client.keys.rotate(
            visit.id(), grace=chosen[1], request_id=visit.form.request_id
        )
    except TokenLost as lost:
        return await _already_shown(visit, lost)
    return shown_once(visit, made)


def shown_once(visit: PersonVisit, made: CreatedKey | RotatedKey) -> Response:
    """The page with a token, which is nowhere else: neither here nor, by `no-store`, there."""
    return visit.page(
        "keys/token.html",
        key=made.key,
        token=made.token.reveal(),
        is_rotated=isinstance(made, RotatedKey),
    )


async def _already_shown(visit: PersonVisit, lost: TokenLost) -> Response:
    key = await visit.client.keys.get(lost.metadata["resource"])
    return visit.page("keys/token_shown.html", key=key)


PAGES = (
    page("/new-key", _show, _create, section="keys"),
    page("/keys/{id}/rotate", _show_rotation, _rotate, section="keys"),
)
