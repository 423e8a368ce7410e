"""How a method is described once, for every kind of client.

A method is a generator that yields the calls it needs, is sent their replies, and returns its
result: it neither waits nor blocks. The decorators `operation`, `listing` and `batches` hand it to
the client's transport, which does: that of `Client` blocks, that of `AsyncClient` awaits. What a
method returns is told to type checkers by the client's mode.
"""

from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, field
from functools import partial, wraps
from inspect import signature
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from google.protobuf.message import Message

from keywright.sdk.connection.argument_types import checks_of

Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Mode = TypeVar("Mode")
Parameters = ParamSpec("Parameters")


@dataclass(frozen=True, slots=True)
class Method(Generic[Reply]):
    """A unary method of `keywright.v1`."""

    service: str
    name: str
    reply: type[Reply]

    @property
    def path(self) -> str:
        """As HTTP/2 has it."""
        return f"/keywright.v1.{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A method and what to send it."""

    method: Method[Any]
    request: Message = field(repr=False)  # it may hold a token, and reports of crashes show locals


Flow = Generator[Call, Any, Result]


def call(method: Method[Reply], request: Message) -> Flow[Reply]:
    """What `yield from` this gives is the reply, with its type."""
    reply: Reply = yield Call(method, request)
    return reply


@dataclass(frozen=True, slots=True)
class Listing(Generic[Result]):
    """A list that comes in pages: its request, and what each reply contributes."""

    method: Method[Any]
    request: Any
    items: Callable[[Any], Iterable[Result]]

    def calls(self) -> Generator[Call, Any, None]:
        """A call for each page; is sent the replies."""
        while True:
            reply = yield Call(self.method, self.request)
            if not reply.next_page_token:
                return
            self.request.page_token = reply.next_page_token


@dataclass(frozen=True, slots=True)
class Page(Generic[Result]):
    """Part of a list; `next_page_token` is empty on the last one."""

    items: tuple[Result, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Batches(Generic[Result]):
    """Work that one call cannot take: the requests, and what each reply contributes."""

    method: Method[Any]
    requests: Sequence[Message]
    items: Callable[[Any], Iterable[Result]]

    def calls(self) -> Generator[Call, Any, None]:
        """A call for each batch; is sent the replies."""
        for request in self.requests:
            yield Call(self.method, request)


class Transport(Protocol):
    """What runs flows: it returns results, or what is to be awaited for them, as its mode is."""

    def run(self, flow: Flow[Any]) -> Any:
        """Make the calls of a flow; its result."""

    def items(self, flow: Flow[Listing[Any] | Batches[Any]]) -> Any:
        """Iterate over what the calls contribute; each is made when its first item is wanted."""

    def listed(self, make: Callable[[], Flow[Listing[Any]]]) -> Any:
        """The same of a list, of which there are pages, too."""


class Blocking:
    """The mode of `Client`: a call returns when it is done."""


class Awaiting:
    """The mode of `AsyncClient`: a call is awaited."""


class Surface(Generic[Mode]):
    """Something with operations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class Operation(Protocol[Parameters, Result_co]):
    """What a method of a surface is to type checkers; in truth it is a function."""

    @overload
    def __get__(
        self, instance: Surface[Blocking], owner: type, /
    ) -> Callable[Parameters, Result_co]: ...

    @overload
    def __get__(
        self, instance: Surface[Awaiting], owner: type, /
    ) -> Callable[Parameters, Coroutine[Any, Any, Result_co]]: ...


class Iteration(Protocol[Parameters, Result_co]):
    """The same of a method that iterates."""

    @overload
    def __get__(
        self, instance: Surface[Blocking], owner: type, /
    ) -> Callable[Parameters, Iterator[Result_co]]: ...

    @overload
    def __get__(
        self, instance: Surface[Awaiting], owner: type, /
    ) -> Callable[Parameters, AsyncIterator[Result_co]]: ...


def _shown(method: Any) -> Any:
    """Let `help` say what a caller gets, and not that a flow is behind it."""
    shown = signature(method)
    result = get_args(shown.return_annotation)[-1]  # of `Flow[Key]`, a generator's third
    method.__signature__ = shown.replace(return_annotation=result)
    return method


def operation(
    flow: Callable[Concatenate[Any, Parameters], Flow[Result]],
) -> Operation[Parameters, Result]:
    """A method of the surface that returns what its flow does."""
    check = checks_of(flow)

    @wraps(flow)
    def method(
        self: Surface[Any], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> object:
        check(args, kwargs)
        return self._transport.run(flow(self, *args, **kwargs))

    return cast("Operation[Parameters, Result]", _shown(method))


def batches(
    flow: Callable[Concatenate[Any, Parameters], Flow[Batches[Result]]],
) -> Iteration[Parameters, Result]:
    """A method of the surface that iterates, and makes the calls for it by itself."""
    check = checks_of(flow)

    @wraps(flow)
    def method(
        self: Surface[Any], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> object:
        check(args, kwargs)
        return self._transport.items(flow(self, *args, **kwargs))

    return cast("Iteration[Parameters, Result]", _shown(method))


class Listed(Surface[Mode], Generic[Mode, Result]):
    """A list that a method asked for; no call is made before something of it is wanted."""

    def __init__(self, transport: Transport, make: Callable[[], Flow[Listing[Result]]]) -> None:
        super().__init__(transport)
        self._make = make
        self._items = transport.items(make())

    @operation
    def page(self, page_token: str = "") -> Flow[Page[Result]]:
        """One page of `page_size`, for whoever shows pages.

        Args:
            page_token: the `next_page_token` of the page before; the first page without. All else
                that was asked for must be as it was then, but for `page_size`.

        Raises:
            InvalidArgument: the token is of another list, or of another caller.
        """
        found = yield from self._make()
        found.request.page_token = page_token
        reply: Any = yield from call(found.method, found.request)
        return Page(tuple(found.items(reply)), reply.next_page_token)


class Items(Listed[Blocking, Result], Iterator[Result]):
    """A list of `Client`: what to iterate over."""

    def __next__(self) -> Result:
        item: Result = next(self._items)
        return item


class AsyncItems(Listed[Awaiting, Result], AsyncIterator[Result]):
    """A list of `AsyncClient`: what to iterate over by `async for`."""

    async def __anext__(self) -> Result:
        item: Result = await anext(self._items)
        return item


class ListOperation(Protocol[Parameters, Result]):
    """What a method that lists is to type checkers."""

    @overload
    def __get__(
        self, instance: Surface[Blocking], owner: type, /
    ) -> Callable[Parameters, Items[Result]]: ...

    @overload
    def __get__(
        self, instance: Surface[Awaiting], owner: type, /
    ) -> Callable[Parameters, AsyncItems[Result]]: ...


def listing(
    flow: Callable[Concatenate[Any, Parameters], Flow[Listing[Result]]],
) -> ListOperation[Parameters, Result]:
    """A method of the surface that lists what comes in pages."""
    check = checks_of(flow)

    @wraps(flow)
    def method(
        self: Surface[Any], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> object:
        check(args, kwargs)
        return self._transport.listed(partial(flow, self, *args, **kwargs))

    return cast("ListOperation[Parameters, Result]", _shown(method))
