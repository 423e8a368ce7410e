"""What the handlers of all mutations share: the reply, the wait, and `request_id` (AIP-155)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from google.protobuf.message import Message
from prometheus_client import Histogram

from keywright.domain.errors import Denied, ServiceError, Unavailable
from keywright.domain.identity import RequestIdentity
from keywright.service.call import Call, Request
from keywright.service.mutation import Committed, Replayed
from keywright.service.settling import UnsettledError
from keywright.v1.wait_mode_pb2 import WAIT_MODE_NONE
from keywright.wire import replies
from keywright.wire.rpc import Rpc

Value = TypeVar("Value")
Reply = TypeVar("Reply", bound=Message)


_WAITED = Histogram(
    "keywright_narrowing_wait_seconds",
    "How long calls that take something away waited for all servers, after their commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)


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
    if "wait" in request.DESCRIPTOR.fields_by_name and request.wait != WAIT_MODE_NONE:
        call = replace(call, waits=True)
    revision = rpc.services.seal.revision
    try:
        done = await _done(rpc, call, act)
    except UnsettledError as error:
        error.details["revision"] = revision(error.position)
        raise
    more: dict[str, Any] = {"revision": revision(done.position)}
    if call.waits:
        _WAITED.observe(done.waited.total_seconds())
    if "waited" in reply_type.DESCRIPTOR.fields_by_name:
        more["waited"] = replies.duration(done.waited)
    if isinstance(done, Replayed):
        reply = reply_type.FromString(done.reply)
        more["replayed"] = True
    else:
        reply = reply_type(**told(done.value)) if made is None else made
    reply.MergeFrom(reply_type(**more))
    return reply


async def _done(
    rpc: Rpc, call: Call, act: Callable[[Call], Awaitable[Committed[Value]]]
) -> Committed[Value] | Replayed:
    try:
        return await act(call)
    except Replayed as replayed:
        return replayed
    except (Denied, Unavailable, UnsettledError):  # the caller fell, nobody knows, or it is done
        raise
    except ServiceError:
        earlier = await rpc.services.repetitions.earlier(call)
        if earlier is None:
            raise
        return earlier


def _digest(call: Call, request: Message) -> bytes:
    """Of the content, and of who asks with it.

    The reply shows what another credential of the same user may not see.
    """
    credential = call.caller.credential.key.internal_id
    return sha256(b"%d %b" % (credential, request.SerializeToString(deterministic=True))).digest()
