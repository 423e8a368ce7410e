"""Names of things, as people read them."""

from enum import StrEnum


def last_part(name: str) -> str:
    """The id in a resource name."""
    return name.rpartition("/")[2]


def spelled(member: StrEnum | str) -> str:
    """`OPENID_CONNECT` as `Openid connect`: what an enumeration says, for people."""
    return str(member).replace("_", " ").capitalize()
