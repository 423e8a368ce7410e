"""Every call has an id, which is in the log, in the audit trail, in errors and in the reply."""

import os
import re
from collections.abc import Awaitable, Callable

from keywright.wire.rpc import Reply, Rpc

METADATA_KEY = "x-request-id"
_BYTES = 16
# No run of 43 letters and digits: that could be a token's secret, and ids are logged.
_ACCEPTABLE = re.compile(r"(?!.*[A-Za-z0-9]{43})[A-Za-z0-9._:-]{8,64}")


async def call_id(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Take the caller's id, if it is a decent one, else give one."""
    given = rpc.values(METADATA_KEY)
    rpc.call_id = str(given[0]) if len(given) == 1 and is_acceptable(given[0]) else new_call_id()
    rpc.reply_metadata.append((METADATA_KEY, rpc.call_id))
    return await proceed(rpc)


def is_acceptable(given: str | bytes) -> bool:
    """Whether a caller's own id may be logged."""
    return isinstance(given, str) and _ACCEPTABLE.fullmatch(given) is not None


def new_call_id() -> str:
    """An id for a call that came without one."""
    return os.urandom(_BYTES).hex()
