"""`Authenticate` when it is answered from memory: one function in place of the chain.

The chain's steps, one coroutine around the other, would cost half as much again as an empty call
does (decision 0013). So what they do for a hit is done here in one go, in their order; whatever is
not a plain hit is left to the chain, which begins at the beginning. What is answered here is
counted, and logged if the operator wants a line for each verdict.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from keywright.domain.keys import Address
from keywright.service.known import Caller
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire.answering import Answer, recalled
from keywright.wire.errors import DenialStatus, denial_status
from keywright.wire.interceptors.call_id import METADATA_KEY, is_acceptable, new_call_id
from keywright.wire.interceptors.metrics import Counted
from keywright.wire.rpc import Backend, Ended, Method, Services

_REQUEST_MAX_BYTES = 16 * 2**10
_BEARER = "Bearer "


@dataclass(slots=True)  # not frozen: to make one would take four times as long
class Arrived:
    """What the transport knows of a call."""

    body: bytes
    metadata: Iterable[tuple[str, str | bytes]]
    peer: Address | None
    certified: bool


@dataclass(slots=True)
class Hit:
    """An answer; `call_id` is the caller's own, if it gave one."""

    answer: bytes | DenialStatus
    call_id: str


@dataclass(slots=True)
class HotPath:
    """Answers what can be answered from memory."""

    backend: Backend
    counted: Counted
    path: str

    @classmethod
    def of(cls, backend: Backend, method: Method) -> "HotPath":
        """For `method`, which is `Authenticate`."""
        return cls(backend, Counted.of(method), method.path)

    def answer(self, arrived: Arrived) -> Hit | None:
        """The answer; None: the chain has to find it. Awaits nothing, and touches no storage."""
        try:
            return self._answer(arrived)
        except Exception:  # noqa: BLE001  the chain meets the same defect, and tells of it
            return None

    def _answer(self, arrived: Arrived) -> Hit | None:
        began = time.perf_counter()
        services, settings = self.backend.services, self.backend.settings
        if services is None or len(arrived.body) > _REQUEST_MAX_BYTES:
            return None
        credentials = _credentials(arrived.metadata)
        if credentials is None:
            return None
        bearer, call_id = credentials
        caller = None
        if not settings.admits(certified=arrived.certified):
            # It is counted once the call is: the chain counts it, too.
            caller = services.authenticate.recall_caller(bearer, arrived.peer, calls=False)
            if caller is None:
                return None
        answer = _answer(services, arrived, bearer, caller)
        if answer is None:
            return None
        if caller is not None:
            services.authenticate.called(caller, arrived.peer)
        seconds = time.perf_counter() - began
        if isinstance(answer, bytes):
            self.counted.allowed(seconds)
            self._log(arrived, caller, call_id, "OK", "", seconds)
            return Hit(answer, call_id)
        self.counted.denied(answer.reason, seconds)
        told_id = call_id or new_call_id()
        self._log(arrived, caller, told_id, answer.status.value, answer.reason.value, seconds)
        return Hit(denial_status(answer, told_id), call_id)

    def _log(
        self,
        arrived: Arrived,
        caller: Caller | None,
        call_id: str,
        code: str,
        reason: str,
        seconds: float,
    ) -> None:
        log = self.backend.verdict_log
        if log is not None:
            who = None if caller is None else caller.principal
            # By position, because names would cost half as much again.
            log(Ended(call_id, self.path, code, reason, seconds, time.time(), arrived.peer, who))


def _credentials(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, str] | None:
    """The caller's token and id, empty if there is none; None if they are not as they should be."""
    bearer = call_id = ""
    for key, value in metadata:
        if key == "authorization":
            if bearer or not isinstance(value, str) or not value.startswith(_BEARER):
                return None
            bearer = value[len(_BEARER) :]
        elif key == METADATA_KEY:
            if call_id or not is_acceptable(value):
                return None
            call_id = str(value)
    return bearer, call_id


def _answer(
    services: Services, arrived: Arrived, bearer: str, caller: Caller | None
) -> Answer | None:
    try:
        request = pb.AuthenticateRequest.FromString(arrived.body)
    except (DecodeError, UnicodeDecodeError):
        return None
    return recalled(services, request, len(arrived.body), caller, bearer, arrived.peer)
