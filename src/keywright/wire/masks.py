"""Update masks (AIP-134, AIP-161): which fields of a resource a request is to change."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from keywright.domain.errors import invalid_field

EVERYTHING = "*"
_PATHS_MAX_COUNT = 100


def changing(resource: Message, mask: FieldMask, changeable: frozenset[str]) -> frozenset[str]:
    """The paths of `changeable` that are to change.

    `*` is all of them, and a message stands for all its fields. Without a mask it is those that are
    not empty in the resource: to empty one takes a mask.

    Raises:
        InvalidFields: a path that is none of them, or nothing that is to change.
    """
    if len(mask.paths) > _PATHS_MAX_COUNT:
        raise invalid_field("update_mask", f"must be at most {_PATHS_MAX_COUNT} paths")
    paths = set(mask.paths)
    if not paths:
        given = frozenset(path for path in changeable if _is_given(resource, path))
        if not given:
            raise invalid_field("update_mask", f"must name what to change: {_listed(changeable)}")
        return given
    if EVERYTHING in paths:
        if len(paths) > 1:
            raise invalid_field("update_mask", "must have * alone, or the names of fields")
        return changeable
    return frozenset().union(*(_below(path, changeable) for path in sorted(paths)))


def _below(path: str, changeable: frozenset[str]) -> frozenset[str]:
    found = frozenset(each for each in changeable if f"{each}.".startswith(f"{path}."))
    if not found:
        raise invalid_field(
            "update_mask", f"{path!r} cannot be changed; what can is {_listed(changeable)}"
        )
    return found


def _is_given(resource: Any, path: str) -> bool:
    *outer, last = path.split(".")
    for name in outer:
        resource = getattr(resource, name)
    return any(field.name == last for field, _ in resource.ListFields())


def _listed(changeable: frozenset[str]) -> str:
    return ", ".join(sorted(changeable))
