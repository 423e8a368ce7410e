"""A small server of `Authenticate` and `Watch` by the words of the protocol, with faults to order.

It stands in for what a real server does only when it fails: ends streams, refuses, holds answers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from keywright.v1 import auth_service_pb2 as pb
from keywright.v1 import denial_pb2, error_reason_pb2
from keywright.v1.auth_service_pb2_grpc import (
    AuthServiceServicer,
    add_AuthServiceServicer_to_server,
)
from tests.support.leased import answer, told

# A channel that looks for a server which is gone more often than once a second.
_CHANNEL = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100)]


@dataclass(eq=False)
class Stream:
    """One stream, as the server has it."""

    context: Any
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)
    revisions: list[str] = field(default_factory=list)  # of its requests
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tell(self, message: pb.WatchResponse) -> None:
        async with self.turn:
            await self.context.write(message)

    async def hears(self, revision: str, count: int = 1) -> None:
        """Wait until that many requests were at this revision."""
        async with self.heard:
            await self.heard.wait_for(lambda: self.revisions.count(revision) >= count)


class WatchServer(AuthServiceServicer):
    """Its revisions are `0`, `1`, ...; `lease` in seconds; `refusal`: how streams are refused."""

    def __init__(self) -> None:
        self.port = 0
        self.lease: float | None = 60.0
        self.refusal: grpc.StatusCode | None = None
        self.changes: list[str] = []  # the mark that each revision changed
        self.streams: list[Stream] = []
        self.asked: list[str] = []  # tokens, each a mark itself
        self.is_silent = False
        self.unknown: str | None = None  # a revision of another database
        self.calls = 0
        self.batch_max_count = 1000
        self.failure: grpc.StatusCode | None = None  # of calls that authenticate
        self.allowed: dict[str, Any] = {}  # more fields of answers
        self.hold = asyncio.Event()  # set: answers go out
        self.hold.set()
        self.held = asyncio.Event()

    @property
    def revision(self) -> str:
        return str(len(self.changes))

    async def narrow(self, mark: str) -> None:
        """Take something away; returns when every client has told that it knows."""
        self.changes.append(mark)
        revision = self.revision
        for stream in self.streams:
            await stream.tell(told(revision, (mark, revision)))
            await stream.hears(revision)

    async def BatchAuthenticate(  # noqa: N802
        self, request: pb.BatchAuthenticateRequest, context: Any
    ) -> pb.BatchAuthenticateResponse:
        self.calls += 1
        if self.failure is not None:
            await context.abort(self.failure, "not now")
        if len(request.requests) > self.batch_max_count:
            info = error_details_pb2.ErrorInfo(reason="REQUEST_TOO_LARGE", domain="keywright.dev")
            status = status_pb2.Status(code=8)
            status.details.add().Pack(info)
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")
        found = [self._decide(each.token) for each in request.requests]
        self.held.set()
        await self.hold.wait()
        return pb.BatchAuthenticateResponse(results=found)

    def _decide(self, token: str) -> pb.AuthenticateResult:
        self.asked.append(token)
        if token in self.changes:
            denial = denial_pb2.Denial(
                reason=error_reason_pb2.ERROR_REASON_KEY_REVOKED, message="it was revoked", code=16
            )
            return pb.AuthenticateResult(denied=denial)
        found = answer(self.revision, token)
        found.MergeFrom(pb.AuthenticateResponse(**self.allowed))
        return pb.AuthenticateResult(allowed=found)

    async def Watch(  # type: ignore[override]  # noqa: N802  it writes as it likes
        self, _requests: Any, context: Any
    ) -> None:
        if self.refusal is not None:
            await context.read()  # see `wire.grpc._first_of`
            await context.abort(self.refusal, "not now")
        stream = Stream(context)
        self.streams.append(stream)
        answering = asyncio.create_task(self._answer(stream))
        ending = asyncio.create_task(stream.ending.wait())
        try:
            await asyncio.wait([answering, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.streams.remove(stream)
            answering.cancel()
            ending.cancel()

    async def _answer(self, stream: Stream) -> None:
        while (request := await stream.context.read()) is not grpc.aio.EOF:
            async with stream.heard:
                stream.revisions.append(request.revision)
                stream.heard.notify_all()
            if self.is_silent:
                continue
            if request.revision == self.unknown:
                await stream.context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown")
            if request.revision == self.revision:
                message = told(self.revision, serial=request.serial, lease=self.lease)
            elif not request.revision:
                message = told(self.revision, serial=request.serial, reset=True)
            else:
                since = int(request.revision)
                missed = [(mark, str(number)) for number, mark in enumerate(self.changes, 1)][
                    since:
                ]
                message = told(self.revision, *missed, serial=request.serial)
            await stream.tell(message)


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[tuple[WatchServer, grpc.aio.Channel]]:
    """A server, and a channel to it."""
    servicer = WatchServer()  # type: ignore[abstract]  # what it lacks is UNIMPLEMENTED
    server = grpc.aio.server()
    add_AuthServiceServicer_to_server(servicer, server)
    port = servicer.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_CHANNEL) as channel:
            yield servicer, channel
    finally:
        await server.stop(None)
