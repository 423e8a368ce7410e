"""Whether arguments are of the types that a method says, told by name before anything is sent.

For whoever checks no types. protobuf names no field, takes bytes for text, and a text for a list of
its letters.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from inspect import Parameter, signature
from types import NoneType
from typing import Any, get_args, get_origin

from keywright.sdk.connection.credentials import Secret

_ONE = {
    str: "a str",
    int: "an int",
    bool: "a bool",
    Secret: "a Secret",
    datetime: "a datetime",
    timedelta: "a timedelta",
    NoneType: "None",
}
_SEVERAL = (Collection, Sequence)
Check = Callable[[str, Any], None]


def checks_of(method: Callable[..., object]) -> Callable[[Sequence[Any], Mapping[str, Any]], None]:
    """What checks the arguments of a method, which come without `self`.

    It raises TypeError, or ValueError of what is none of an enumeration.
    """
    parameters = list(signature(method).parameters.values())[1:]
    checks = {each.name: found for each in parameters if (found := _check_of(each.annotation))}
    places = [each.name for each in parameters if each.kind is Parameter.POSITIONAL_OR_KEYWORD]

    def check(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        for name, value in (*zip(places, args, strict=False), *kwargs.items()):
            if name in checks:
                checks[name](name, value)

    return check


def several(name: str, expected: str, value: Any) -> Iterable[Any]:
    """A collection, and not a text.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise other(name, f"a collection, each {expected}", value)
    return value


def texts(name: str, value: Any) -> Mapping[str, str]:
    """Texts by text.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise other(name, "a mapping of str to str", value)
    for key, text in value.items():
        if not isinstance(key, str):
            raise other(f"a key of {name}", "a str", key)
        if not isinstance(text, str):
            raise other(f"{name}[{key!r}]", "a str", text)
    return value


def one_of(name: str, known: Collection[str], value: object) -> None:
    """Do nothing if it is one of these.

    Raises:
        ValueError: it is none; the message names them.
    """
    if value not in known:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(known)}")


def other(name: str, expected: str, value: object) -> TypeError:
    """What is told of a value of another type."""
    return TypeError(f"{name} is {expected}, and not {type(value).__name__}")


def _check_of(annotation: Any) -> Check | None:
    """What checks a value for what is annotated so; None where that is left to the method."""
    kinds = get_args(annotation) or (annotation,)
    if get_origin(annotation) in _SEVERAL:
        each = _check_of(kinds[0])
        return each and _several(kinds[0], each)
    if all(kind in _ONE for kind in kinds):
        return _one(kinds)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        known = [each.value for each in annotation if each.name != "UNKNOWN"]  # only read
        return lambda name, value: one_of(name, known, value)
    return None


def _one(kinds: Sequence[type]) -> Check:
    accepted = tuple(kinds)
    expected = " or ".join(_ONE[kind] for kind in kinds if kind is not NoneType)

    def check(name: str, value: Any) -> None:
        if not isinstance(value, accepted):
            raise other(name, expected, value)

    return check


def _several(kind: type, check_each: Check) -> Check:
    expected = _ONE.get(kind, f"a {kind.__name__}")

    def check(name: str, value: Any) -> None:
        # To look at what can be read only once would leave nothing of it: no permission required.
        if not isinstance(value, Collection):
            raise other(name, f"a collection, each {expected}", value)
        for index, each in enumerate(several(name, expected, value)):
            check_each(f"{name}[{index}]", each)

    return check
