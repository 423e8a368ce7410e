"""How long a key is to live, as people choose it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from keywright.console import times
from keywright.console.forms import Form
from keywright.sdk import KeyPolicy, TimeUnit

_PRESETS: Mapping[str, timedelta] = {
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "25w": timedelta(weeks=25),
    "365d": timedelta(days=365),
}
_LONGEST_WHERE_REQUIRED = timedelta(weeks=25)
_NONE, _CUSTOM, _DEFAULT = "none", "custom", "default"
_COUNT = re.compile(r"0*[1-9][0-9]{0,8}")
UNITS = {each.name.lower(): f"{each.name.capitalize()}s" for each in TimeUnit}


def choices(policy: KeyPolicy) -> Mapping[str, str]:
    """What a policy allows, by the field's value: what it is called."""
    longest = _longest(policy)
    found = {
        name: times.length(span)
        for name, span in _PRESETS.items()
        if longest is None or span <= longest
    }
    if policy.default_ttl is not None:
        found = {_DEFAULT: f"{times.length(policy.default_ttl)} (usual here)", **found}
    if longest is not None and longest not in _PRESETS.values():
        found["longest"] = f"{times.length(longest)} (longest here)"
    if not policy.expiry_required:
        found[_NONE] = "No expiry"
    found[_CUSTOM] = "Custom"
    return found


def preferred(policy: KeyPolicy) -> str:
    """What is chosen at first."""
    offered = choices(policy)
    return next(each for each in (_DEFAULT, "90d", *offered) if each in offered)


def chosen(form: Form, policy: KeyPolicy) -> dict[str, Any]:
    """The lifetime that a form says, as `keys.create` takes it; mistakes are noted in the form."""
    choice = form.text("validity") or preferred(policy)
    if choice not in choices(policy):
        form.fail("validity", "Choose one of these.")
    match choice:
        case "none":
            return {"never_expires": True}
        case "default":
            return {}
        case "longest":
            return {"ttl": _longest(policy)}
        case "custom":
            return {"ttl": _custom(form, policy)}
    return {"ttl": _PRESETS.get(choice)}


def entered(form: Form, name: str) -> timedelta | None:
    """The length of time that `{name}_count` and `{name}_unit` say; None if it is a mistake."""
    count, unit = form.text(f"{name}_count"), form.text(f"{name}_unit")
    if _COUNT.fullmatch(count) is None:
        form.fail(f"{name}_count", "Enter a whole number, 12 for example.")
    if unit not in UNITS:
        form.fail(f"{name}_unit", "Choose a unit.")
    if form.errors:
        return None
    try:
        return int(count) * TimeUnit[unit.upper()].value
    except OverflowError:
        form.fail(f"{name}_count", "No time is as long as this.")
        return None


def _custom(form: Form, policy: KeyPolicy) -> timedelta | None:
    ttl, longest = entered(form, "validity"), _longest(policy)
    if ttl is not None and longest is not None and ttl > longest:
        form.fail("validity_count", f"Keys of this workspace live {times.length(longest)} at most.")
    return ttl


def _longest(policy: KeyPolicy) -> timedelta | None:
    if policy.max_ttl is None and policy.expiry_required:
        return _LONGEST_WHERE_REQUIRED
    return policy.max_ttl
