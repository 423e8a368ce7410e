"""The rules that stand in the contract (protovalidate), as errors that name each broken field."""

import protovalidate
from google.protobuf.message import Message

from keywright.domain.errors import FieldViolation, InvalidFields

_validator = protovalidate.Validator()
_TOLD_MAX_COUNT = 20


def check_rules(message: Message, *, brief: bool = False) -> None:
    """The message keeps its rules; `brief`, it is told the first that it breaks.

    Raises:
        InvalidFields: it does not.
    """
    violations = _validator.collect_violations(message, fail_fast=brief)
    if violations:
        raise InvalidFields(*map(_violation, violations[:_TOLD_MAX_COUNT]))


def _violation(violation: protovalidate.Violation) -> FieldViolation:
    found = violation.proto
    steps = () if found.field is None else found.field.elements
    path = ".".join(step.field_name + _subscript(step) for step in steps)
    return FieldViolation(path or "request", found.message)


def _subscript(step: protovalidate.FieldPathElementPb) -> str:
    if step.subscript is None:
        return ""
    value = step.subscript.value
    return f'["{value}"]' if isinstance(value, str) else f"[{value}]"
