"""Management calls that are denied get into the audit trail, those of a flood together.

What a caller may not do, or what is not there for it, is what an operator looks for after an
incident. Decisions about presented tokens are no calls of this kind: they are counted as usage.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from keywright.domain.errors import STATUS, ServiceError, Status
from keywright.domain.names import WorkspaceName
from keywright.domain.token import redact
from keywright.service.notices import DeniedCall
from keywright.wire.rpc import Reply, Rpc

_DENIED = frozenset({Status.PERMISSION_DENIED, Status.NOT_FOUND})
_NAME_MAX_LENGTH = 512
_NAME = re.compile(r"workspaces/[a-z0-9-]{1,63}(?:/[A-Za-z]{1,32}/[^\s/]{1,254}){0,2}")


async def denied_calls(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Notice a call that is denied to a known caller."""
    try:
        return await proceed(rpc)
    except ServiceError as error:
        # By what the reason is in itself: AuthService has codes of its own for callers.
        if rpc.caller is not None and not rpc.method.decides and STATUS[error.reason] in _DENIED:
            caller = rpc.caller
            resource = _named(rpc.request) or str(WorkspaceName(caller.workspace_id))
            rpc.services.notices.call_denied(
                DeniedCall(caller, rpc.method.name, error.reason, resource, rpc.peer, rpc.call_id)
            )
        raise


def _named(request: Any) -> str:
    """The name of what a request is about; empty if it has none that is one."""
    if request is None:
        return ""
    fields = request.DESCRIPTOR.fields_by_name
    if "keys" in fields and request.keys:  # a list about some of what the parent has
        return _well_formed(request.keys[0])
    for field in ("name", "parent", "user"):
        if field in fields and fields[field].message_type is None:
            return _well_formed(getattr(request, field))
    for field, descriptor in fields.items():
        inner = descriptor.message_type
        if inner is not None and not descriptor.is_repeated and "name" in inner.fields_by_name:
            return _well_formed(getattr(request, field).name)
    return ""


def _well_formed(name: str) -> str:
    # Somebody may have put a token where a name belongs (promise G9).
    name = redact(name)
    return name if len(name) <= _NAME_MAX_LENGTH and _NAME.fullmatch(name) else ""
