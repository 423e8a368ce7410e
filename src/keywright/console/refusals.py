"""What a person is told when the server does not do what a form asks for: beside its field."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from keywright.console import troubles
from keywright.console.forms import Form
from keywright.console.visit import PersonVisit
from keywright.sdk import (
    Aborted,
    AlreadyExists,
    AuditEvent,
    FailedPrecondition,
    InvalidArgument,
    KeywrightError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)

REFUSALS = (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
"""What a form can be refused with; after anything else it is not known what was done."""

_FIELDS_OF = {"roles": "role", "users": "user"}


def note(form: Form, error: KeywrightError, fields: Mapping[str, str] | None = None) -> HTTPStatus:
    """Note a refusal in a form; returns the status of the page that shows it.

    Raises:
        NotFound: it is not what the form names that there is not, but what the page is about.
    """
    if isinstance(error, NotFound):
        collection, _, what = error.metadata.get("resource", "").rpartition("/")
        field = _FIELDS_OF.get(collection.rpartition("/")[2], "")
        if field not in form:
            raise error
        form.fail(field, f"There is no {field} “{what}”, or it is not yours to see.")
        return HTTPStatus.CONFLICT
    if error.reason == "REQUEST_ID_REUSED":
        form.renew()
        form.fail("", "This form did something else before. Send it again to do this, too.")
        return HTTPStatus.CONFLICT
    form.take(error, fields)
    if isinstance(error, InvalidArgument):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.FORBIDDEN if isinstance(error, PermissionDenied) else HTTPStatus.CONFLICT


def lacking(visit: PersonVisit, permission: str) -> Response:
    """The answer to who asks for a page that only somebody else can use."""
    role = visit.me.role.rpartition("/")[2]
    return troubles.shown(
        visit,
        troubles.Trouble(
            HTTPStatus.FORBIDDEN,
            "You may not do this",
            f"It takes the permission {permission}, which your role, {role}, does not have.",
        ),
    )


async def overtaken(visit: PersonVisit, name: str) -> AuditEvent | None:
    """Tell that something was changed meanwhile.

    Returns: what was done with it, and by whom; None if that is not this person's to see.
    """
    visit.form.fail("", "It was changed meanwhile. Your input is kept: save again to replace that.")
    if not visit.me.may("audit.read"):
        return None
    try:
        found = await visit.client.audit.list(resource=name, page_size=1).page()
    except (PermissionDenied, NotFound):
        return None
    return found.items[0] if found.items else None
