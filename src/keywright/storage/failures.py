"""What a failure of the database means: retry, conflict or outage. Decided here only."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from keywright.domain.errors import (
    Reason,
    ServiceError,
    Unavailable,
    already_exists,
    invalid_field,
)


def _changed_meanwhile() -> ServiceError:
    return ServiceError(
        Reason.CONCURRENT_UPDATE, "another call deleted what this one names; try again"
    )


# A violated constraint is known by its name. What is not here is a defect of ours: INTERNAL.
_CONSTRAINTS: dict[str, Callable[[], ServiceError]] = {
    "user_id_unique": lambda: already_exists("user_id", "a user with this id exists already"),
    "user_email_unique": lambda: already_exists(
        "user.email", "a user with this e-mail exists already"
    ),
    "user_external_id_unique": lambda: already_exists(
        "user.external_id", "a user with this external id exists already"
    ),
    "user_human_has_email": lambda: invalid_field(
        "user.email", "a person needs an e-mail address; a service may do without"
    ),
    "key_id_unique": lambda: already_exists("key_id", "a key with this id exists already"),
    "role_id_unique": lambda: already_exists("role_id", "a role with this id exists already"),
    "grant_id_unique": lambda: already_exists("grant_id", "a grant with this id exists already"),
    "grant_once": lambda: already_exists(
        "grant", "the user has this role on this resource already"
    ),
    "user_role_exists": _changed_meanwhile,
    "grant_role_exists": _changed_meanwhile,
    "grant_user_exists": _changed_meanwhile,
    "key_role_exists": _changed_meanwhile,
    "key_owner_exists": _changed_meanwhile,
    "key_creator_exists": _changed_meanwhile,
    "key_secret_format_exists": _changed_meanwhile,
}

# SQLSTATE classes and codes (PostgreSQL documentation, appendix A).
_RETRY = ("40001", "40P01")  # serialisation failure, deadlock: nothing happened, run it again
_OUT_OF_REACH = ("08", "53", "57P", "58", "25006")  # connection, resources, shutdown, read-only
_STATEMENT_TIMEOUT = "57014"
_LOCK_TIMEOUT = "55P03"

# asyncpg reports a connection that died under it as any of these; a timeout is an OSError.
_CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncio.IncompleteReadError,
)
DRIVER_ERRORS = (asyncpg.PostgresError, *_CONNECTION_ERRORS)
"""What asyncpg raises when a statement fails or a connection dies."""


class UnexpectedDatabaseError(Exception):
    """The database refused a statement for a reason that nobody foresaw: a defect, or its set-up.

    Says the SQLSTATE and PostgreSQL's message. Not its DETAIL, which shows rows with their hashes.
    """

    def __init__(self, error: asyncpg.PostgresError) -> None:
        constraint = f", constraint {error.constraint_name}" if error.constraint_name else ""
        super().__init__(f"{error.message} (SQLSTATE {error.sqlstate}{constraint})")


class RetryTransaction(Exception):
    """The database undid the transaction and asks for another try."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the failures of asyncpg into ours; no text of the database reaches a caller.

    Raises:
        RetryTransaction: nothing happened; run the transaction again.
        Unavailable: the database cannot be reached, or is full, or is shutting down.
        ServiceError: a named constraint was violated, or time is over.
        UnexpectedDatabaseError: anything else that the database refuses.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        known = _meaning(error)
        if known is None:
            raise UnexpectedDatabaseError(error) from None
        raise known from error
    except _CONNECTION_ERRORS as error:
        if _is_defect(error):
            raise
        raise database_unavailable() from error


@contextmanager
def committing() -> Iterator[None]:
    """Around a COMMIT: tell what did not happen from what nobody knows.

    An ERROR of the database means that it rolled back, and is left to `translated`. After anything
    else (FATAL, PANIC, no reply) the transaction may be committed, and after SQLSTATE 40003 too.

    Raises:
        Unavailable: nobody knows.
    """
    try:
        yield
    except asyncpg.StatementCompletionUnknownError as error:
        raise outcome_unknown() from error
    except asyncpg.PostgresError as error:
        if error.severity_en == "ERROR":
            raise
        raise outcome_unknown() from error
    except _CONNECTION_ERRORS as error:
        raise outcome_unknown() from error


def database_unavailable() -> Unavailable:
    """The one answer to an outage (promise G3: never a verdict about a token)."""
    return Unavailable(
        Reason.DATABASE_UNAVAILABLE, "the database cannot be reached at the moment; try again"
    )


def connections_exhausted() -> ServiceError:
    """Every connection was in use for as long as a caller may wait for one."""
    return ServiceError(
        Reason.OVERLOADED, "all connections to the database are in use; nothing was done; try again"
    )


def outcome_unknown() -> Unavailable:
    """The reply to a COMMIT was lost: it may have happened."""
    return Unavailable(
        Reason.DATABASE_UNAVAILABLE,
        "the connection to the database was lost while the change was being committed: it may or "
        "may not have happened; read the resource before trying again",
    )


def explained(error: ServiceError) -> str:
    """What an operator is told of a failure: with its cause, which callers never see."""
    cause = error.__cause__
    if cause is None:
        return error.message
    return f"{error.message} ({str(cause) or type(cause).__name__})"


def _meaning(error: asyncpg.PostgresError) -> Exception | None:
    """What a failed statement means; None if it is a defect of ours."""
    code = error.sqlstate or ""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        violated = _CONSTRAINTS.get(error.constraint_name or "")
        return None if violated is None else violated()
    # A plan that a migration made invalid: asyncpg plans anew, but cannot within a transaction.
    if code in _RETRY or isinstance(error, asyncpg.InvalidCachedStatementError):
        return RetryTransaction()
    if code == _STATEMENT_TIMEOUT:
        return ServiceError(
            Reason.DEADLINE_EXCEEDED, "the database did not answer in time; nothing was changed"
        )
    if code == _LOCK_TIMEOUT:
        return ServiceError(
            Reason.CONCURRENT_UPDATE, "others are changing the same resource; try again"
        )
    # FATAL ends a session, or refuses one: a wrong password, a database that is not there (yet).
    if code.startswith(_OUT_OF_REACH) or error.severity_en in {"FATAL", "PANIC"}:
        return database_unavailable()
    return None


def _is_defect(error: Exception) -> bool:
    """Whether asyncpg refused an argument of ours: it says so with an InterfaceError, too."""
    return isinstance(error, ValueError) and not isinstance(error, asyncpg.ClientConfigurationError)
