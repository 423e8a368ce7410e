"""The request is well-formed before a handler sees it: parsed, and, in management, by its rules.

The rules stand in the contract (protovalidate). `AuthService` has none: it answers in its own
words, and must not spend microseconds on them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError

from keywright.domain.errors import Reason, ServiceError
from keywright.wire import json_body
from keywright.wire.rpc import Reply, Rpc
from keywright.wire.rules import check_rules

_THOROUGH_BYTES = 4096


async def validation(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Parse and check the request, naming every field that breaks a rule.

    Those of a stream are the handler's to parse, as they come.
    """
    if rpc.stream is not None:
        return await proceed(rpc)
    request = parsed(rpc, rpc.body)
    if not rpc.method.is_authentication:
        # Telling everything that is wrong takes time for each wrong thing, and holds the event
        # loop: a request that is long enough to have thousands is told the first.
        check_rules(request, brief=len(rpc.body) > _THOROUGH_BYTES)
    rpc.request = request
    return await proceed(rpc)


def parsed(rpc: Rpc, body: bytes) -> Any:
    """The request that `body` is.

    Raises:
        ServiceError: REQUEST_TOO_LARGE, REQUEST_MALFORMED.
    """
    limit = rpc.backend.settings.max_request_bytes
    if len(body) > limit:
        raise too_large(len(body), limit)
    request = rpc.method.request_type()
    try:
        request.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        raise ServiceError(
            Reason.REQUEST_MALFORMED,
            f"the body is not a {request.DESCRIPTOR.full_name}, or has text that is not UTF-8",
        ) from None
    if rpc.json_path:
        return json_body.merged(request, rpc.method.path, rpc.json_path)
    return request


def too_large(size: int, limit: int) -> ServiceError:
    """What is told of a request of more bytes than it may have."""
    return ServiceError(
        Reason.REQUEST_TOO_LARGE,
        f"the request has {size} bytes, and may have {limit}",
        details={"limit_bytes": str(limit)},
    )
