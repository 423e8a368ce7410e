"""A call with one request and one reply, whatever the transport.

It is answered from memory if that can be (`hot_path`), and by the chain of interceptors otherwise.
How it ended is told in the terms of gRPC, so that a transport only has to write it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keywright.domain.errors import ServiceError
from keywright.wire.errors import Failure, failure
from keywright.wire.hot_path import Arrived, Hit, HotPath
from keywright.wire.interceptors import chain
from keywright.wire.interceptors.call_id import METADATA_KEY, new_call_id
from keywright.wire.rpc import Backend, Method, Rpc

DETAILS = "grpc-status-details-bin"
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(slots=True)  # not frozen: to make one would take four times as long
class Outcome:
    """How a call ended.

    Attributes:
        reply: the serialised reply; empty if there is none.
        code: a canonical code, 0 for OK.
        message: of an error.
        metadata: what goes with it, after the reply; keys that end in `-bin` have bytes.
    """

    reply: bytes
    code: int = 0
    message: str = ""
    metadata: Metadata = ()


class Unary:
    """One method.

    Attributes:
        recall: the answer of a call that is answered from memory; None where `answer` has to find
            it. None itself where there are no such calls.
    """

    def __init__(self, backend: Backend, method: Method) -> None:
        self.backend = backend
        self.method = method
        self._proceed = chain(method)
        self.recall: Callable[[Arrived], Hit | None] | None = None
        if method.name == "Authenticate":
            self.recall = HotPath.of(backend, method).answer

    async def answer(self, rpc: Rpc) -> Outcome:
        """What the chain answers."""
        try:
            reply = await self._proceed(rpc)
        except Failure as failed:
            return of_failure(failed, tuple(rpc.reply_metadata))
        serialised = reply if isinstance(reply, bytes) else reply.SerializeToString()
        return Outcome(serialised, metadata=tuple(rpc.reply_metadata))


def refused(error: ServiceError) -> Outcome:
    """What is answered where the transport could make no call of what came."""
    call_id = new_call_id()
    return of_failure(failure(error, call_id), ((METADATA_KEY, call_id),))


def of_hit(hit: Hit) -> Outcome:
    """An answer from memory."""
    # Metadata in a reply costs a twentieth of the call: only who asks for its id is sent it.
    metadata: Metadata = ((METADATA_KEY, hit.call_id),) if hit.call_id else ()
    answer = hit.answer
    if isinstance(answer, bytes):
        return Outcome(answer, metadata=metadata)
    return Outcome(b"", answer.code, answer.message, ((DETAILS, answer.details), *metadata))


def of_failure(failed: Failure, metadata: Metadata) -> Outcome:
    """A call that failed."""
    status = failed.status
    details = (DETAILS, status.SerializeToString())
    return Outcome(b"", status.code, status.message, (details, *metadata))
