"""AuditService."""

from collections.abc import Sequence

from google.protobuf.message import Message

from keywright.domain.audit import OWN_ACTIONS, EventFilter
from keywright.domain.errors import invalid_field
from keywright.domain.names import AuditEventName, AuditSealName, WorkspaceName
from keywright.service.audit import EventQuery
from keywright.service.audit_verification import KeptSeal
from keywright.v1 import audit_service_pb2 as pb
from keywright.v1.audit_event_pb2 import AuditEventFilter, AuditOutcome, AuditSeal
from keywright.wire import audit_replies, convert
from keywright.wire.contract import services
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc

_DIGEST_BYTES = 32
_ACTIONS = OWN_ACTIONS | {method.name for service in services() for method in service.methods}


async def get_audit_event(rpc: Rpc, request: pb.GetAuditEventRequest) -> pb.GetAuditEventResponse:
    """GetAuditEvent."""
    name = AuditEventName.parse(request.name, "name")
    found = await rpc.services.audit.get(rpc.call, name)
    return pb.GetAuditEventResponse(audit_event=audit_replies.event(found))


async def list_audit_events(
    rpc: Rpc, request: pb.ListAuditEventsRequest
) -> pb.ListAuditEventsResponse:
    """ListAuditEvents."""
    parent, query = WorkspaceName.parse(request.parent, "parent"), _query(request.filter)
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
    after_seal = _seal_name(request.after_seal, "after_seal")
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.audit.seals(
            rpc.call,
            parent,
            start_time=start_time,
            end_time=end_time,
            after_seal=after_seal,
            after=after,
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
        after=_kept(request, "from_seal"),
        known=_kept(request, "known_seal"),
    )
    return audit_replies.verdict(parent.workspace, verdict)


def _query(asked: AuditEventFilter) -> EventQuery:
    """Which events are meant. A field that this server does not know would mean fewer.

    Raises:
        ServiceError: FIELD_UNIMPLEMENTED: there is one, of a newer client.
    """
    convert.refuse_unknown(asked, "filter")
    address = convert.address(asked.client_address, "filter.client_address")
    only = EventFilter(
        credential=asked.credential,
        resource=asked.resource,
        actions=_actions(asked.actions),
        outcomes=[AuditOutcome.Name(each)[14:] for each in asked.outcomes],
        start_time=convert.moment(asked, "start_time", "filter.start_time"),
        end_time=convert.moment(asked, "end_time", "filter.end_time"),
        client_address="" if address is None else str(address),
        request_id=asked.request_id,
    )
    actor = convert.user_name(asked.actor, "filter.actor")
    return EventQuery(only, actor, _seal_name(asked.seal, "filter.seal"))


def _actions(names: Sequence[str]) -> Sequence[str]:
    """Actions. One that there is not would match nothing, and be taken for a quiet week."""
    for index, name in enumerate(names):
        if name not in _ACTIONS:
            own = ", ".join(sorted(OWN_ACTIONS))
            raise invalid_field(
                f"filter.actions[{index}]",
                f"must be the name of a method, such as RevokeKey, or one of {own}",
            )
    return list(names)


def _seal_name(text: str, path: str) -> AuditSealName | None:
    """A seal's name; None if it is empty."""
    return AuditSealName.parse(text, path) if text else None


def _kept(message: Message, field: str) -> KeptSeal | None:
    """The seal that somebody has kept, in a field of a request; None if it is absent."""
    if not message.HasField(field):
        return None
    kept: AuditSeal = getattr(message, field)
    name = AuditSealName.parse(kept.name, f"{field}.name")
    if len(kept.digest) != _DIGEST_BYTES:
        raise invalid_field(f"{field}.digest", "must be the 32 bytes of the seal's digest")
    return KeptSeal(name, kept.digest)


HANDLERS = {
    "GetAuditEvent": get_audit_event,
    "ListAuditEvents": list_audit_events,
    "ListAuditSeals": list_audit_seals,
    "VerifyAuditTrail": verify_audit_trail,
}
