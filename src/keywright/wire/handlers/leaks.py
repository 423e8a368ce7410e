"""KeyService: what was found where it should not be."""

from keywright.service.leaks import LeakReport
from keywright.v1 import key_service_pb2 as pb
from keywright.wire.rpc import Rpc


async def report_leaked_token(
    rpc: Rpc, request: pb.ReportLeakedTokenRequest
) -> pb.ReportLeakedTokenResponse:
    """ReportLeakedToken: the reply tells nothing."""
    report = LeakReport(request.token, request.source, rpc.peer, rpc.call_id)
    await rpc.services.leaks.report(report, within=rpc.remaining())
    return pb.ReportLeakedTokenResponse()


HANDLERS = {"ReportLeakedToken": report_leaked_token}
