"""What the database's settings may lose of what was committed."""

from collections.abc import Sequence

from keywright.storage.connection import Connection

# Who may not see standbys' states is shown none.
_SETTINGS = """
    SELECT current_setting('synchronous_commit') AS commits,
           current_setting('fsync') AS writes,
           EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming') AS has_standby,
           EXISTS (SELECT FROM pg_stat_replication
                   WHERE state = 'streaming' AND sync_state = 'async') AS has_asynchronous
"""


class DurabilityReader:
    """Reads how durable commits are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def warnings(self) -> Sequence[str]:
        """What may be lost, and by which setting; nothing, if all that is acknowledged lasts."""
        row = await self._connection.fetchrow(_SETTINGS)
        assert row is not None, "it selects one row"  # noqa: S101
        found = []
        if row["commits"] == "off":
            found.append(
                "synchronous_commit is off: a crash of the database loses changes that were "
                "answered, revocations among them"
            )
        if row["writes"] == "off":
            found.append("fsync is off: a crash of the database's machine may lose everything")
        if row["has_standby"] and row["commits"] == "local":
            found.append(
                "synchronous_commit is local: a failover loses changes that were answered, "
                "revocations among them"
            )
        if row["has_asynchronous"]:
            found.append(
                "a standby is asynchronous: its promotion loses changes that were answered, "
                "revocations among them; fence the old primary first, or make it synchronous"
            )
        return found
