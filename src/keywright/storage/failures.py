"""What a failure of the database means: retry, conflict or outage. Decided here only."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from keywright.domain.errors import (
    FieldViolation,
    InvalidFields,
    Reason,
    ServiceError,
    Unavailable,
)


def _exists(field: str, what: str) -> ServiceError:
    return ServiceError(
        Reason.RESOURCE_ALREADY_EXISTS,
        f"{field}: {what}",
        violations=[FieldViolation(field, what)],
    )


# A violated constraint is known by its name. What is not here is a defect of ours: INTERNAL.
_CONSTRAINTS: dict[str, Callable[[], ServiceError]] = {
    "user_id_unique": lambda: _exists("user_id", "a user with this id exists already"),
    "user_email_unique": lambda: _exists("user.email", "a user with this e-mail exists already"),
    "user_external_id_unique": lambda: _exists(
        "user.external_id", "a user with this external id exists already"
    ),
    "user_human_has_email": lambda: InvalidFields(
        FieldViolation("user.email", "a person needs an e-mail address; a service may do without")
    ),
    "key_id_unique": lambda: _exists("key_id", "a key with this id exists already"),
}

# SQLSTATE classes and codes (PostgreSQL documentation, appendix A).
_RETRY = ("40001", "40P01")  # serialisation failure, deadlock: nothing happened, run it again
_OUT_OF_REACH = ("08", "53", "57P", "58", "25006")  # connection, resources, shutdown, read-only
_STATEMENT_TIMEOUT = "57014"
_LOCK_TIMEOUT = "55P03"


class RetryTransaction(Exception):
    """The database undid the transaction and asks for another try."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the failures of asyncpg into ours; no text of the database reaches a caller.

    Raises:
        RetryTransaction: nothing happened; run the transaction again.
        Unavailable: the database cannot be reached, or is full, or is shutting down.
        ServiceError: a named constraint was violated.
    """
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        known = _CONSTRAINTS.get(error.constraint_name or "")
        if known is None:
            raise
        raise known() from error
    except asyncpg.PostgresError as error:
        code = error.sqlstate or ""
        if code in _RETRY:
            raise RetryTransaction from error
        if code == _STATEMENT_TIMEOUT:
            raise ServiceError(
                Reason.DEADLINE_EXCEEDED, "the database did not answer in time; nothing was changed"
            ) from error
        if code == _LOCK_TIMEOUT:
            raise ServiceError(
                Reason.CONCURRENT_UPDATE, "others are changing the same resource; try again"
            ) from error
        if code.startswith(_OUT_OF_REACH):
            raise database_unavailable() from error
        raise
    except (OSError, asyncpg.InterfaceError, asyncio.IncompleteReadError) as error:
        # asyncpg reports a connection that died under it as an InterfaceError.
        raise database_unavailable() from error


def database_unavailable() -> Unavailable:
    """The one answer to an outage (promise G3: never a verdict about a token)."""
    return Unavailable(
        Reason.DATABASE_UNAVAILABLE, "the database cannot be reached at the moment; try again"
    )


def outcome_unknown() -> Unavailable:
    """The reply to a COMMIT was lost: it may have happened."""
    return Unavailable(
        Reason.DATABASE_UNAVAILABLE,
        "the connection to the database was lost while the change was being committed: it may or "
        "may not have happened; read the resource before trying again",
    )
