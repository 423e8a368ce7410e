"""From messages to results."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from keywright.v1.workspace_pb2 import PermissionCatalog

Result = TypeVar("Result")

_CONTAINERS: Mapping[Any, Callable[[Any], Any]] = {tuple: tuple, Mapping: dict}


def read(kind: type[Result], message: Any) -> Result:
    """A message as the result type `kind`, whose fields are among its own."""
    hints = _hints(cast("Hashable", kind))
    return kind(**{field: _value(message, field, hint) for field, hint in hints.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(message: Any, field: str, hint: Any) -> Any:
    value = getattr(message, field)
    if isinstance(hint, UnionType):
        return _convert(value, get_args(hint)[0]) if message.HasField(field) else None
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member(hint, enum, value)
    if enum is not None and hint is str:
        return member_name(enum, value) if value else ""
    return _convert(value, hint)


def _convert(value: Any, hint: Any) -> Any:
    if hint is datetime:
        return value.ToDatetime(tzinfo=UTC)
    if hint is timedelta:
        return value.ToTimedelta()
    if isinstance(value, PermissionCatalog):
        return {entry.permission: entry.description for entry in value.entries}
    if is_dataclass(hint) and isinstance(hint, type):
        return read(hint, value)
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        return tuple(_convert(each, get_args(hint)[0]) for each in value)
    container = _CONTAINERS.get(get_origin(hint))
    return value if container is None else container(value)


def _member(kind: type[StrEnum], enum: Any, number: int) -> StrEnum:
    return kind.__members__.get(member_name(enum, number), kind("UNKNOWN"))


def member_name(enum: Any, number: int) -> str:
    """The name of an enum's value without its prefix; `UNKNOWN` if a newer server has it."""
    unspecified, known = enum.values_by_number[0].name, enum.values_by_number.get(number)
    if known is None:
        return "UNKNOWN"
    return str(known.name).removeprefix(unspecified.removesuffix("UNSPECIFIED"))
