"""A real server process, and a client that speaks to it as a foreign one would."""

import asyncio
import json
import os
import pkgutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import grpc
import psutil
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keywright import v1
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.storage.connection import set_codecs
from keywright.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    denial_pb2,
    key_pb2,
    key_service_pb2,
    key_service_pb2_grpc,
    user_pb2,
    user_service_pb2,
    user_service_pb2_grpc,
)


def _methods() -> dict[str, tuple[str, Any, Any]]:
    """Path, request type and reply type of each method, from the descriptors."""
    return {
        method.name: (
            f"/{service.full_name}/{method.name}",
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
        )
        for module in pkgutil.iter_modules(v1.__path__)
        if module.name.endswith("_service_pb2")
        for service in import_module(
            f"{v1.__name__}.{module.name}"
        ).DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


METHODS = _methods()
FRONT = os.environ.get("TESTED_FRONT", "grpc")  # of servers whose test does not say
# Envoy resets the stream, without a word.
TOO_LONG_METADATA = {
    "grpc": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "envoy": grpc.StatusCode.INTERNAL,
}[FRONT]
STREAMS = frozenset(METHODS[name][0] for name in ("AuthenticateStream", "Watch"))
WORKSPACE = "default"
PARENT = f"workspaces/{WORKSPACE}"
ADMIN = f"{PARENT}/users/admin"
PATIENCE_SECONDS = 60
"""How long a program may take to say something: on a busy machine its start alone takes half."""
Found = TypeVar("Found")


@dataclass
class Process:
    """A `keywright` process; what it writes is kept, line by line.

    `raw` is stderr, `log` those of its lines that are JSON, `printed` is stdout.
    """

    process: asyncio.subprocess.Process
    log: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _over: bool = False

    async def read(self) -> None:
        """Collect stdout and stderr until the process ends."""
        await asyncio.gather(
            self._collect(self.process.stdout, self.printed),
            self._collect(self.process.stderr, self.raw),
        )
        await self.process.wait()
        async with self._changed:
            self._over = True
            self._changed.notify_all()

    async def _collect(self, stream: asyncio.StreamReader | None, into: list[str]) -> None:
        assert stream is not None
        async for line in stream:
            text = line.decode().rstrip("\n")
            async with self._changed:
                into.append(text)
                if into is self.raw and text.startswith("{"):
                    self.log.append(json.loads(text))
                self._changed.notify_all()

    async def logged(self, event: str, after: int = 0) -> dict[str, Any]:
        """Wait until the process has logged `event`; returns that line."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.log[after:] if line["event"] == event), None)

        return await self._until(found, f"logging {event!r}")

    async def each_logged(
        self, event: str, field: str, values: Iterable[object], after: int = 0
    ) -> None:
        """Wait until `event` has been logged with each of these values in a field."""
        missing = set(values)

        def found() -> bool:
            logged = (line for line in self.log[after:] if line["event"] == event)
            return missing <= {line.get(field) for line in logged}

        await self._until(found, f"logging {event!r} with {field} {missing}")

    async def told(self, text: str) -> str:
        """Wait until a line with `text` has been written to stderr; returns it."""
        return await self._line(self.raw, text)

    async def shown(self) -> str:
        """Wait until a token is on stdout; returns it."""
        return (await self.printed_line("kw_")).strip()

    async def printed_line(self, text: str) -> str:
        """Wait until a line with `text` has been written to stdout; returns it."""
        return await self._line(self.printed, text)

    async def _line(self, lines: list[str], text: str) -> str:
        def found() -> str | None:
            return next((line for line in lines if text in line), None)

        return await self._until(found, f"saying {text!r}")

    async def _until(self, found: Callable[[], Found | None], what: str) -> Found:
        """Wait until something is found in what the process writes."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
                await self._changed.wait_for(lambda: found() or self._over)
        except TimeoutError as error:
            error.add_note(f"for {PATIENCE_SECONDS} s without {what}: {self.raw[-20:]}")
            raise
        it = found()
        assert it, f"ended without {what}: {self.raw[-20:]}"
        return it

    async def ended(self) -> None:
        """Wait until the process has ended and all it wrote was read."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._over)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


@asynccontextmanager
async def serve(dsn: str, **settings: str) -> AsyncIterator[Process]:
    """Run `keywright serve` on a database; settings as in KEYWRIGHT_... variables, lower-case."""
    given = {
        "database_url": dsn,
        "listen": "127.0.0.1:0",
        "metrics_listen": "",
        "argon2_threads": "1",
        "front": FRONT,
        **settings,
    }
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")},
        **{f"KEYWRIGHT_{key.upper()}": value for key, value in given.items()},
    }
    async with running([sys.executable, "-m", "keywright", "serve"], environ) as process:
        yield process


@asynccontextmanager
async def running(
    argv: Sequence[str], environ: Mapping[str, str], cwd: Path | None = None
) -> AsyncIterator[Process]:
    """Run a program for as long as the block, reading what it writes."""
    process = Process(
        await asyncio.create_subprocess_exec(
            *argv,
            env=environ,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    reader = asyncio.create_task(process.read())
    try:
        yield process
    finally:
        if process.process.returncode is None:
            await process.stop()
        await reader


class RefusedError(Exception):
    """A call that failed, as a foreign client sees it."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code()}: {error.details()}")
        self.code = error.code()
        self.message = error.details() or ""
        self.status = status_pb2.Status()
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self.status.ParseFromString(value)

    def detail(self, kind: Any) -> Any:
        """The detail of a type; None if there is none."""
        for packed in self.status.details:
            found = kind()
            if packed.Unpack(found):
                return found
        return None

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        """The ErrorInfo that every error carries."""
        info = self.detail(error_details_pb2.ErrorInfo)
        assert info is not None, f"no ErrorInfo in {self}"
        assert info.domain == "keywright.dev"
        return info

    @property
    def reason(self) -> str:
        """The reason in ErrorInfo."""
        return self.info.reason

    @property
    def denial(self) -> denial_pb2.Denial | None:
        """The Denial, if this is one."""
        return self.detail(denial_pb2.Denial)

    @property
    def retry_delay(self) -> float:
        """The seconds in RetryInfo, which has to be there."""
        info = self.detail(error_details_pb2.RetryInfo)
        assert info is not None, f"no RetryInfo in {self}"
        return float(info.retry_delay.ToTimedelta().total_seconds())

    @property
    def fields(self) -> list[str]:
        """The fields that a BadRequest names."""
        bad = self.detail(error_details_pb2.BadRequest)
        return [] if bad is None else [violation.field for violation in bad.field_violations]


async def refusal(call: Awaitable[Any]) -> RefusedError:
    """The error that `call` fails with, as it has to."""
    try:
        await call
    except RefusedError as refused:
        return refused
    raise AssertionError("the call was not refused")


@dataclass
class Caller:
    """One credential on one channel; what fails raises `RefusedError`."""

    channel: grpc.aio.Channel
    token: str | None
    metadata: tuple[tuple[str, str], ...] = ()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        own = () if self.token is None else (("authorization", f"Bearer {self.token}"),)
        return (*own, *self.metadata)

    async def _call(self, stub: Any, method: str, request: Any, timeout: float = 20) -> Any:
        try:
            return await getattr(stub(self.channel), method)(
                request, metadata=self._metadata(), timeout=timeout
            )
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None

    async def send(self, path: str, body: bytes) -> bytes:
        """Any bytes to any path, `/keywright.v1.KeyService/GetKey`; returns the reply's.

        To a stream they are the first message, and it is the first reply's.
        """
        try:
            if path in STREAMS:
                return await self.stream(path, body).read()
            call: Any = self.channel.unary_unary(path)
            return await call(body, metadata=self._metadata(), timeout=20)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None

    def stream(self, path: str, *bodies: bytes) -> Any:
        """A stream on which `bodies` are said, and then nothing more."""
        call: Any = self.channel.stream_stream(path)
        return call(iter(bodies), metadata=self._metadata(), timeout=20)

    def open(self, method: str) -> Any:
        """A stream, by the name of its method: `write` requests to it, and `read` replies."""
        path, request_type, reply_type = METHODS[method]
        call: Any = self.channel.stream_stream(
            path,
            request_serializer=request_type.SerializeToString,
            response_deserializer=reply_type.FromString,
        )
        return call(metadata=self._metadata())

    async def do(self, method: str, **fields: Any) -> Any:
        """Any method of the contract, by its name, with these fields in its (first) request."""
        path, request_type, reply_type = METHODS[method]
        if path in STREAMS:
            return reply_type.FromString(
                await self.send(path, request_type(**fields).SerializeToString())
            )
        call: Any = self.channel.unary_unary(
            path,
            request_serializer=request_type.SerializeToString,
            response_deserializer=reply_type.FromString,
        )
        try:
            return await call(request_type(**fields), metadata=self._metadata(), timeout=20)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None

    async def auth(self, method: str, request: Any) -> Any:
        """A method of AuthService."""
        return await self._call(auth_service_pb2_grpc.AuthServiceStub, method, request)

    async def keys(self, method: str, request: Any) -> Any:
        """A method of KeyService."""
        return await self._call(key_service_pb2_grpc.KeyServiceStub, method, request)

    async def users(self, method: str, request: Any) -> Any:
        """A method of UserService."""
        return await self._call(user_service_pb2_grpc.UserServiceStub, method, request)

    async def authenticate(self, token: str, **asked: Any) -> auth_service_pb2.AuthenticateResponse:
        """Authenticate."""
        request = auth_service_pb2.AuthenticateRequest(token=token, **asked)
        return await self.auth("Authenticate", request)

    async def create_key(
        self, *, key_id: str = "", ttl: Any = None, never_expires: bool = False, **key: Any
    ) -> key_service_pb2.CreateKeyResponse:
        """CreateKey in the default workspace."""
        request = key_service_pb2.CreateKeyRequest(
            parent=PARENT,
            key_id=key_id,
            key=key_pb2.Key(**key),
            ttl=ttl,
            never_expires=never_expires,
        )
        return await self.keys("CreateKey", request)

    async def get_key(self, name: str) -> key_pb2.Key:
        """GetKey."""
        response = await self.keys("GetKey", key_service_pb2.GetKeyRequest(name=name))
        return response.key

    async def list_keys(self, **request: Any) -> key_service_pb2.ListKeysResponse:
        """ListKeys in the default workspace."""
        request = {"parent": PARENT, **request}
        return await self.keys("ListKeys", key_service_pb2.ListKeysRequest(**request))

    async def revoke_key(self, name: str) -> key_service_pb2.RevokeKeyResponse:
        """RevokeKey."""
        return await self.keys("RevokeKey", key_service_pb2.RevokeKeyRequest(name=name))

    async def delete_key(self, name: str) -> key_service_pb2.DeleteKeyResponse:
        """DeleteKey."""
        return await self.keys("DeleteKey", key_service_pb2.DeleteKeyRequest(name=name))

    async def create_user(self, user_id: str, role: str = "member", **user: Any) -> user_pb2.User:
        """CreateUser in the default workspace, with an e-mail of the same name."""
        given = {"email": f"{user_id}@example.com", "role": f"{PARENT}/roles/{role}", **user}
        request = user_service_pb2.CreateUserRequest(
            parent=PARENT, user_id=user_id, user=user_pb2.User(**given)
        )
        response = await self.users("CreateUser", request)
        return response.user

    async def get_user(self, name: str) -> user_pb2.User:
        """GetUser."""
        response = await self.users("GetUser", user_service_pb2.GetUserRequest(name=name))
        return response.user

    async def list_users(self, **request: Any) -> user_service_pb2.ListUsersResponse:
        """ListUsers in the default workspace."""
        request = {"parent": PARENT, **request}
        return await self.users("ListUsers", user_service_pb2.ListUsersRequest(**request))

    async def disable_user(self, name: str) -> user_service_pb2.DisableUserResponse:
        """DisableUser."""
        return await self.users("DisableUser", user_service_pb2.DisableUserRequest(name=name))

    async def enable_user(self, name: str) -> user_service_pb2.EnableUserResponse:
        """EnableUser."""
        return await self.users("EnableUser", user_service_pb2.EnableUserRequest(name=name))


@dataclass
class Service:
    """A server on a database of its own, with its first admin."""

    process: Process
    dsn: str
    uri: str
    admin_token: str
    channel: grpc.aio.Channel
    workspace: str = WORKSPACE

    @property
    def answering(self) -> psutil.Process:
        """The process that answers calls: the server itself, or the one that it supervises."""
        process = psutil.Process(self.process.process.pid)
        return next(iter(process.children()), process)

    @property
    def admin(self) -> Caller:
        """The first admin."""
        return Caller(self.channel, self.admin_token)

    def as_caller(self, token: str | None, *metadata: tuple[str, str]) -> Caller:
        """Somebody else, or nobody."""
        return Caller(self.channel, token, metadata)

    async def person(self, user_id: str, role: str = "member") -> Caller:
        """A new user with a key of its own."""
        user = await self.admin.create_user(user_id, role)
        created = await self.admin.create_key(user=user.name)
        return self.as_caller(created.token)

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """A connection to the server's database, in nobody's way; jsonb are Python values."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await set_codecs(connection)
            yield connection
        finally:
            await connection.close()

    async def sql(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run a statement behind the server's back; what it remembers is forgotten by then."""
        found = await self.quietly(statement, *values)
        if not statement.lstrip().upper().startswith("SELECT"):
            async with self.connection() as connection:
                await forgotten(connection)
        return found

    async def quietly(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run a statement that changes nothing of what servers remember."""
        async with self.connection() as connection:
            return await connection.fetch(statement, *values)

    async def health(self) -> int:
        """The health of the whole server."""
        stub: Any = health_pb2_grpc.HealthStub(self.channel)
        return (await stub.Check(health_pb2.HealthCheckRequest())).status

    async def becomes(self, status: int) -> None:
        """Wait until the health is `status`, which the server announces by itself."""
        stub: Any = health_pb2_grpc.HealthStub(self.channel)
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for update in stub.Watch(health_pb2.HealthCheckRequest()):
                if update.status == status:
                    return


async def forgotten(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until every server has dropped what it remembered: the history goes on with a gap."""
    revision = await connection.fetchval(
        "UPDATE keywright.authority_revision SET revision = revision + 1, tag = gen_random_uuid() "
        "RETURNING revision"
    )
    await connection.execute("NOTIFY keywright_authority")
    async with asyncio.timeout(12):
        while await connection.fetchval(  # noqa: ASYNC110  nobody tells
            "SELECT EXISTS (SELECT FROM keywright.replica WHERE applied < $1)", revision
        ):
            await asyncio.sleep(0.01)


async def first_admin(dsn: str, workspace: str = WORKSPACE) -> str:
    """Make a workspace and its admin; returns the admin's token."""
    parts = await Parts.open(Config(argon2_threads=1), dsn)
    try:
        token = await (await parts.bootstrap()).first_admin(workspace, "admin@localhost")
    finally:
        await parts.close()
    assert token is not None
    return token.reveal()


@asynccontextmanager
async def service(dsn: str, **settings: str) -> AsyncIterator[Service]:
    """A server on a migrated database, ready to serve."""
    token = await first_admin(dsn)
    async with _serving(dsn, token, settings) as running:
        yield running


@asynccontextmanager
async def another(of: Service, **settings: str) -> AsyncIterator[Service]:
    """One more server on the same database, beside `of` or after it."""
    async with _serving(of.dsn, of.admin_token, settings) as running:
        yield running


@asynccontextmanager
async def _serving(dsn: str, token: str, settings: Mapping[str, str]) -> AsyncIterator[Service]:
    async with serve(dsn, **settings) as process:
        target = (await process.logged("listening"))["listen"]
        async with grpc.aio.insecure_channel(target) as channel:
            running = Service(process, dsn, target, token, channel)
            await running.becomes(health_pb2.HealthCheckResponse.SERVING)
            yield running
