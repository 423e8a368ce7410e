"""How many connections the database has for us."""

from dataclasses import dataclass

from keywright.storage.connection import Connection

# A limit of -1 is none. `reserved_connections` is there since PostgreSQL 16.
_LIMITS = """
    SELECT current_setting('max_connections')::int AS most,
           CASE WHEN r.rolsuper THEN 0
                ELSE current_setting('superuser_reserved_connections')::int
                     + coalesce(current_setting('reserved_connections', true)::int, 0)
           END AS reserved,
           nullif(r.rolconnlimit, -1) AS of_role, nullif(d.datconnlimit, -1) AS of_database
    FROM pg_roles r, pg_database d
    WHERE r.rolname = current_user AND d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits that we meet.

    Attributes:
        most: `max_connections` of the server, of which `reserved` are not for us.
        of_role: the limit of our role, if it has one.
        of_database: the limit of our database, if it has one.
    """

    most: int
    reserved: int
    of_role: int | None
    of_database: int | None


class ConnectionLimitReader:
    """Reads what limits connections."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def limits(self) -> ConnectionLimits:
        """The limits as they are now."""
        row = await self._connection.fetchrow(_LIMITS)
        assert row is not None, "whoever asks has a role and a database"  # noqa: S101
        return ConnectionLimits(**row)
