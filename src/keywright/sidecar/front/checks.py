"""`Check` as it comes in by Envoy: gRPC over ASGI."""

import asyncio

from google.protobuf.message import DecodeError

from keywright.front import calls, framing
from keywright.front.calls import Receive, Scope, Send
from keywright.front.framing import RefusedCall
from keywright.sidecar.config import Limits
from keywright.sidecar.envoy import PATH, Check
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import CheckRequest


class Checks:
    """An ASGI application, which answers as `envoy.create_server` does."""

    def __init__(self, check: Check, limits: Limits) -> None:
        self._check = check
        self._limit = limits.message_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        said = dict(scope["headers"])
        if not calls.is_call(scope, said):
            await calls.refuse_other(scope, send)
            return
        if scope["path"] != PATH:
            await calls.refuse(send, framing.UNIMPLEMENTED, f"there is nothing here but {PATH}")
            return
        try:
            body = await calls.message_of(await receive(), said, receive, self._limit)
            if body is None:
                return
            message = CheckRequest.FromString(body)
        except RefusedCall as error:
            await calls.refuse(send, error.code, str(error))
            return
        except DecodeError:
            await calls.refuse(send, framing.INTERNAL, "the message is no CheckRequest")
            return
        answer = self._check.at_once(message)
        if answer is None:
            client = calls.Client(receive)
            try:
                answer = await self._check.answer(message, None)
            except asyncio.CancelledError:
                if not client.is_gone:
                    raise
                return
            finally:
                client.look_away()
        await calls.reply(send, answer)
