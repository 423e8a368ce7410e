"""AuthService: who presents these tokens?"""

import asyncio
import time
from collections.abc import Iterable

from keywright.domain.errors import Reason, ServiceError, invalid_field
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import answering
from keywright.wire.answering import Answer
from keywright.wire.interceptors.caller import own_token
from keywright.wire.rpc import Rpc

_BATCH_MAX_COUNT = 1000
# After so long others have their turn: an item may ask for a hundred permissions.
_AT_A_STRETCH_SECONDS = 0.002
# So many items of one batch are looked up at the same time: each may have to wait for Argon2, and
# one batch must not fill the queue before that.
_LOOK_UPS_MAX_COUNT = 64


async def authenticate(rpc: Rpc, request: pb.AuthenticateRequest) -> bytes:
    """Authenticate, where it is not answered from memory (`hot_path`)."""
    return await answering.found(rpc.services, request, rpc.asker, own_token(rpc), rpc.peer)


async def batch_authenticate(rpc: Rpc, request: pb.BatchAuthenticateRequest) -> bytes:
    """BatchAuthenticate: what is remembered first, then the rest together."""
    items, bearer = request.requests, own_token(rpc)
    if not 0 < len(items) <= _BATCH_MAX_COUNT:
        raise invalid_field("requests", f"must be 1 to {_BATCH_MAX_COUNT}")
    if any(item.token != bearer for item in items):
        answering.check_permission(rpc.asker)
    answers = await _recalled(rpc, items, bearer)
    missing = [index for index, answer in enumerate(answers) if answer is None]
    room = asyncio.Semaphore(_LOOK_UPS_MAX_COUNT)
    late = await asyncio.gather(*(_found(rpc, items[each], bearer, room) for each in missing))
    for index, answer in zip(missing, late, strict=True):
        answers[index] = answer
    return _reply(rpc, [answer for answer in answers if answer is not None])


async def _recalled(
    rpc: Rpc, items: Iterable[pb.AuthenticateRequest], bearer: str
) -> list[Answer | None]:
    services, caller, peer = rpc.memory, rpc.asker, rpc.peer
    answers: list[Answer | None] = []
    began = time.perf_counter()
    for item in items:
        answers.append(answering.recalled(services, item, item.ByteSize(), caller, bearer, peer))
        if time.perf_counter() - began > _AT_A_STRETCH_SECONDS:
            await asyncio.sleep(0)
            began = time.perf_counter()
    return answers


async def _found(
    rpc: Rpc, item: pb.AuthenticateRequest, bearer: str, room: asyncio.Semaphore
) -> Answer:
    try:
        async with room:
            return await answering.found(rpc.services, item, rpc.asker, bearer, rpc.peer)
    except ServiceError as error:
        return error
    except Exception as error:  # noqa: BLE001  a poison row denies itself only (promise G15)
        return answering.unexpected(error, rpc.call_id)


def _reply(rpc: Rpc, answers: Iterable[Answer]) -> bytes:
    reply = b"".join(map(answering.result, answers))
    limit = rpc.backend.settings.max_response_bytes
    if len(reply) > limit:
        raise ServiceError(
            Reason.REQUEST_TOO_LARGE,
            f"the reply would have {len(reply)} bytes, and may have {limit}: send fewer at a time",
            details={"limit_bytes": str(limit)},
        )
    return reply


HANDLERS = {"Authenticate": authenticate, "BatchAuthenticate": batch_authenticate}
