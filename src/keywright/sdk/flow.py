"""How a method is described once, for every kind of client.

A method is a generator that yields the calls it needs, is sent their replies, and returns its
result: it neither waits nor blocks. The decorators `operation` and `listing` hand it to the
client's transport, which does; one that awaits can run the same descriptions.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from google.protobuf.message import Message

Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")
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


@dataclass(frozen=True, slots=True)
class Batches(Generic[Result]):
    """Work that one call cannot take: the requests, and what each reply contributes."""

    method: Method[Any]
    requests: Sequence[Message]
    items: Callable[[Any], Iterable[Result]]


class Transport(Protocol):
    """What runs flows."""

    def run(self, flow: Flow[Result]) -> Result:
        """Make the calls of a flow; returns its result."""

    def pages(self, flow: Flow[Listing[Result]]) -> Iterator[Result]:
        """All items of a list, a page at a time, as they are asked for."""

    def batches(self, flow: Flow[Batches[Result]]) -> Iterator[Result]:
        """All results of the work, which is done a batch at a time, as they are asked for."""


class Surface:
    """Something with operations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


S = TypeVar("S", bound=Surface)


def operation(
    flow: Callable[Concatenate[S, Parameters], Flow[Result]],
) -> Callable[Concatenate[S, Parameters], Result]:
    """A method of the surface that returns what its flow does."""

    @wraps(flow)
    def method(self: S, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return self._transport.run(flow(self, *args, **kwargs))

    return method


def listing(
    flow: Callable[Concatenate[S, Parameters], Flow[Listing[Result]]],
) -> Callable[Concatenate[S, Parameters], Iterator[Result]]:
    """A method of the surface that iterates over a list, and fetches the pages by itself."""

    @wraps(flow)
    def method(self: S, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Result]:
        return self._transport.pages(flow(self, *args, **kwargs))

    return method


def batched(
    flow: Callable[Concatenate[S, Parameters], Flow[Batches[Result]]],
) -> Callable[Concatenate[S, Parameters], Iterator[Result]]:
    """A method of the surface that does its work in batches, while it is iterated over."""

    @wraps(flow)
    def method(self: S, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Result]:
        return self._transport.batches(flow(self, *args, **kwargs))

    return method
