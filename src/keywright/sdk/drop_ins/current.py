"""Who the request that is being answered comes from."""

from contextvars import ContextVar

from keywright.sdk.values.results import Principal

current: ContextVar[Principal | None] = ContextVar("keywright_principal", default=None)


def current_principal() -> Principal:
    """The principal of the request that is being answered.

    Raises:
        LookupError: there is none: the route or method is public, or nothing authenticates.
    """
    principal = current.get()
    if principal is None:
        raise LookupError("nobody was authenticated here")
    return principal
