"""One token to authenticate, wherever it came from: alone, in a batch or on a stream."""

from datetime import timedelta
from functools import lru_cache

import structlog

from keywright.domain.decision import Asked
from keywright.domain.errors import Denied, Reason, ServiceError, Status, Unavailable, invalid_field
from keywright.domain.keys import Address
from keywright.domain.permissions import AUTHENTICATE
from keywright.service.authenticate import NOTHING
from keywright.service.known import Caller
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import convert
from keywright.wire.errors import denial, internal_error
from keywright.wire.rpc import Services

_log = structlog.get_logger("keywright.errors")

_REQUIRED_MAX_COUNT = 100
# A token alone, as a message: its tag, its length in one byte, and the token.
_TOKEN_OVERHEAD_BYTES = 2

Request = pb.AuthenticateRequest
Answer = bytes | ServiceError
"""A serialised reply, or why there is none."""


def recalled(  # on the path of every answer: a call with a parcel of arguments would cost more
    services: Services,
    request: Request,
    size: int,
    caller: Caller | None,
    bearer: str,
    peer: Address | None,
) -> Answer | None:
    """The answer from memory; None if it has to be looked up, or is not a plain one.

    `size` is the request's in bytes. `caller` is who asks, by its credential `bearer` and from
    `peer`; None where an installation admits anybody.
    """
    token = request.token
    is_own = caller is not None and token == bearer
    if caller is not None and not (is_own or caller.may_ask):
        return None
    question = NOTHING
    if is_own or size != len(token) + _TOKEN_OVERHEAD_BYTES:
        try:
            question = asked(request, peer if is_own else None)
            if request.min_revision and not _has_reached(services, request.min_revision):
                return None
        except ServiceError:
            return None
    return services.authenticate.recall(token, question, caller, peer)


async def found(
    services: Services,
    request: Request,
    caller: Caller | None,
    bearer: str,
    peer: Address | None,
) -> bytes:
    """The answer, looked up if need be; what is given is as in `recalled`.

    Raises:
        Denied: the token does not stand, or is not good for what is asked.
        ServiceError: CALLER_PERMISSION_MISSING; a field that is not well-formed; too much at once.
        Unavailable: it cannot be decided.
    """
    is_own = caller is not None and request.token == bearer
    if not is_own:
        check_permission(caller)
    await reach(services, request)
    # Whoever presents its own token is the client, and its address is that of this connection.
    question = asked(request, peer if is_own else None)
    return await services.authenticate(request.token, question, caller, peer)


def check_permission(caller: Caller | None) -> None:
    """Who presents another's token needs `auth.authenticate`.

    Raises:
        ServiceError: CALLER_PERMISSION_MISSING.
    """
    if caller is None or caller.may_ask:
        return
    raise ServiceError(
        Reason.CALLER_PERMISSION_MISSING,
        f"the caller's credential lacks the permission {AUTHENTICATE}",
        details={"permission": AUTHENTICATE},
        status=Status.FAILED_PRECONDITION,
    )


def asked(request: Request, known_address: Address | None) -> Asked:
    """What the presented token is to be good for; `known_address` if the request says no other.

    Raises:
        Denied: no token was presented.
        ServiceError: a field is not well-formed, or not implemented.
    """
    convert.refuse_unimplemented(request, "signed_request")
    if not request.token:
        raise Denied(Reason.TOKEN_MALFORMED, "no token was presented")
    if len(request.required_permissions) > _REQUIRED_MAX_COUNT:
        raise invalid_field("required_permissions", f"must be at most {_REQUIRED_MAX_COUNT}")
    for index, permission in enumerate(request.required_permissions):
        convert.permission(permission, f"required_permissions[{index}]")
    return Asked(
        resource=convert.resource(request.resource, "resource"),
        required_permissions=request.required_permissions,
        required_environment=convert.environment(
            request.required_environment, "required_environment"
        ),
        client_address=convert.address(request.client_address, "client_address") or known_address,
    )


def unexpected(error: Exception, call_id: str) -> ServiceError:
    """What is told of an item that failed by a defect of ours; the log has the rest."""
    _log.error("internal error", request_id=call_id, exc_info=error)
    return internal_error()


def result(answer: Answer) -> bytes:
    """An `AuthenticateResult`, as the first field of the message that it stands in.

    Put together from what is serialised: a message in a field is its tag, its length, its bytes.
    """
    if isinstance(answer, bytes):
        return _allowed_beginning(len(answer)) + answer
    denied = _denied(answer)
    return _beginning(len(denied)) + denied


@lru_cache(maxsize=4096)  # most replies are of a few lengths
def _allowed_beginning(size: int) -> bytes:
    """What stands before a reply: it is field 1 of a result, which is field 1 in its turn."""
    inner = _beginning(size)
    return _beginning(len(inner) + size) + inner


def _beginning(size: int) -> bytes:
    """The tag of a field 1 that is a message, and its length, 7 bits a byte from the lowest on."""
    varint = bytearray()
    while size >= 1 << 7:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    varint.append(size)
    return b"\x0a" + varint


def _denied(error: ServiceError) -> bytes:
    details = tuple(error.details.items())
    return _denied_for(error.reason, error.message, details, error.status, error.retry_delay)


@lru_cache(maxsize=1024)
def _denied_for(
    reason: Reason,
    message: str,
    details: tuple[tuple[str, str], ...],
    status: Status,
    retry_delay: timedelta | None,
) -> bytes:
    error = ServiceError(
        reason, message, details=dict(details), status=status, retry_delay=retry_delay
    )
    return pb.AuthenticateResult(denied=denial(error)).SerializeToString()


async def reach(services: Services, request: Request) -> None:
    """See that this server knows of `min_revision`: who waits at the same time waits together.

    Raises:
        InvalidFields: it was not given out by this installation.
        Unavailable: REVISION_UNAVAILABLE.
    """
    if not request.min_revision:
        return
    least = services.seal.position(request.min_revision, "min_revision")
    if not await services.authenticate.replica.caught_up(least):
        raise Unavailable(Reason.REVISION_UNAVAILABLE, "min_revision is not known here (yet)")


def _has_reached(services: Services, revision: str) -> bool:
    least = services.seal.position(revision, "min_revision")
    return services.authenticate.history.applied.has_reached(least)
