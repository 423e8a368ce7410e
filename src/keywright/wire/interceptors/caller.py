"""Who calls: what the credential in the metadata proves, and nothing else (promise G7).

In `AuthService` a failing credential of the caller is FAILED_PRECONDITION: UNAUTHENTICATED there
speaks of the presented token, and a sidecar whose own key expired must not answer 401 to everybody.
"""

from collections.abc import Awaitable, Callable

from keywright.domain.errors import Denied, Reason, ServiceError, Status
from keywright.wire.rpc import Reply, Rpc

_HOW = "send it as metadata `authorization: Bearer <token>`"


async def caller(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Find out who calls, or refuse."""
    method = rpc.method
    if method.handler is None:
        raise ServiceError(
            Reason.METHOD_UNIMPLEMENTED,
            f"{method.service}/{method.name} is not implemented by this version of the server",
        )
    try:
        await _identify(rpc)
    except Denied as denied:
        raise of_caller(rpc, denied) from None
    try:
        return await proceed(rpc)
    except Denied as denied:
        if method.is_authentication or method.is_open:
            raise
        # Only the caller has a credential here: it fell between the check and the transaction.
        raise of_caller(rpc, denied) from None


async def _identify(rpc: Rpc) -> None:
    settings = rpc.backend.settings
    admitted = rpc.method.decides and settings.admits(certified=rpc.certified)
    if rpc.method.is_open or admitted:
        return
    if not rpc.method.decides:
        rpc.caller = await rpc.services.authenticate.caller(bearer_token(rpc), rpc.peer)
        return
    memory, token = rpc.memory.authenticate, bearer_token(rpc)
    known = memory.recall_caller(token, rpc.peer)
    rpc.asker = known or await rpc.services.authenticate.asking(token, rpc.peer)
    rpc.caller = rpc.asker.principal


def bearer_token(rpc: Rpc) -> str:
    """The one token in `authorization` (RFC 6750 section 2.1; the scheme's case does not matter).

    Raises:
        ServiceError: it is missing, empty, there twice, or not Bearer.
    """
    given = rpc.values("authorization")
    if not given:
        raise _caller_error(
            rpc, Reason.CALLER_CREDENTIAL_MISSING, f"this call needs a credential: {_HOW}"
        )
    scheme, _, token = str(given[0]).partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip() or "," in token:
        raise _caller_error(
            rpc, Reason.CALLER_CREDENTIAL_MALFORMED, f"there must be exactly one credential: {_HOW}"
        )
    return token.strip()


def own_token(rpc: Rpc) -> str:
    """The caller's own token; empty where it needed none."""
    return "" if rpc.caller is None else bearer_token(rpc)


def _caller_error(rpc: Rpc, reason: Reason, message: str) -> ServiceError:
    status = Status.FAILED_PRECONDITION if rpc.method.is_authentication else None
    return ServiceError(reason, message, status=status)


def of_caller(rpc: Rpc, denied: Denied) -> ServiceError:
    """A verdict about the caller's credential, told apart from one about the presented token."""
    return ServiceError(
        Reason.CALLER_CREDENTIAL_INVALID,
        f"the caller's own credential does not stand: {denied.message}",
        details={**denied.details, "caller_reason": denied.reason.value},
        status=Status.FAILED_PRECONDITION if rpc.method.is_authentication else None,
    )
