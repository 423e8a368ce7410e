"""Interceptors for gRPC servers, of grpc.aio and of threads."""

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import grpc

from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.authenticating.blocking_authenticator import BlockingAuthenticator
from keywright.sdk.drop_ins.current import current
from keywright.sdk.drop_ins.grpc_denial import asked, denial
from keywright.sdk.drop_ins.requirements import MethodRules, Public, Requirement, Requires
from keywright.sdk.errors import KeywrightError
from keywright.sdk.values.results import Principal

_FIRST_REQUEST_SECONDS = 1
_Behavior = Callable[[Any, Any], Any]


class AuthenticatorInterceptor(grpc.aio.ServerInterceptor):
    """Lets only calls through whose token may do what their method asks for; for grpc.aio.

        rules = {"/shop.Orders/Get": Requires("orders.read"), "/grpc.health.v1.Health/*": PUBLIC}
        server = grpc.aio.server(interceptors=[AuthenticatorInterceptor(authenticator, rules)])

    Handlers have the principal by `current_principal()`. A method without a rule is denied. A
    stream is let through as it begins: in one that lives long, authenticate again.

    Clients are told UNAUTHENTICATED, PERMISSION_DENIED and RESOURCE_EXHAUSTED with the reason in
    their `ErrorInfo`, and UNAVAILABLE of what was not decided.

    Args:
        authenticator: tells who presents a token; whoever made it begins and ends it.
        rules: what each method asks for (`MethodRules`); the most exact one counts.

    Raises:
        TypeError: the authenticator is of the other kind.
        ValueError: a rule could not be kept.
    """

    def __init__(self, authenticator: Authenticator, rules: Mapping[str, Requirement]) -> None:
        if not inspect.iscoroutinefunction(authenticator.authenticate):
            raise TypeError("on a server of grpc.aio it takes an Authenticator")
        self._authenticator = authenticator
        self._rules = MethodRules(rules)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """As grpc.aio has it."""
        handler = await continuation(handler_call_details)
        found = _found(self._rules, handler_call_details.method)
        if handler is None or isinstance(found, Public):
            return handler
        metadata = tuple(handler_call_details.invocation_metadata or ())

        async def admit(context: Any) -> None:
            try:
                if isinstance(found, KeywrightError):
                    raise found
                token, constraints = asked(found, metadata, context.peer())
                principal = await self._authenticator.authenticate(token, **constraints)
            except KeywrightError as error:
                if handler.request_streaming:
                    await _first_of(context)
                told = denial(error)
                await context.abort(told.code, told.message, told.trailers)
            current.set(principal)  # of this call's own task

        return _with(handler, _admitting(_behavior(handler), admit))


class BlockingAuthenticatorInterceptor(grpc.ServerInterceptor):
    """`AuthenticatorInterceptor` for the gRPC server of threads.

    A client of grpc.aio that is denied while it still sends may be told INTERNAL.

    Args:
        authenticator: tells who presents a token.
        rules: what each method asks for (`MethodRules`); the most exact one counts.

    Raises:
        TypeError: the authenticator is of the other kind.
        ValueError: a rule could not be kept.
    """

    def __init__(
        self, authenticator: BlockingAuthenticator, rules: Mapping[str, Requirement]
    ) -> None:
        # What is to be awaited, and is not, raises nothing: everybody would be let through.
        if inspect.iscoroutinefunction(authenticator.authenticate):
            raise TypeError("on a server of threads it takes a BlockingAuthenticator")
        self._authenticator = authenticator
        self._rules = MethodRules(rules)

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        """As gRPC has it."""
        handler = continuation(handler_call_details)
        found = _found(self._rules, handler_call_details.method)
        if handler is None or isinstance(found, Public):
            return handler
        metadata = tuple(handler_call_details.invocation_metadata or ())

        # In the thread of the call, not in the one that takes all calls.
        def admit(context: Any) -> contextvars.Context:
            try:
                if isinstance(found, KeywrightError):
                    raise found
                token, constraints = asked(found, metadata, context.peer())
                principal = self._authenticator.authenticate(token, **constraints)
            except KeywrightError as error:
                told = denial(error)
                context.set_trailing_metadata(told.trailers)
                context.abort(told.code, told.message)
            return _context_of(principal)

        behavior = _behavior(handler)

        def one(request: Any, context: Any) -> Any:
            return admit(context).run(behavior, request, context)

        def many(request: Any, context: Any) -> Iterator[Any]:
            own = admit(context)
            replies = iter(own.run(behavior, request, context))
            try:
                while True:
                    try:
                        reply = own.run(next, replies)
                    except StopIteration:
                        return
                    yield reply
            finally:
                close = getattr(replies, "close", None)
                if close is not None:
                    own.run(close)

        return _with(handler, many if handler.response_streaming else one)


def _found(rules: MethodRules, method: str) -> Requires | Public | KeywrightError:
    try:
        return rules.of(method)
    except KeywrightError as error:
        return error


async def _first_of(context: Any) -> None:
    """Take the first request, though it is of no use any more.

    A client of grpc.aio whose message cannot be sent, because the stream has ended, takes that for
    an INTERNAL error and forgets why it has.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_REQUEST_SECONDS):
            await context.read()


def _context_of(principal: Principal) -> contextvars.Context:
    """A context of its own: threads are used again."""
    context = contextvars.copy_context()
    context.run(current.set, principal)
    return context


def _admitting(behavior: _Behavior, admit: Callable[[Any], Awaitable[None]]) -> _Behavior:
    """A handler that admits first, of the same kind."""
    if inspect.isasyncgenfunction(behavior):

        async def yields(request: Any, context: Any) -> AsyncIterator[Any]:
            await admit(context)
            async with aclosing(behavior(request, context)) as replies:
                async for reply in replies:
                    yield reply

        return yields
    if not inspect.iscoroutinefunction(behavior):
        raise TypeError(f"{behavior!r} is not async: it belongs on a server of threads")

    async def returns(request: Any, context: Any) -> Any:
        await admit(context)
        return await behavior(request, context)

    return returns


_KINDS = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def _behavior(handler: Any) -> _Behavior:
    name, _ = _KINDS[handler.request_streaming, handler.response_streaming]
    behavior: _Behavior = getattr(handler, name)
    return behavior


def _with(handler: Any, behavior: _Behavior) -> Any:
    """The handler with another behavior."""
    _, make = _KINDS[handler.request_streaming, handler.response_streaming]
    return make(behavior, handler.request_deserializer, handler.response_serializer)
