"""`client.audit`."""

from datetime import datetime
from typing import Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.arguments import AuditEventFilter
from keywright.sdk.values.audit_results import AuditBreak, AuditEvent, AuditSeal, TrailVerification
from keywright.sdk.values.reading import read
from keywright.sdk.values.writing import timestamp, write
from keywright.v1 import audit_event_pb2
from keywright.v1 import audit_service_pb2 as pb

_SERVICE = "AuditService"
_GET = Method(_SERVICE, "GetAuditEvent", pb.GetAuditEventResponse)
_LIST = Method(_SERVICE, "ListAuditEvents", pb.ListAuditEventsResponse)
_SEALS = Method(_SERVICE, "ListAuditSeals", pb.ListAuditSealsResponse)
_VERIFY = Method(_SERVICE, "VerifyAuditTrail", pb.VerifyAuditTrailResponse)


class Audit(NamedSurface[Mode]):
    """The audit trail of a workspace. An event is named by its id or its full name."""

    @operation
    def get(self, event: str) -> Flow[AuditEvent]:
        """Get an event.

        Example: client.audit.get("4711").action
        """
        request = pb.GetAuditEventRequest(name=(yield from self._names.audit_event(event)))
        return read(AuditEvent, (yield from call(_GET, request)).audit_event)

    @listing
    def list(
        self,
        *,
        include_records: bool = False,
        page_size: int = 0,
        **matching: Unpack[AuditEventFilter],
    ) -> Flow[Listing[AuditEvent]]:
        """Iterate over events, newest first.

        Example: client.audit.list(resource="keys/ci-deploy", actions=["RevokeKey"])

        Args:
            include_records: whether each has its `record`, the text that its seal covers.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
            matching: `AuditEventFilter`.

        Raises:
            ValueError: a time has no zone.
        """
        given = yield from self._names.full(matching)
        if given.get("credential") is not None:
            given["credential"] = yield from self._names.credential(given["credential"])
        if given.get("resource") is not None:
            given["resource"] = yield from self._names.resource(given["resource"])
        request = pb.ListAuditEventsRequest(
            parent=(yield from self._names.workspace()),
            filter=write(audit_event_pb2.AuditEventFilter, AuditEventFilter, given),
            include_records=include_records,
            page_size=page_size,
        )
        return Listing(
            _LIST, request, lambda reply: (read(AuditEvent, each) for each in reply.audit_events)
        )

    @listing
    def seals(
        self,
        *,
        after_seal: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        page_size: int = 0,
    ) -> Flow[Listing[AuditSeal]]:
        """Iterate over seals, oldest first.

        Example: newest = list(client.audit.seals())[-1]

        Args:
            after_seal: those after this one, by number or full name.
            start_time: made at or after this moment.
            end_time: made before this moment.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.

        Raises:
            ValueError: a time has no zone.
        """
        after = "" if after_seal is None else (yield from self._names.audit_seal(after_seal))
        request = pb.ListAuditSealsRequest(
            parent=(yield from self._names.workspace()),
            after_seal=after,
            start_time=timestamp("start_time", start_time),
            end_time=timestamp("end_time", end_time),
            page_size=page_size,
        )
        return Listing(
            _SEALS, request, lambda reply: (read(AuditSeal, each) for each in reply.audit_seals)
        )

    @operation
    def verify(self, *, known_seal: AuditSeal | None = None) -> Flow[TrailVerification]:
        """Verify the trail from its beginning to its end, or to the first break.

        Example: assert client.audit.verify().intact

        Args:
            known_seal: a seal that was kept elsewhere, and must be in the trail as it is: shows
                that nothing up to it was cut off.
        """
        request = pb.VerifyAuditTrailRequest(parent=(yield from self._names.workspace()))
        if known_seal is not None:
            request.known_seal.name, request.known_seal.digest = known_seal.name, known_seal.digest
        count = 0
        while True:
            reply = yield from call(_VERIFY, request)
            count += reply.event_count
            if reply.complete or not reply.intact:
                break
            request.from_seal.name = reply.last_seal.name
            request.from_seal.digest = reply.last_seal.digest
        return TrailVerification(
            intact=reply.intact,
            event_count=count,
            last_seal=read(AuditSeal, reply.last_seal) if reply.HasField("last_seal") else None,
            first_break=None if reply.intact else read(AuditBreak, reply.first_break),
        )
