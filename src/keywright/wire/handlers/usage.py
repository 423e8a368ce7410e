"""UsageService."""

from keywright.domain.errors import invalid_field
from keywright.domain.names import KeyName, WorkspaceName
from keywright.domain.usage import ALLOWED, Point
from keywright.service.usage import UsageQuery
from keywright.v1 import usage_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.errors import reason_value
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def query_usage(rpc: Rpc, request: pb.QueryUsageRequest) -> pb.QueryUsageResponse:
    """QueryUsage."""
    parent, usage = WorkspaceName.parse(request.parent, "parent"), rpc.services.usage
    asked = _query(request)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: usage.query(rpc.call, parent, asked, after=after, limit=limit),
        convert=lambda point: _point(parent, point),
    )
    return pb.QueryUsageResponse(points=found.entries, next_page_token=found.next_page_token)


def _query(request: pb.QueryUsageRequest) -> UsageQuery:
    start = convert.moment(request, "start_time", "start_time")
    if start is None:
        raise invalid_field("start_time", "must be given")
    return UsageQuery(
        start_time=start,
        end_time=convert.moment(request, "end_time", "end_time"),
        keys=[KeyName.parse(name, f"keys[{index}]") for index, name in enumerate(request.keys)],
        user=convert.user_name(request.user, "user"),
        daily=request.interval == pb.USAGE_INTERVAL_DAY,
        total=request.grouping == pb.USAGE_GROUPING_TOTAL,
    )


def _point(parent: WorkspaceName, point: Point) -> pb.UsagePoint:
    denied = sorted((reason, count) for reason, count in point.counts.items() if reason != ALLOWED)
    return pb.UsagePoint(
        key=str(KeyName(parent.workspace, point.key_id)) if point.key_id else "",
        start_time=replies.timestamp(point.start_time),
        allowed_count=point.counts.get(ALLOWED, 0),
        denials=[
            pb.DenialCount(reason=reason_value(reason), count=count) for reason, count in denied
        ],
    )


HANDLERS = {"QueryUsage": query_usage}
