"""Why a key, or a user, may do something or not."""

from keywright.sdk.calls.names import Names
from keywright.sdk.connection.flow import Flow, Method, call
from keywright.sdk.values.access import AccessExplanation
from keywright.sdk.values.reading import read
from keywright.v1 import auth_service_pb2 as pb

_EXPLAIN = Method("AuthService", "ExplainAccess", pb.ExplainAccessResponse)


def explain_access(
    names: Names,
    key: str,
    user: str,
    permission: str,
    *,
    resource: str,
    required_environment: str,
    client_address: str,
) -> Flow[AccessExplanation]:
    """See `Client.explain_access`."""
    if bool(key) == bool(user):
        raise ValueError("give a key or a user, and only one of them")
    name = yield from names.key(key) if key else names.user(user)
    request = pb.ExplainAccessRequest(
        name=name,
        permission=permission,
        resource=resource,
        required_environment=required_environment,
        client_address=client_address,
    )
    return read(AccessExplanation, (yield from call(_EXPLAIN, request)))
