"""One line a call, by allow-list: these fields and no others. Never the request or the reply.

Verdicts about presented tokens are counted (`UsageService`, metrics) and have no line, unless the
operator wants one: they come by the thousand a second, so these lines are put together by
`Backend.verdict_log`, and written a moment later. All others are written at once.
"""

import time
from collections.abc import Awaitable, Callable

import structlog

from keywright.wire.errors import Failure
from keywright.wire.rpc import Ended, Reply, Rpc

_log = structlog.get_logger("keywright.access")
# The last is about callers, who may be strangers too.
_VERDICTS = frozenset({"OK", "UNAUTHENTICATED", "PERMISSION_DENIED", "FAILED_PRECONDITION"})


async def access_log(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Log how the call ended and how long it took."""
    began = time.monotonic()
    code, reason = "CANCELLED", ""
    try:
        reply = await proceed(rpc)
    except Failure as failed:
        code, reason = failed.code, failed.reason.value
        raise
    else:
        code = "OK"
        return reply
    finally:
        ended = Ended(
            call_id=rpc.call_id,
            method=rpc.method.path,
            code=code,
            reason=reason,
            seconds=time.monotonic() - began,
            time=time.time(),
            peer=rpc.peer,
            caller=rpc.caller,
        )
        if not (rpc.method.decides and code in _VERDICTS):
            _log.info("call", **ended.fields())
        elif rpc.backend.verdict_log is not None:
            rpc.backend.verdict_log(ended)
