"""AuthService."""

from keywright.domain.decision import Asked
from keywright.domain.errors import Denied, Reason, ServiceError, Status, Unavailable, invalid_field
from keywright.domain.keys import Address
from keywright.domain.permissions import AUTHENTICATE
from keywright.service.authenticate import Authenticated
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.interceptors.caller import bearer_token
from keywright.wire.rpc import Rpc

_REQUIRED_MAX_COUNT = 100


async def authenticate(rpc: Rpc, request: pb.AuthenticateRequest) -> pb.AuthenticateResponse:
    """Authenticate."""
    convert.refuse_unimplemented(request, "signed_request")
    own = rpc.caller is not None and request.token == bearer_token(rpc)
    if not own:
        _check_caller(rpc)
    seal = rpc.services.seal
    least = seal.position(request.min_revision, "min_revision") if request.min_revision else None
    # Whoever presents its own token is the client, and its address is that of this connection.
    asked = _asked(request, rpc.peer if own else None)
    found = await rpc.services.authenticate(request.token, asked, on_behalf_of=rpc.caller)
    if least is not None and not found.position.has_reached(least):
        raise Unavailable(Reason.REVISION_UNAVAILABLE, "min_revision is not known here (yet)")
    return _response(found, seal.revision(found.position))


def _check_caller(rpc: Rpc) -> None:
    """Who presents another's token needs `auth.authenticate`."""
    if rpc.caller is None or rpc.caller.may(AUTHENTICATE):
        return
    raise ServiceError(
        Reason.CALLER_PERMISSION_MISSING,
        f"the caller's credential lacks the permission {AUTHENTICATE}",
        details={"permission": AUTHENTICATE},
        status=Status.FAILED_PRECONDITION,
    )


def _asked(request: pb.AuthenticateRequest, known_address: Address | None) -> Asked:
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


def _response(found: Authenticated, revision: str) -> pb.AuthenticateResponse:
    principal = found.principal
    key = principal.credential.key
    workspace = f"workspaces/{principal.workspace_id}"
    return pb.AuthenticateResponse(
        workspace=workspace,
        user=replies.principal_user(principal),
        credential=replies.credential(principal),
        environment=key.environment,
        role=replies.role_of(principal.user),
        permissions=sorted(principal.permissions.patterns),
        scopes=key.narrowing.scopes,
        resource=key.narrowing.resource,
        rate_limit=replies.rate_limit(key.rate_limit),
        expire_time=replies.timestamp(key.expire_time),
        revision=revision,
        allowed_networks=map(str, key.narrowing.allowed_networks),
    )


HANDLERS = {"Authenticate": authenticate}
