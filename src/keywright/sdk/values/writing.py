"""From what callers give to messages."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk.connection.argument_types import one_of, other, several, texts
from keywright.sdk.values.lifetimes import seconds_of
from keywright.v1.wait_mode_pb2 import WAIT_MODE_NONE, WAIT_MODE_UNSPECIFIED, WaitMode
from keywright.v1.workspace_pb2 import PermissionCatalog

M = TypeVar("M", bound=Message)


def write(kind: type[M], arguments: type, given: Mapping[str, Any], **more: str) -> M:
    """What was given, in Python's own types, as a message; what is None is left out.

    Args:
        kind: the message's type.
        arguments: the `TypedDict` that `given` is of: what it has not is refused.
        given: the values.
        more: fields that are no argument.

    Raises:
        TypeError: there is no such argument. Left out in silence it would be a filter that matches
            more than was meant, or a limit that a key does not have. Or one is of another type.
        ValueError: a time has no zone.
    """
    for name in given:
        if name not in arguments.__annotations__:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
    return kind(**more, **_values(kind.DESCRIPTOR, given))


def change(
    kind: type[M], arguments: type, given: Mapping[str, Any], *, name: str, etag: str
) -> tuple[M, FieldMask]:
    """A resource with new values, and the mask that says which: all that are given.

    Raises:
        TypeError: there is no such argument.
        ValueError: nothing is given, or a time has no zone.
    """
    # An empty mask means "what is not empty", so that nothing could be taken away.
    mask = FieldMask(paths=_paths(given))
    if not mask.paths:
        raise ValueError("nothing to change is given")
    return write(kind, arguments, given, name=name, etag=etag), mask


def wait_mode(*, wait: bool) -> WaitMode.ValueType:
    """Whether the server is to wait, which it does unless told otherwise."""
    return WAIT_MODE_UNSPECIFIED if wait else WAIT_MODE_NONE


def duration(value: timedelta | None) -> Duration | None:
    """A length of time.

    Raises:
        TypeError: it is none: a number has no unit.
    """
    if value is None:
        return None
    seconds_of(value)
    message = Duration()
    message.FromTimedelta(value)
    return message


def _paths(given: Mapping[str, Any]) -> list[str]:
    # A mapping in place of a policy has only the fields of it that are to be changed.
    parts = given.get("policy")
    if not isinstance(parts, Mapping):
        return list(given)
    return [name for name in given if name != "policy"] + [f"policy.{name}" for name in parts]


def _values(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _value(kind.fields_by_name[name], value)
        for name, value in given.items()
        if value is not None
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(field.name, value)
    if isinstance(value, timedelta):
        return duration(value)
    if field.enum_type is not None:
        return _choice(field, value)
    if field.message_type is None:
        return _plain(field, value)
    return _message(field, value)


def _choice(field: Any, value: Any) -> Any:
    """One of an enum, or several."""
    prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
    known = [each.name.removeprefix(prefix) for each in field.enum_type.values[1:]]
    if not field.is_repeated:
        one_of(field.name, known, value)
        return f"{prefix}{value}"
    chosen = list(several(field.name, f"one of {', '.join(known)}", value))
    for each in chosen:
        one_of(field.name, known, each)
    return [f"{prefix}{each}" for each in chosen]


def _message(field: Any, value: Any) -> Any:
    kind = field.message_type
    if kind.GetOptions().map_entry:
        return texts(field.name, value)
    if kind is PermissionCatalog.DESCRIPTOR:
        described = texts(field.name, value).items()
        return {"entries": [{"permission": each, "description": text} for each, text in described]}
    if not (isinstance(value, Mapping) or is_dataclass(value)):
        kinds = {"Duration": "a timedelta", "Timestamp": "a datetime"}
        expected = kinds.get(kind.name, f"a {kind.name}")
        raise other(field.name, expected, value)
    if not isinstance(value, Mapping):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    return _values(kind, value)


def timestamp(name: str, value: datetime | None) -> Timestamp | None:
    """A moment, for the field of that name.

    Raises:
        ValueError: it has no time zone.
    """
    if value is None:
        return None
    if value.tzinfo is None:  # protobuf would take it for UTC without a word
        raise ValueError(f"{name} needs a time zone")
    message = Timestamp()
    message.FromDatetime(value)
    return message


_KINDS: dict[int, tuple[type, str]] = {
    FieldDescriptor.CPPTYPE_STRING: (str, "a str"),
    FieldDescriptor.CPPTYPE_BOOL: (bool, "a bool"),
}
_NUMBER = (int, "an int")


def _plain(field: FieldDescriptor, value: Any) -> Any:
    """A text, number or truth, or several.

    Raises:
        TypeError: it is none. protobuf names no field, and takes a text for a list of its letters.
    """
    kind, expected = _KINDS.get(field.cpp_type, _NUMBER)
    if not field.is_repeated:
        if not isinstance(value, kind):
            raise other(field.name, expected, value)
        return value
    given = list(several(field.name, expected, value))
    for index, each in enumerate(given):
        if not isinstance(each, kind):
            raise other(f"{field.name}[{index}]", expected, each)
    return given
