"""The audit trail: what was done, one event, and whether the trail is as it was sealed."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from keywright.console.forms import Form
from keywright.console.listing import Asked
from keywright.console.names import spelled
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import AuditEvent, AuditOutcome, DeadlineExceeded, InvalidArgument, NotFound

_NEEDS = ("audit.read",)
_PATH = "/audit"
_PAGE_SIZE = 50
# A page is not waited for any longer; the command line verifies trails of any length.
_VERIFY_SECONDS = 20.0
_TEXTS = ("actor", "resource", "credential", "client_address", "request_id", "seal")
_KEPT = (*_TEXTS, "action", "outcome", "since", "until")
_LABELS = {
    "actor": "Who",
    "resource": "To what",
    "action": "Action",
    "outcome": "Outcome",
    "since": "From",
    "until": "Until",
    "credential": "With the credential",
    "client_address": "From the address",
    "request_id": "Request",
    "seal": "Seal",
}
_OUTCOMES = {"": "All"} | {
    each.value: spelled(each) for each in AuditOutcome if each is not AuditOutcome.UNKNOWN
}
ACTIONS = (
    *("CreateKey", "RotateKey", "UpdateKey", "DisableKey", "EnableKey", "RevokeKey", "DeleteKey"),
    *("ImportKeys", "ReportLeakedToken", "RetiredTokenPresented", "RevokedTokenPresented"),
    *("CreateUser", "UpdateUser", "DisableUser", "EnableUser", "DeleteUser"),
    *("CreateRole", "UpdateRole", "DeleteRole", "CreateGrant", "DeleteGrant", "UpdateWorkspace"),
    *("CreateSession", "CreateSignInLink", "RevokeSession", "RemoveAuditEvents"),
)
"""Suggestions; any other may be entered."""


async def _list(visit: PersonVisit) -> Response:
    form = visit.form
    events, next_page = await _found(visit)
    return visit.page(
        "audit/list.html",
        HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK,
        events=events,
        next_page=next_page,
        query=Asked(form, _KEPT),
        is_filtered_more=any(form.text(each) for each in _TEXTS[2:]),
        labels=_LABELS,
        outcomes=_OUTCOMES,
        actions=ACTIONS,
    )


async def _found(visit: PersonVisit) -> tuple[tuple[AuditEvent, ...], str]:
    form = visit.form
    matching = _matching(form)
    if form.errors:
        return (), ""
    try:
        found = await visit.client.audit.list(page_size=_PAGE_SIZE, **matching).page(
            form.text("page")
        )
    except InvalidArgument as error:
        form.take(error, {"actions": "action", "start_time": "since", "end_time": "until"})
        return (), ""
    except NotFound:  # whom or what it names, there is not
        return (), ""
    return found.items, found.next_page_token


def _matching(form: Form) -> dict[str, Any]:
    """The filter; the day of `until` is in it."""
    given: dict[str, Any] = {name: form.text(name) for name in _TEXTS}
    given["actions"] = [form.text("action")] if form.text("action") else []
    if form.text("outcome") in _OUTCOMES and form.text("outcome"):
        given["outcomes"] = [AuditOutcome(form.text("outcome"))]
    given["start_time"], until = form.day("since"), form.day("until")
    try:
        given["end_time"] = None if until is None else until + timedelta(days=1)
    except OverflowError:  # the last day that there is
        given["end_time"] = None
    return {name: value for name, value in given.items() if value}


async def _event(visit: PersonVisit) -> Response:
    return visit.page("audit/event.html", event=await visit.client.audit.get(visit.id()))


async def _trail(visit: PersonVisit) -> Response:
    try:
        async with asyncio.timeout(_VERIFY_SECONDS):
            verified = await visit.client.audit.verify()
    except (TimeoutError, DeadlineExceeded):
        verified = None
    return visit.page("audit/trail.html", verified=verified)


PAGES = (
    page(_PATH, _list, section="audit", needs=_NEEDS),
    page("/audit-trail", _trail, section="audit", needs=_NEEDS),
    page(f"{_PATH}/{{id}}", _event, section="audit", needs=_NEEDS),
)
