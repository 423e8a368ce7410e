"""Names of things, as people read them."""

from enum import StrEnum

from keywright.sdk import FieldChange

_NOTHING = frozenset({"", "null", "[]", "{}", '""'})


def last_part(name: str) -> str:
    """The id in a resource name."""
    return name.rpartition("/")[2]


def within(name: str) -> str:
    """What follows the workspace in a resource name; of the workspace itself all of it."""
    return name.split("/", 2)[2] if name.count("/") > 1 else name


# The first that is in what a browser says of itself: most say that they are others, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser(user_agent: str) -> str:
    """`Firefox on Linux`; what is not known stays as it is."""
    name = next((called for sign, called in _BROWSERS if sign in user_agent), "")
    system = next((called for sign, called in _SYSTEMS if sign in user_agent), "")
    return f"{name} on {system}" if name and system else user_agent


def spelled(member: StrEnum | str) -> str:
    """`OPENID_CONNECT` as `Openid connect`: what an enumeration says, for people."""
    return str(member).replace("_", " ").capitalize()


def is_telling(change: FieldChange) -> bool:
    """Whether there was something before, or is now: a new key has many fields without a value."""
    return not {change.before, change.after} <= _NOTHING
