"""What the handlers of all mutations share: the reply, and `request_id` (AIP-155)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from google.protobuf.message import Message

from keywright.domain.errors import Denied, ServiceError, Unavailable
from keywright.domain.identity import RequestIdentity
from keywright.service.call import Call, Request
from keywright.service.mutation import Committed, Replayed
from keywright.wire.replies import NOT_WAITED
from keywright.wire.rpc import Rpc

Value = TypeVar("Value")
Reply = TypeVar("Reply", bound=Message)


async def mutate(
    rpc: Rpc,
    request: Any,
    reply_type: type[Reply],
    act: Callable[[Call], Awaitable[Committed[Value]]],
    told: Callable[[Value], Mapping[str, Any]],
) -> Reply:
    """Run the mutation `act`, once for its `request_id`, and make its reply.

    `told` says what the reply tells of what was done, by field. A repetition is told what the first
    call was, but for a token, which is shown once (promise G9).
    """
    made: Reply | None = None  # for repetitions, so it need not be made again

    def reply_to_repetitions(value: Value) -> bytes:
        nonlocal made
        made = reply_type(**told(value))
        kept = reply_type()
        kept.CopyFrom(made)
        if "token" in reply_type.DESCRIPTOR.fields_by_name:
            kept.ClearField("token")
        return kept.SerializeToString()

    call = rpc.call
    if request.request_id:
        identity = RequestIdentity(rpc.method.name, request.request_id, _digest(call, request))
        call = replace(call, request=Request(identity, reply_to_repetitions))
    more: dict[str, Any] = {}
    if "waited" in reply_type.DESCRIPTOR.fields_by_name:
        more["waited"] = NOT_WAITED
    try:
        committed = await act(call)
    except Replayed as replayed:
        earlier = replayed
    except (Denied, Unavailable):  # the caller fell, or nobody knows
        raise
    except ServiceError:
        found = await rpc.services.repetitions.earlier(call)
        if found is None:
            raise
        earlier = found
    else:
        reply = reply_type(**told(committed.value)) if made is None else made
        revision = rpc.services.seal.revision(committed.position)
        reply.MergeFrom(reply_type(revision=revision, **more))
        return reply
    reply = reply_type.FromString(earlier.reply)
    revision = rpc.services.seal.revision(earlier.position)
    reply.MergeFrom(reply_type(replayed=True, revision=revision, **more))
    return reply


def _digest(call: Call, request: Message) -> bytes:
    """Of the content, and of who asks with it.

    The reply shows what another credential of the same user may not see.
    """
    credential = call.caller.credential.key.internal_id
    return sha256(b"%d %b" % (credential, request.SerializeToString(deterministic=True))).digest()
