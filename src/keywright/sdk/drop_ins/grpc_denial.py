"""Whether a gRPC call may be made, and what its client is told if it may not."""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.status import DOMAIN
from keywright.sdk.drop_ins.challenge import is_about_token
from keywright.sdk.drop_ins.presented import (
    API_KEY,
    CredentialReader,
    RefusedCredential,
    address_of,
)
from keywright.sdk.drop_ins.requirements import Requires
from keywright.sdk.errors import (
    KeywrightError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

_token = CredentialReader(api_key_header=API_KEY)
_log = logging.getLogger("keywright")
_TOLD = {
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Asked(NamedTuple):
    """What a call presents and asks for, as `authenticate` takes it."""

    token: Secret
    constraints: dict[str, Any]


class GrpcDenial(NamedTuple):
    """How a call ends that is not let through."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, bytes], ...]


def asked(requires: Requires, metadata: Iterable[tuple[str, Any]], peer: str) -> Asked:
    """What to authenticate for a call.

    The token is in the metadata `authorization: Bearer <token>` or `x-api-key`.

    Raises:
        Unauthenticated: `CREDENTIAL_MISSING`, or `CREDENTIAL_REFUSED` for more than one.
    """
    try:
        token = _token([(name, str(value)) for name, value in metadata if name in _token.headers])
    except RefusedCredential as error:
        raise Unauthenticated(str(error), reason=error.reason) from None
    if not token:
        raise Unauthenticated(
            "present a token in the metadata authorization: Bearer <token>",
            reason="CREDENTIAL_MISSING",
        )
    constraints = {
        "resource": requires.resource,
        "require": requires.permissions,
        "environment": requires.environment,
        "client_address": address_of(peer),
    }
    return Asked(Secret(token), constraints)


def denial(error: KeywrightError) -> GrpcDenial:
    """What a client is told: UNAVAILABLE of everything that was not decided on its token."""
    code = _TOLD[type(error)] if is_about_token(error) else grpc.StatusCode.UNAVAILABLE
    reason, message = error.reason, error.message
    if code is grpc.StatusCode.UNAVAILABLE:
        _log.error("a token was not decided on: %s", error)
        reason, message = "UNAVAILABLE", "it could not be decided; try again"
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    if error.retry_delay is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_delay)
        status.details.add().Pack(retry)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    return GrpcDenial(code, message, trailers)
