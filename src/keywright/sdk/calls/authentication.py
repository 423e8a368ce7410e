"""Who presents a token: the one call that everything else rests on."""

from collections.abc import Sequence

from keywright.sdk.connection.flow import Flow, Method, call
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import Principal
from keywright.v1 import auth_service_pb2 as pb

_AUTHENTICATE = Method("AuthService", "Authenticate", pb.AuthenticateResponse)


def authenticate(
    token: str,
    *,
    resource: str = "",
    required_permissions: Sequence[str] = (),
    required_environment: str = "",
    client_address: str = "",
) -> Flow[Principal]:
    """See `Client.authenticate`."""
    request = pb.AuthenticateRequest(
        token=token,
        resource=resource,
        required_permissions=required_permissions,
        required_environment=required_environment,
        client_address=client_address,
    )
    return read(Principal, (yield from call(_AUTHENTICATE, request)))
