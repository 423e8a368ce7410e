"""Programs that answer from a leased cache: processes which a test may stop, kill and start again.

Each listens on UNIX sockets, so that it is where it was when it has been started again.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc

from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from keywright.v1 import auth_service_pb2 as pb
from tests.consistency.carriers import PATIENCE_SECONDS, Carrier
from tests.consistency.history import Decision, Outcome
from tests.consistency.subjects import ADDRESS
from tests.support.service import Process, running
from tests.support.sidecar import CHECK, Sidecar, check_of, environment, sidecar
from tests.support.unprivileged import CHECKOUT

_DENIALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# A route for each way in which subjects are asked about: /what is needed/on what.
_CONFIG = """
access_log = "off"
[listen]
http = "unix:{directory}/http.sock"
envoy = "unix:{directory}/envoy.sock"
[forward_auth]
proxy = "traefik"
[[routes]]
path = "/any"
permissions = []
[[routes]]
path = "/any/projects/{{project}}"
permissions = []
resource = "projects/{{project}}"
[[routes]]
path = "/datasets.read"
permissions = ["datasets.read"]
[[routes]]
path = "/projects.write/projects/{{project}}"
permissions = ["projects.write"]
resource = "projects/{{project}}"
"""


class Program(Carrier):
    """A process beside a server, with a lease when it has begun."""

    directory: Path
    _process: Process
    _running: AsyncExitStack

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run while the block does."""
        with tempfile.TemporaryDirectory(prefix="keywright-program-") as directory:
            self.directory = Path(directory)
            async with AsyncExitStack() as self._running:
                await self.start()
                yield

    async def start(self) -> None:
        """Begin, also once more after it was killed."""
        self._process = await self._begun(self._running)

    @abstractmethod
    async def _begun(self, stack: AsyncExitStack) -> Process:
        """Start the process, to be ended with the stack, and wait until it holds a lease."""

    def pause(self) -> None:
        """Let it stand still."""
        os.kill(self._process.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        os.kill(self._process.process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """End it without a word."""
        await self._process.stop(signal.SIGKILL)

    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        """Ask once; what is not there, or goes away, has decided nothing."""
        invoked = time.monotonic()
        try:
            outcome, reason = await self._ask(request)
        except (OSError, EOFError, grpc.aio.AioRpcError) as error:
            outcome, reason = Outcome.UNDECIDED, repr(error)
        return Decision(self.lane, invoked, time.monotonic(), outcome, reason)

    @abstractmethod
    async def _ask(self, request: pb.AuthenticateRequest) -> tuple[Outcome, str]:
        """The answer, and why."""


class SidecarProgram(Program):
    """A `keywright sidecar`, asked as Envoy does and as Traefik does in turn."""

    _sidecar: Sidecar
    _check: Any
    _count = 0

    async def _begun(self, stack: AsyncExitStack) -> Process:
        config = self.directory / "sidecar.toml"
        config.write_text(_CONFIG.format(directory=self.directory))
        self._sidecar = await stack.enter_async_context(sidecar(config, self._target, self._token))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(self._sidecar.envoy))
        self._check = channel.unary_unary(CHECK, response_deserializer=CheckResponse.FromString)
        return self._sidecar.process

    async def _ask(self, request: pb.AuthenticateRequest) -> tuple[Outcome, str]:
        self._count += 1
        status, reason = await (self._envoy if self._count % 2 else self._traefik)(request)
        if status == HTTPStatus.OK:
            return Outcome.ALLOWED, reason
        return Outcome.DENIED if status in _DENIALS else Outcome.UNDECIDED, reason

    async def _envoy(self, request: pb.AuthenticateRequest) -> tuple[int, str]:
        given = {
            "permissions": ",".join(request.required_permissions),
            "resource": request.resource,
        }
        check = check_of(request.token, **given).SerializeToString()
        answer = await self._check(check, timeout=PATIENCE_SECONDS)
        if answer.HasField("ok_response"):
            return HTTPStatus.OK, ""
        return answer.denied_response.status.code, answer.status.message

    async def _traefik(self, request: pb.AuthenticateRequest) -> tuple[int, str]:
        parts: Sequence[str] = [*(request.required_permissions or ["any"]), request.resource]
        answer = await self._sidecar.get(
            "/authorize",
            ("Authorization", f"Bearer {request.token}"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Uri", "/" + "/".join(filter(None, parts))),
            ("X-Forwarded-For", ADDRESS),
        )
        return answer.status, "" if answer.status == HTTPStatus.OK else answer.error["reason"]


class ThreadsProgram(Program):
    """A program of threads that share a `BlockingAuthenticator`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _begun(self, stack: AsyncExitStack) -> Process:
        argv = [sys.executable, "-m", "tests.consistency.threads", self._address]
        given = environment(self._target, self._token)
        process = await stack.enter_async_context(running(argv, given, CHECKOUT))
        stack.callback(self._hang_up)
        await process.told("listening")
        return process

    @property
    def _address(self) -> str:
        return str(self.directory / "threads.sock")

    async def _ask(self, request: pb.AuthenticateRequest) -> tuple[Outcome, str]:
        question = {
            "token": request.token,
            "resource": request.resource,
            "require": list(request.required_permissions),
            "client_address": request.client_address,
        }
        answer = await self._exchanged(f"{json.dumps(question)}\n".encode())
        outcome, reason = json.loads(answer)
        return Outcome[outcome], reason

    async def _exchanged(self, line: bytes) -> bytes:
        """The answer to a line, on a connection that nobody else uses meanwhile."""
        connection = self._idle.pop() if self._idle else None
        reader, writer = connection or await asyncio.open_unix_connection(self._address)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                writer.write(line)
                answer = await reader.readuntil()
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return answer

    def _hang_up(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()
