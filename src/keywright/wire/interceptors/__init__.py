"""What happens to every call, in this order, outermost first.

The order matters, and a test asserts it. The id of the call is known to all that follows; the log
and the metrics see the code that the error mapping made; the deadline bounds everything that can
wait; a stranger is turned away before the request is looked at; what is denied to a known caller is
noticed, whoever denies it.
"""

from collections.abc import Awaitable, Callable

from keywright.wire.interceptors.access_log import access_log
from keywright.wire.interceptors.call_id import call_id
from keywright.wire.interceptors.caller import caller
from keywright.wire.interceptors.deadline import deadline
from keywright.wire.interceptors.denied_calls import denied_calls
from keywright.wire.interceptors.error_mapping import error_mapping
from keywright.wire.interceptors.metrics import metrics
from keywright.wire.interceptors.validation import validation
from keywright.wire.rpc import Method, Reply, Rpc

Proceed = Callable[[Rpc], Awaitable[Reply]]
Interceptor = Callable[[Rpc, Proceed], Awaitable[Reply]]

INTERCEPTORS: tuple[Interceptor, ...] = (
    call_id,
    access_log,
    metrics,
    error_mapping,
    deadline,
    caller,
    denied_calls,
    validation,
)


def chain(method: Method) -> Proceed:
    """The interceptors around a method's handler, as one function."""

    async def handle(rpc: Rpc) -> Reply:
        assert method.handler is not None, "the caller interceptor refuses others"  # noqa: S101
        return await method.handler(rpc, rpc.request)

    proceed: Proceed = handle
    for interceptor in reversed(INTERCEPTORS):
        proceed = _around(interceptor, proceed)
    return proceed


def _around(interceptor: Interceptor, proceed: Proceed) -> Proceed:
    async def intercepted(rpc: Rpc) -> Reply:
        return await interceptor(rpc, proceed)

    return intercepted
