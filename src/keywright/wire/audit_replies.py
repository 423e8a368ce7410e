"""The audit trail as replies show it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from keywright.domain.audit import Event
from keywright.domain.audit_trail import Break, Seal
from keywright.domain.names import AuditEventName, AuditSealName
from keywright.service.audit_verification import Verdict
from keywright.v1 import audit_event_pb2, audit_service_pb2, error_reason_pb2
from keywright.wire.replies import timestamp


def event(found: Event) -> audit_event_pb2.AuditEvent:
    """An event."""
    return audit_event_pb2.AuditEvent(
        name=str(found.name),
        create_time=timestamp(found.create_time),
        action=found.action,
        outcome=_member(audit_event_pb2.AuditOutcome, f"AUDIT_OUTCOME_{found.outcome}"),
        reason=_member(error_reason_pb2.ErrorReason, f"ERROR_REASON_{found.reason}"),
        resource=found.resource,
        actor=found.actor,
        actor_email=found.actor_email,
        credential=found.credential,
        client_address=found.client_address,
        call_id=found.call_id,
        request_id=found.request_id,
        changes=_changes(found.change),
        count=found.count,
        first_time=timestamp(found.first_time),
        seal="" if found.seal is None else str(AuditSealName(found.workspace_id, found.seal)),
        record=found.record,
    )


def seal(found: Seal) -> audit_event_pb2.AuditSeal:
    """A seal."""
    workspace_id, before = found.workspace_id, found.number - 1
    return audit_event_pb2.AuditSeal(
        name=str(AuditSealName(workspace_id, found.number)),
        create_time=timestamp(found.create_time),
        previous=str(AuditSealName(workspace_id, before)) if before else "",
        event_count=found.event_count,
        digest=found.digest,
        signature=found.signature,
        public_key=found.public_key,
        content=found.content,
    )


def verdict(workspace_id: str, found: Verdict) -> audit_service_pb2.VerifyAuditTrailResponse:
    """What was verified."""
    broken = found.first_break
    return audit_service_pb2.VerifyAuditTrailResponse(
        intact=broken is None,
        complete=found.complete,
        last_seal=None if found.last is None else seal(found.last),
        event_count=found.event_count,
        first_break=None if broken is None else _break(workspace_id, broken),
    )


def _break(workspace_id: str, found: Break) -> audit_service_pb2.AuditBreak:
    event_id = found.event_id
    return audit_service_pb2.AuditBreak(
        kind=audit_service_pb2.AuditBreakKind.Value(f"AUDIT_BREAK_KIND_{found.kind}"),
        seal="" if found.seal is None else str(AuditSealName(workspace_id, found.seal)),
        audit_event="" if event_id is None else str(AuditEventName(workspace_id, str(event_id))),
        message=found.message,
    )


def _member(enum: Any, name: str) -> Any:
    """A member of an enum; "unspecified" for what only an edited row can say."""
    return enum.Value(name) if name in enum.keys() else 0  # noqa: SIM118  it is no mapping


def _changes(change: Mapping[str, Any]) -> Iterator[audit_event_pb2.FieldChange]:
    before, after = change.get("before") or {}, change.get("after") or {}
    for field in sorted(before.keys() | after.keys()):
        yield audit_event_pb2.FieldChange(
            field=field, before=_json(before, field), after=_json(after, field)
        )


def _json(values: Mapping[str, Any], field: str) -> str:
    return json.dumps(values[field], ensure_ascii=False) if field in values else ""
