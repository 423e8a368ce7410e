"""What a workspace asks of its keys: shown as a form, and changed by it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from keywright.console import lifetimes, times
from keywright.console.forms import Form
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    KeyCreation,
    KeyPolicy,
    Workspace,
)

_NEEDS = ("workspace.manage",)
_PATH = "/policy"
_SPANS = ("max_ttl", "default_ttl", "rotation_reminder")
_LABELS = {
    "display_name": "Name of the workspace",
    "max_ttl_count": "Longest lifetime",
    "max_ttl_unit": "Unit of the longest lifetime",
    "default_ttl_count": "Usual lifetime",
    "default_ttl_unit": "Unit of the usual lifetime",
    "expiry_required": "Every key must expire",
    "rotation_reminder_count": "Remind after",
    "rotation_reminder_unit": "Unit of the reminder",
    "key_creation": "Who may generate keys of their own",
    "max_keys_per_user": "Keys of each user",
    "free_binding": "Binding to resources",
    "environments": "Environments",
    "catalog": "Permissions",
    "permissions": "List of permissions",
}
_CREATIONS = {
    KeyCreation.EVERYONE.value: "Everyone whose role may hold keys",
    KeyCreation.ADMINS.value: "Only administrators of keys",
}
_CATALOGS = {"free": "Any", "kept": "Only those listed here"}
# What the server calls a field, and what the form does.
_FIELDS = {each: f"{each}_count" for each in _SPANS} | {"permission": "permissions"}
_COUNT = re.compile(r"[0-9]{1,9}")


async def _show(visit: PersonVisit) -> Response:
    return await _shown(visit)


async def _shown(
    visit: PersonVisit, status: int = HTTPStatus.OK, changed: Mapping[str, str] | None = None
) -> Response:
    """The form: as it was filled in, else as the workspace is.

    `changed` is what somebody else has made of fields meanwhile, by what these are called.
    """
    workspace = await visit.client.workspaces.get()
    form = visit.form
    values = _values(workspace)
    if "etag" not in form:
        done = form.text("done")
        visit.form = form = Form([*values.items(), ("etag", workspace.etag), ("done", done)])
    return visit.page(
        "policy/edit.html",
        status,
        workspace=workspace,
        changed=changed,
        etag=workspace.etag if changed is not None else form.text("etag"),
        labels=_LABELS,
        units={"": "None"} | lifetimes.UNITS,
        creations=_CREATIONS,
        catalogs=_CATALOGS,
    )


async def _save(visit: PersonVisit) -> Response:
    form = visit.form
    attributes = _attributes(form)
    if form.errors:
        return await _shown(visit, HTTPStatus.BAD_REQUEST)
    try:
        await visit.client.workspaces.update(
            etag=form.text("etag"), request_id=form.request_id, **attributes
        )
    except Aborted as error:
        if error.reason != "ETAG_MISMATCH":
            raise
        return await _shown(visit, HTTPStatus.CONFLICT, await _differing(visit))
    except InvalidArgument as error:
        form.take(error, _FIELDS)
        return await _shown(visit, HTTPStatus.BAD_REQUEST)
    except FailedPrecondition as error:  # keys are of an environment that is to go
        form.take(error, {"RESOURCE_IN_USE": "environments"})
        return await _shown(visit, HTTPStatus.CONFLICT)
    return visit.redirect(f"{_PATH}?done=1")


async def _differing(visit: PersonVisit) -> dict[str, str]:
    """Fields that are not as the form says, with their present values."""
    values = _values(await visit.client.workspaces.get())
    return {
        _LABELS[name]: " ".join(value.split()) or "none"
        for name, value in values.items()
        if value.split() != visit.form.text(name).split()
    }


def _values(workspace: Workspace) -> dict[str, str]:
    """The fields of the form, as the workspace fills them in."""
    policy, catalog = workspace.policy, workspace.permission_catalog
    values = {
        "display_name": workspace.display_name,
        "expiry_required": "yes" if policy.expiry_required else "",
        "key_creation": policy.key_creation.value,
        "max_keys_per_user": str(policy.max_keys_per_user or ""),
        "free_binding": "yes" if policy.free_binding else "",
        "environments": "\n".join(workspace.environments),
        "catalog": "free" if catalog is None else "kept",
        "permissions": "\n".join(
            f"{name} {told}".strip() for name, told in (catalog or {}).items()
        ),
    }
    for name in _SPANS:
        span: timedelta | None = getattr(policy, name)
        count, unit = ("", "") if span is None else times.counted(span)
        values |= {f"{name}_count": str(count), f"{name}_unit": unit}
    return values


def _attributes(form: Form) -> dict[str, Any]:
    """The workspace as the form says it; mistakes are noted in it."""
    spans = {name: _span(form, name) for name in _SPANS}
    count = form.text("max_keys_per_user") or "0"
    if _COUNT.fullmatch(count) is None:
        form.fail("max_keys_per_user", "Enter a whole number, or nothing for as many as they like.")
    for name, options in (("key_creation", _CREATIONS), ("catalog", _CATALOGS)):
        if form.text(name) not in options:
            form.fail(name, "Choose one of these.")
    if not form.texts("environments"):
        form.fail("environments", "Name one at least.")
    if form.errors:
        return {}
    return {
        "display_name": form.text("display_name"),
        "policy": KeyPolicy(
            **spans,
            expiry_required=form.text("expiry_required") == "yes",
            max_keys_per_user=int(count),
            key_creation=KeyCreation(form.text("key_creation")),
            free_binding=form.text("free_binding") == "yes",
        ),
        "environments": form.texts("environments"),
        "permission_catalog": _catalog(form) if form.text("catalog") == "kept" else None,
    }


def _span(form: Form, name: str) -> timedelta | None:
    if not form.text(f"{name}_count") and not form.text(f"{name}_unit"):
        return None
    return lifetimes.entered(form, name)


def _catalog(form: Form) -> dict[str, str]:
    """A permission a line, and after it what it permits."""
    lines = (line.strip().partition(" ") for line in form.text("permissions").splitlines())
    return {permission: told.strip() for permission, _, told in lines if permission}


PAGES = (page(_PATH, _show, _save, section="policy", needs=_NEEDS),)
