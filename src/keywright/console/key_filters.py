"""Which keys are meant, as the fields of a form say it: of a list, or of what is done to many."""

from collections.abc import Mapping

from keywright.console.authority import visible_roles
from keywright.console.forms import Form
from keywright.console.visit import PersonVisit
from keywright.sdk import InvalidArgument, KeyFilter, KeyState, NotFound, Workspace

_STANDING = (KeyState.ACTIVE, KeyState.DISABLED, KeyState.EXPIRED)
STATES: Mapping[str, tuple[str, tuple[KeyState, ...]]] = {
    "": ("All but revoked", _STANDING),
    "active": ("Active", (KeyState.ACTIVE,)),
    "disabled": ("Disabled", (KeyState.DISABLED,)),
    "expired": ("Expired", (KeyState.EXPIRED,)),
    "revoked": ("Revoked", (KeyState.REVOKED,)),
    "all": ("All", (*_STANDING, KeyState.REVOKED)),
}
REVOCABLE: Mapping[str, str] = {
    value: told for value, (told, states) in STATES.items() if KeyState.REVOKED not in states
}
"""Those of `STATES` that a key can be revoked in."""

_TEXTS = ("user", "search", "environment", "role", "resource")
_DAYS = ("expires_before", "unused_since", "unrotated_since")
FIELDS = (*_TEXTS, "state", *_DAYS)
MORE = ("user", "role", "resource", *_DAYS)
"""Those that are of use to who sees everybody's keys."""

LABELS = {
    "user": "Owner",
    "role": "Role",
    "resource": "Resource",
    "environment": "Environment",
    "search": "Search",
    "state": "State",
    "expires_before": "Expires before",
    "unused_since": "Not used since",
    "unrotated_since": "Not rotated since",
}


def any_environment(workspace: Workspace) -> dict[str, str]:
    """The environments to choose from."""
    return {"": "All"} | {each: each for each in workspace.environments}


async def any_role(visit: PersonVisit) -> dict[str, str]:
    """The roles to choose from; none if this person may not see roles."""
    roles = {each.id: each.display_name or each.id for each in await visible_roles(visit.client)}
    return {"": "Any or none"} | roles if roles else {}


def is_given(form: Form) -> bool:
    """Whether a form means anything less than all keys that are not revoked."""
    return any(form.text(name) for name in FIELDS)


def chosen(form: Form) -> KeyFilter:
    """The keys that a form means; mistakes are noted in it."""
    matching: KeyFilter = {"states": STATES.get(form.text("state"), STATES[""])[1]}
    given = {name: form.text(name) for name in _TEXTS} | {name: form.day(name) for name in _DAYS}
    matching.update({name: value for name, value in given.items() if value})  # type: ignore[typeddict-item]
    return matching


def refused(form: Form, error: NotFound | InvalidArgument) -> None:
    """Note that the server finds nothing of what a form names, or can make nothing of it."""
    if isinstance(error, InvalidArgument):
        form.take(error)
    elif "/users/" in error.metadata.get("resource", ""):
        form.fail("user", "There is no such user.")
    else:
        form.fail("role", "There is no such role.")
