"""Who calls: what the credential in the metadata proves, and nothing else (promise G7).

In `AuthService` a failing credential of the caller is FAILED_PRECONDITION: UNAUTHENTICATED there
speaks of the presented token, and a sidecar whose own key expired must not answer 401 to everybody.
"""

from collections.abc import Awaitable, Callable

from google.protobuf.message import Message

from keywright.domain.decision import Principal
from keywright.domain.errors import Denied, Reason, ServiceError, Status
from keywright.wire.rpc import Rpc

_HOW = "send it as metadata `authorization: Bearer <token>`"


async def caller(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Message]]) -> Message:
    """Find out who calls, or refuse."""
    method = rpc.method
    if method.handler is None:
        raise ServiceError(
            Reason.METHOD_UNIMPLEMENTED,
            f"{method.service}/{method.name} is not implemented by this version of the server",
        )
    try:
        rpc.caller = await _identify(rpc)
    except Denied as denied:
        raise _of_caller(rpc, denied) from None
    try:
        return await proceed(rpc)
    except Denied as denied:
        if method.is_authentication:
            raise
        # Only the caller has a credential here: it fell between the check and the transaction.
        raise _of_caller(rpc, denied) from None


async def _identify(rpc: Rpc) -> Principal | None:
    services = rpc.services
    if rpc.method.is_open:
        return None
    if rpc.method.decides:
        match rpc.backend.settings.authenticate_callers:
            case "any":
                return None
            case "mtls" if rpc.certified:
                return None
    token = bearer_token(rpc)
    return await services.authenticate.caller(token, rpc.peer)


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


def _caller_error(rpc: Rpc, reason: Reason, message: str) -> ServiceError:
    status = Status.FAILED_PRECONDITION if rpc.method.is_authentication else None
    return ServiceError(reason, message, status=status)


def _of_caller(rpc: Rpc, denied: Denied) -> ServiceError:
    """A verdict about the caller's credential, told apart from one about the presented token."""
    return ServiceError(
        Reason.CALLER_CREDENTIAL_INVALID,
        f"the caller's own credential does not stand: {denied.message}",
        details={**denied.details, "caller_reason": denied.reason.value},
        status=Status.FAILED_PRECONDITION if rpc.method.is_authentication else None,
    )
