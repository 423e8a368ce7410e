"""Every failure becomes a status with details; what is not ours to tell becomes INTERNAL."""

from collections.abc import Awaitable, Callable

import structlog

from keywright.domain.errors import ServiceError
from keywright.wire.errors import failure, internal_error
from keywright.wire.rpc import Reply, Rpc

_log = structlog.get_logger("keywright.errors")


async def error_mapping(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Raise nothing but `Failure` and cancellation."""
    try:
        return await proceed(rpc)
    except ServiceError as error:
        raise failure(error, rpc.call_id) from None
    except Exception:  # noqa: BLE001  the last line before the caller
        _log.exception("internal error", request_id=rpc.call_id, method=rpc.method.path)
        raise failure(internal_error(), rpc.call_id) from None
