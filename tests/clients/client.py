"""A client program at work: what it is told and tells is described in `programs/exchange.py`."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.clients.building import ROOT

JsonObject = Mapping[str, Any]
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LONGEST_LINE = 2**26
_PATIENCE = 30


@dataclass(frozen=True)
class Ended:
    """How a call has ended, as a program in any language sees it."""

    code: grpc.StatusCode
    message: str
    details: Sequence[JsonObject]
    headers: Sequence[Sequence[str]]
    trailers: Sequence[Sequence[str]]
    replies: Sequence[JsonObject]


@dataclass
class Call:
    """A call that has begun."""

    number: int
    program: "Client"
    told: asyncio.Queue[JsonObject] = field(default_factory=asyncio.Queue)
    _replies: list[JsonObject] = field(default_factory=list)

    async def reply(self) -> JsonObject:
        """The next reply of a stream."""
        told = await self._next()
        assert "reply" in told, f"the stream has ended: {told}"
        self._replies.append(told["reply"])
        return self._replies[-1]

    async def is_answered(self) -> bool:
        """Whether a reply comes next, and not the end."""
        told = await self._next()
        if "reply" in told:
            self._replies.append(told["reply"])
        else:
            self.told.put_nowait(told)
        return "reply" in told

    async def cancel(self) -> None:
        """Have the client think better of it."""
        await self.program.tell({"id": self.number, "cancel": True})

    async def end(self) -> Ended:
        """How it ends, and all its replies."""
        while "code" not in (told := await self._next()):
            self._replies.append(told["reply"])
        return Ended(
            code=_CODES[told["code"]],
            message=told["message"],
            details=told["details"],
            headers=told["headers"],
            trailers=told["trailers"],
            replies=self._replies,
        )

    async def _next(self) -> JsonObject:
        async with asyncio.timeout(_PATIENCE):
            return await self.told.get()


@dataclass
class Client:
    """A program, whose calls go over one connection."""

    process: asyncio.subprocess.Process
    _calls: list[Call] = field(default_factory=list)

    async def call(self, path: str, *requests: JsonObject, **how: Any) -> Ended:
        """Make a call, to its end; see `begin`."""
        return await (await self.begin(path, *requests, **how)).end()

    async def begin(
        self,
        path: str,
        *requests: JsonObject,
        token: str | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        deadline: float | None = 20,
        gzip: bool = False,
        stays_open: bool = False,
    ) -> Call:
        """Begin a call to `/service/Method` with a caller's token; `deadline` is in seconds.

        A stream on which all was said is ended, unless it `stays_open`.
        """
        call = Call(len(self._calls), self)
        self._calls.append(call)
        own = [] if token is None else [("authorization", f"Bearer {token}")]
        await self.tell(
            {
                "id": call.number,
                "path": path,
                "requests": requests,
                "metadata": [(name, _text(value)) for name, value in (*own, *metadata)],
                "deadline": deadline,
                "gzip": gzip,
                "open": stays_open,
            }
        )
        return call

    async def tell(self, what: JsonObject) -> None:
        """Tell the program what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n".encode())
        await self.process.stdin.drain()

    async def listen(self) -> None:
        """Give each call what the program tells of it, until the program ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            self._calls[told["id"]].told.put_nowait(told)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else base64.b64encode(value).decode()


@asynccontextmanager
async def client(argv: Sequence[str]) -> AsyncIterator[Client]:
    """Run a client program for as long as the block."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    program = Client(process)
    listening = asyncio.create_task(program.listen())
    try:
        yield program
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            process.kill()
            raise
        await listening
