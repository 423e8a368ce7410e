"""One line a call, by allow-list: these fields and no others. Never the request or the reply."""

import time
from collections.abc import Awaitable, Callable

import structlog
from google.protobuf.message import Message

from keywright.wire.errors import Failure
from keywright.wire.rpc import Rpc

_log = structlog.get_logger("keywright.access")


async def access_log(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Message]]) -> Message:
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
        _log.info(
            "call",
            request_id=rpc.call_id,
            method=rpc.method.path,
            code=code,
            reason=reason,
            duration_ms=round((time.monotonic() - began) * 1000, 3),
            peer="" if rpc.peer is None else str(rpc.peer),
            caller="" if rpc.caller is None else str(rpc.caller.credential.key.name),
        )
