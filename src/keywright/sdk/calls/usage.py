"""`client.usage`."""

from collections.abc import Iterator
from datetime import UTC
from typing import Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.argument_types import several
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, listing
from keywright.sdk.values.arguments import UsageQuery
from keywright.sdk.values.reading import member_name
from keywright.sdk.values.results import UsagePoint
from keywright.sdk.values.writing import write
from keywright.v1 import usage_service_pb2 as pb
from keywright.v1.error_reason_pb2 import ErrorReason

_QUERY = Method("UsageService", "QueryUsage", pb.QueryUsageResponse)


class Usage(NamedSurface[Mode]):
    """How much the keys of a workspace are used."""

    @listing
    def query(
        self, *, total: bool = False, page_size: int = 0, **query: Unpack[UsageQuery]
    ) -> Flow[Listing[UsagePoint]]:
        """Iterate over points, by time and key. Where nothing happened there is none.

        Needs `usage.read`; keys of one's own do not. What servers have counted within the last
        minute may not be in yet.

        Example: `client.usage.query(start_time=monday, user="ann", interval=UsageInterval.DAY)`

        Args:
            total: each point is the sum of all keys.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
            query: `UsageQuery`.

        Raises:
            NotFound: a key or user, or it is not yours to see.
            ValueError: a time has no zone.
        """
        given = yield from self._names.full(query)
        keys = []
        for key in several("keys", "a str", given.pop("keys", ())):
            keys.append((yield from self._names.key(key)))  # noqa: PERF401  it yields
        parent = yield from self._names.workspace()
        request = write(pb.QueryUsageRequest, UsageQuery, given, parent=parent)
        request.keys.extend(keys)
        request.page_size = page_size
        if total:
            request.grouping = pb.USAGE_GROUPING_TOTAL
        return Listing(_QUERY, request, _points)


def _points(reply: pb.QueryUsageResponse) -> Iterator[UsagePoint]:
    for point in reply.points:
        yield UsagePoint(
            key=point.key,
            start_time=point.start_time.ToDatetime(tzinfo=UTC),
            allowed_count=point.allowed_count,
            denials={
                member_name(ErrorReason.DESCRIPTOR, each.reason): each.count
                for each in point.denials
            },
        )
