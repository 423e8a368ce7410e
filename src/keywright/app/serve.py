"""`keywright serve`: the server on a database that is provided."""

from keywright.app.config import Config
from keywright.app.server import listening, until_signalled


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ListenError: an address cannot be listened on.
        MigrationError: the database and this program do not fit.
    """
    assert config.database_url is not None, "verify() asks for it"  # noqa: S101
    async with listening(config, config.database_url.reveal()) as server:
        await until_signalled(server.stopped)
