"""AuditService."""

from keywright.domain.audit_trail import Link
from keywright.domain.errors import invalid_field
from keywright.domain.names import AuditEventName, AuditSealName, WorkspaceName
from keywright.service.audit import EventQuery
from keywright.v1 import audit_service_pb2 as pb
from keywright.v1.audit_event_pb2 import AuditEventFilter, AuditOutcome
from keywright.wire import audit_replies, convert
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc

_DIGEST_BYTES = 32


async def get_audit_event(rpc: Rpc, request: pb.GetAuditEventRequest) -> pb.GetAuditEventResponse:
    """GetAuditEvent."""
    name = AuditEventName.parse(request.name, "name")
    found = await rpc.services.audit.get(rpc.call, name)
    return pb.GetAuditEventResponse(audit_event=audit_replies.event(found))


async def list_audit_events(
    rpc: Rpc, request: pb.ListAuditEventsRequest
) -> pb.ListAuditEventsResponse:
    """ListAuditEvents."""
    parent, query = WorkspaceName.parse(request.parent, "parent"), _query(rpc, request.filter)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.audit.list(
            rpc.call, parent, query, records=request.include_records, after=after, limit=limit
        ),
        convert=audit_replies.event,
    )
    return pb.ListAuditEventsResponse(
        audit_events=found.entries, next_page_token=found.next_page_token
    )


async def list_audit_seals(
    rpc: Rpc, request: pb.ListAuditSealsRequest
) -> pb.ListAuditSealsResponse:
    """ListAuditSeals."""
    parent = WorkspaceName.parse(request.parent, "parent")
    start_time = convert.moment(request, "start_time", "start_time")
    end_time = convert.moment(request, "end_time", "end_time")
    first = _number(rpc, request.after_seal, "after_seal") or 0
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.audit.seals(
            rpc.call,
            parent,
            start_time=start_time,
            end_time=end_time,
            after=int(after or first),
            limit=limit,
        ),
        convert=audit_replies.seal,
    )
    return pb.ListAuditSealsResponse(
        audit_seals=found.entries, next_page_token=found.next_page_token
    )


async def verify_audit_trail(
    rpc: Rpc, request: pb.VerifyAuditTrailRequest
) -> pb.VerifyAuditTrailResponse:
    """VerifyAuditTrail."""
    parent = WorkspaceName.parse(request.parent, "parent")
    verdict = await rpc.services.audit_verification.verify(
        rpc.call,
        parent,
        after=_link(rpc, request, "from_seal"),
        known=_link(rpc, request, "known_seal"),
    )
    return audit_replies.verdict(parent.workspace, verdict)


def _query(rpc: Rpc, asked: AuditEventFilter) -> EventQuery:
    """Which events are meant. A field that this server does not know would mean fewer.

    Raises:
        ServiceError: FIELD_UNIMPLEMENTED: there is one, of a newer client.
    """
    convert.refuse_unknown(asked, "filter")
    address = convert.address(asked.client_address, "filter.client_address")
    return EventQuery(
        actor=convert.user_name(asked.actor, "filter.actor"),
        credential=asked.credential,
        resource=asked.resource,
        actions=list(asked.actions),
        outcomes=[AuditOutcome.Name(each)[14:] for each in asked.outcomes],
        start_time=convert.moment(asked, "start_time", "filter.start_time"),
        end_time=convert.moment(asked, "end_time", "filter.end_time"),
        client_address="" if address is None else str(address),
        request_id=asked.request_id,
        seal=_number(rpc, asked.seal, "filter.seal"),
    )


def _number(rpc: Rpc, text: str, path: str) -> int | None:
    """The number of a seal of the caller's workspace, from its name; None if that is empty."""
    if not text:
        return None
    name = AuditSealName.parse(text, path)
    rpc.call.in_workspace(name.workspace, name)
    return name.number


def _link(rpc: Rpc, request: pb.VerifyAuditTrailRequest, field: str) -> Link | None:
    """The place in the trail that a seal stands for, which somebody has kept."""
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    kept = request.from_seal if field == "from_seal" else request.known_seal
    number = _number(rpc, kept.name, f"{field}.name")
    if number is None or len(kept.digest) != _DIGEST_BYTES:
        raise invalid_field(field, "must be a seal of this trail, with its name and digest")
    return Link(number, kept.digest)


HANDLERS = {
    "GetAuditEvent": get_audit_event,
    "ListAuditEvents": list_audit_events,
    "ListAuditSeals": list_audit_seals,
    "VerifyAuditTrail": verify_audit_trail,
}
