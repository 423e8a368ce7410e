"""AuthService: why a key or a user may do something, or not."""

from keywright.domain.decision import Asked
from keywright.domain.errors import NotFound, invalid_field
from keywright.domain.names import KeyName, SessionName, UserName, is_id, is_id_or_email
from keywright.domain.steps import Step
from keywright.service.explain import Explained
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import convert
from keywright.wire.errors import denial, reason_value
from keywright.wire.rpc import Rpc


async def explain_access(rpc: Rpc, request: pb.ExplainAccessRequest) -> pb.ExplainAccessResponse:
    """ExplainAccess."""
    name, asked, explain = _name(request.name), _asked(request), rpc.services.explain
    if isinstance(name, KeyName):
        found = await explain.key(rpc.call, name, asked)
    else:
        _refuse_limits(request)
        if isinstance(name, SessionName):
            found = await explain.session(rpc.call, name, asked)
        else:
            found = await explain.user(rpc.call, name, asked)
    return _response(found, rpc.services.seal.revision(found.position))


def _name(text: str) -> KeyName | SessionName | UserName:
    """Of a key, a session or a user. There are no SSH keys yet: each is as one that is missing.

    Raises:
        InvalidFields: it can be the name of none of these.
    """
    parts = text.split("/")
    match parts:
        case ["workspaces", _, "keys", _]:
            return KeyName.parse(text, "name")
        case ["workspaces", _, "users", _]:
            return UserName.parse(text, "name")
        case ["workspaces", _, "sessions", _]:
            return SessionName.parse(text, "name")
        case ["workspaces", workspace, "users", user, "sshKeys", last]:
            well_formed = is_id(workspace) and is_id_or_email(user) and is_id(last)
        case _:
            well_formed = False
    if well_formed:
        raise NotFound(text)
    raise invalid_field(
        "name",
        "must be the name of a key, workspaces/{workspace}/keys/{key}, of a session, "
        "workspaces/{workspace}/sessions/{session}, or of a user, "
        "workspaces/{workspace}/users/{user}",
    )


def _asked(request: pb.ExplainAccessRequest) -> Asked:
    permission = request.permission and convert.permission(request.permission, "permission")
    return Asked(
        resource=convert.resource(request.resource, "resource"),
        required_permissions=[permission] if permission else [],
        required_environment=convert.environment(
            request.required_environment, "required_environment"
        ),
        client_address=convert.address(request.client_address, "client_address"),
    )


def _refuse_limits(request: pb.ExplainAccessRequest) -> None:
    """Refuse what limits keys only: of a user or a session it would be passed over."""
    for field in ("required_environment", "client_address"):
        if getattr(request, field):
            raise invalid_field(field, "must be empty: it is a key that has such limits")


def _response(found: Explained, revision: str) -> pb.ExplainAccessResponse:
    denied = found.explanation.denied
    return pb.ExplainAccessResponse(
        allowed=denied is None,
        denial=None if denied is None else denial(denied),
        steps=map(_step, found.explanation.steps),
        revision=revision,
    )


def _step(step: Step) -> pb.AccessStep:
    return pb.AccessStep(
        rule=pb.AccessRule.Value(f"ACCESS_RULE_{step.rule}"),
        verdict=pb.AccessVerdict.Value(f"ACCESS_VERDICT_{step.verdict}"),
        subject=step.subject,
        values=step.values,
        message=step.message,
        reason=reason_value(step.reason or "UNSPECIFIED"),
    )


HANDLERS = {"ExplainAccess": explain_access}
