"""Every call has an id, which is in the log, in the audit trail, in errors and in the reply."""

import re
import uuid
from collections.abc import Awaitable, Callable

from google.protobuf.message import Message

from keywright.wire.rpc import Rpc

METADATA_KEY = "x-request-id"
# No run of 43 letters and digits: that could be a token's secret, and ids are logged.
_ACCEPTABLE = re.compile(r"(?!.*[A-Za-z0-9]{43})[A-Za-z0-9._:-]{8,64}")


async def call_id(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Message]]) -> Message:
    """Take the caller's id, if it is a decent one, else give one."""
    given = rpc.values(METADATA_KEY)
    if len(given) == 1 and isinstance(given[0], str) and _ACCEPTABLE.fullmatch(given[0]):
        rpc.call_id = given[0]
    else:
        rpc.call_id = uuid.uuid4().hex
    rpc.reply_metadata.append((METADATA_KEY, rpc.call_id))
    return await proceed(rpc)
