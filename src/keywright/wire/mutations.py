"""What the handlers of all mutations share: the reply, the wait, and `request_id` (AIP-155)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar

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


_SHOWN_ONCE = {"token", "link_token"}
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
    made, call = Repeatable(reply_type, told), rpc.call
    # Of who asks, too: the reply shows what another credential of the same user may not see.
    credential = call.caller.credential.rests_on[0]
    call = replace(call, request=made.request(rpc.method.name, request, b"%d " % credential))
    if "wait" in request.DESCRIPTOR.fields_by_name and request.wait != WAIT_MODE_NONE:
        call = replace(call, waits=True)
    try:
        done = await made.done(_done(rpc, call, act))
    except UnsettledError as error:
        error.details["revision"] = rpc.services.seal.revision(error.position)
        raise
    if call.waits:
        _WAITED.observe(done.waited.total_seconds())
    return made.reply(rpc, done)


@dataclass(slots=True)
class Repeatable(Generic[Value, Reply]):
    """The reply of a mutation, and what is kept of it for repetitions: not what is shown once."""

    reply_type: type[Reply]
    told: Callable[[Value], Mapping[str, Any]]
    _made: Reply | None = None  # for repetitions, so it need not be made again

    def request(self, method: str, request: Any, asker: bytes = b"") -> Request | None:
        """What makes a repetition known as one; None for a request without an id."""
        if not request.request_id:
            return None
        digest = sha256(asker + request.SerializeToString(deterministic=True)).digest()
        identity = RequestIdentity(method, request.request_id, digest)
        return Request(identity, self._reply_to_repetitions)

    async def done(self, acting: Awaitable[Committed[Value]]) -> Committed[Value] | Replayed:
        """What was done, now or when the call was first made."""
        try:
            return await acting
        except Replayed as replayed:
            return replayed

    def reply(self, rpc: Rpc, done: Committed[Value] | Replayed) -> Reply:
        """The reply that tells what was done."""
        more: dict[str, Any] = {"revision": rpc.services.seal.revision(done.position)}
        if "waited" in self.reply_type.DESCRIPTOR.fields_by_name:
            more["waited"] = replies.duration(done.waited)
        if isinstance(done, Replayed):
            reply = self.reply_type.FromString(done.reply)
            more["replayed"] = True
        else:
            reply = self._made or self.reply_type(**self.told(done.value))
        reply.MergeFrom(self.reply_type(**more))
        return reply

    def _reply_to_repetitions(self, value: Value) -> bytes:
        self._made = self.reply_type(**self.told(value))
        kept = self.reply_type()
        kept.CopyFrom(self._made)
        for field in _SHOWN_ONCE.intersection(kept.DESCRIPTOR.fields_by_name):
            kept.ClearField(field)
        return kept.SerializeToString()


async def _done(
    rpc: Rpc, call: Call, act: Callable[[Call], Awaitable[Committed[Value]]]
) -> Committed[Value]:
    try:
        return await act(call)
    except (Denied, Unavailable, UnsettledError):  # the caller fell, nobody knows, or it is done
        raise
    except ServiceError:
        earlier = await rpc.services.repetitions.earlier(call)
        if earlier is None:
            raise
        raise earlier from None
