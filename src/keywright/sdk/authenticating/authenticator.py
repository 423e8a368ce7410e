"""Who presents a token, told from a leased cache where it may answer, else by the server."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

from keywright.sdk.authenticating.known import Known
from keywright.sdk.authenticating.leased_cache import ANSWERS_MAX_COUNT, LeasedCache
from keywright.sdk.authenticating.question import Question, malformed
from keywright.sdk.authenticating.questions import Questions
from keywright.sdk.authenticating.rate_limits import RateLimits
from keywright.sdk.authenticating.watching import Watch, watching
from keywright.sdk.connection.connection import TlsFiles, Way
from keywright.sdk.connection.credentials import Secret, find_api_key, find_uri, hidden
from keywright.sdk.connection.forks import forked
from keywright.sdk.errors import KeywrightError, Unavailable
from keywright.sdk.values.lifetimes import check_timeout, seconds_of
from keywright.sdk.values.results import Principal

_TIMEOUT = timedelta(seconds=10)
_NEVER = timedelta(0)
# A server that comes back is found within seconds, however long it was away.
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class Authenticator:
    """Authenticates tokens, in microseconds where it has the answer already.

    async with Authenticator() as authenticator:
        principal = await authenticator.authenticate(token, require=["datasets.read"])

    Answers are kept under a lease that the server grants (`AuthService.Watch`): what is revoked is
    denied here, too, as soon as the call that revoked it has returned. Denials are not kept. While
    there is no lease, the server is asked each time. When it is lost, what is known is answered for
    the rest of the lease, and then the error is `Unavailable`.

    It belongs to one event loop; for threads there is `BlockingAuthenticator`. It begins to watch
    as the block is entered and does not wait for the server, so a program starts without one. In
    the child of a fork nothing works that uses gRPC, if this watched before: `FORKED`.

    Args:
        uri: as for `Client`.
        api_key: a key of a user with the permission `auth.authenticate`, else the environment's.
        ca_file, certificate_file, key_file, allow_plaintext: as for `Client`.
        timeout: the deadline of a call to the server, and the longest that `authenticate` takes.
        cache_max_count: how many answers are kept, a few KiB each.
        stale_window: DANGEROUS. For how long after a lease's end answers that were held then are
            still given while the server is out of reach. For that long, revoked keys work on, and
            disabled users, and removed grants: nobody can tell this process of it, and whoever cuts
            its network can bring that about. Only expiry still counts. Each such answer is counted
            in `stale_answers`: alert on it. Zero, which is safe, unless an outage of your service
            is worse than that.
        rate_limits: whether to hold keys to their `rate_limit`, each process for itself.

    Attributes:
        stale_answers: how many were given in the stale window, since this was made.

    Raises:
        ConfigurationError: one of these is missing or wrong, here or when the block is entered.
        TypeError, ValueError: a length of time is none.
    """

    def __init__(
        self,
        uri: str | None = None,
        api_key: str | Secret | None = None,
        *,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        allow_plaintext: bool = False,
        timeout: timedelta = _TIMEOUT,
        cache_max_count: int = ANSWERS_MAX_COUNT,
        stale_window: timedelta = _NEVER,
        rate_limits: bool = True,
    ) -> None:
        self._uri = find_uri(uri, os.environ)
        self._api_key = find_api_key(api_key, os.environ)
        self._tls_files = TlsFiles(ca_file, certificate_file, key_file)
        self._allow_plaintext = allow_plaintext
        check_timeout(timeout)
        self._timeout = timeout
        self._cache = LeasedCache(max_count=cache_max_count, stale_seconds=seconds_of(stale_window))
        self._rates = RateLimits() if rate_limits else None
        self.stale_answers = 0
        self._entered = 0
        self._running = AsyncExitStack()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: Watch | None = None
        self._questions: Questions | None = None
        self._out_of_reach = False
        self._trying: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to watch. A block within the block is one and the same."""
        if self._entered:
            self._begun()
        else:
            await self._begin()
        self._entered += 1
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if not self._entered:
            self._questions = self._watch = None
            await self._running.aclose()

    async def leased(self) -> None:
        """Wait until a lease is held, for as long as it takes: bound it by `asyncio.timeout`."""
        self._begun()
        watch = self._watch
        while watch is not None and not self._cache.leased:
            watch.leased.clear()  # it may be of a lease that has run out unrenewed
            await watch.leased.wait()

    @property
    def is_leased(self) -> bool:
        """Whether known answers can be given at this moment without asking."""
        return self._cache.leased

    @property
    def trouble(self) -> KeywrightError | None:
        """Why there is no watching; None while all is well, or before it was tried."""
        return None if self._watch is None else self._watch.trouble

    async def authenticate(
        self,
        token: str | Secret,
        *,
        resource: str = "",
        require: Sequence[str] = (),
        environment: str = "",
        client_address: str = "",
    ) -> Principal:
        """Who presents `token`, if it stands and everything asked for holds.

        Nothing is awaited if the answer is known.

        Args:
            token: what the client presented. Reports of crashes that show the locals of every frame
                show it where it is handed on as text; a `Secret` nowhere.
            resource: what the client wants to act on, `projects/abc`; required for a key that is
                bound to a resource.
            require: permissions that are all needed; no patterns.
            environment: the environment that the key must be of.
            client_address: where the client is; required for a key that is bound to networks, and
                of no matter for any other.

        Raises:
            Unauthenticated: the token does not stand; `reason` says why.
            PermissionDenied: it stands, but something asked for does not hold.
            ResourceExhausted: the key is used too often: `RATE_LIMITED`, with a `retry_delay`.
            KeywrightError: it was not decided: answer 503, not 401.
        """
        principal = self.recall(token, resource, require, environment, client_address)
        if principal is not None:
            return principal
        self._begun()
        question = Question.of(
            self._cache, hidden(token), resource, require, environment, client_address
        )
        known = await self._found(question)
        return self._counted(known.principal)

    def recall(
        self,
        token: str | Secret,
        resource: str = "",
        require: Sequence[str] = (),
        environment: str = "",
        client_address: str = "",
    ) -> Principal | None:
        """As `authenticate`, without asking: None if the answer is not known. Threads may call it.

        Raises:
            Unauthenticated: the token is no text.
            ResourceExhausted: the key is used too often.
        """
        try:
            key = self._cache.key_of(
                token.reveal() if isinstance(token, Secret) else token,
                resource,
                require,
                environment,
            )
        except UnicodeEncodeError:
            raise malformed("is no text") from None
        except AttributeError:
            raise TypeError("a token is text, or a Secret") from None
        known: Known | None = self._cache.get(key)
        if known is None or (known.networks and not known.admits(client_address)):
            return None
        principal = known.principal
        return principal if principal.rate_limit is None else self._counted(principal)

    def _counted(self, principal: Principal) -> Principal:
        if principal.rate_limit is not None and self._rates is not None:
            self._rates.take(principal.credential.name, principal.rate_limit)
        return principal

    async def _found(self, question: Question) -> Known:
        stale = self._stale(question) if self._out_of_reach else None
        if stale is not None:
            self._try_again(question)
            return stale
        try:
            return await self._ask(question)
        except Unavailable:
            stale = self._stale(question)
            if stale is None:
                raise
            return stale

    async def _ask(self, question: Question) -> Known:
        questions = self._begun()
        try:
            known = await questions.ask(question)
        except KeywrightError as error:
            self._out_of_reach = isinstance(error, Unavailable)
            raise
        self._out_of_reach = False
        return known

    def _stale(self, question: Question) -> Known | None:
        known: Known | None = self._cache.get_stale(question.key)
        if known is None or not known.admits(question.client_address):
            return None
        self.stale_answers += 1
        return known

    def _try_again(self, question: Question) -> None:
        """Ask without waiting, one question at a time: the server may be back."""
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._tried(question))

    async def _tried(self, question: Question) -> None:
        with suppress(KeywrightError):
            await self._ask(question)

    async def _begin(self) -> None:
        way = Way.find(
            self._uri, self._tls_files, os.environ, allow_plaintext=self._allow_plaintext
        )
        channel = way.async_channel(_CHANNEL_OPTIONS)
        metadata = (("authorization", f"Bearer {self._api_key.reveal()}"),)
        async with AsyncExitStack() as running:
            await running.enter_async_context(channel)
            self._watch = await running.enter_async_context(
                watching(channel, self._cache, metadata, server=self._uri)
            )
            self._questions = Questions(channel, self._cache, metadata, self._uri, self._timeout)
            running.push_async_callback(self._questions.close)
            running.push_async_callback(self._end_trying)
            self._running = running.pop_all()
        self._pid, self._loop = os.getpid(), asyncio.get_running_loop()
        _watched.add(self._cache)

    async def _end_trying(self) -> None:
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait([self._trying])

    def _begun(self) -> Questions:
        if self._questions is None:
            raise RuntimeError("enter the authenticator first: async with authenticator: ...")
        if self._pid != os.getpid():
            raise forked()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError(
                "this authenticator was entered in another event loop: make one for each, or a "
                "BlockingAuthenticator for threads"
            )
        return self._questions


# Only the parent of a fork hears of changes, and acknowledges them: what the child has of its cache
# must not answer, not even for the rest of the lease.
_watched: WeakSet[LeasedCache] = WeakSet()


def _abandon_all() -> None:
    for cache in _watched:
        cache.abandon()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_abandon_all)
