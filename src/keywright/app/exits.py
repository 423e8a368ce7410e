"""How a command of the server runs and ends: what people can mend is told in a line."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

Result = TypeVar("Result")

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


def run_async(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, on the fastest event loop that is here."""
    try:
        import uvloop  # noqa: PLC0415
    except ModuleNotFoundError:  # there is none for Windows
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


@contextmanager
def told() -> Iterator[None]:
    """Tell what people can mend in a line, without a traceback."""
    try:
        from keywright.app.embedded import EmbeddedPostgresError  # noqa: PLC0415
        from keywright.app.listen import ListenError  # noqa: PLC0415
        from keywright.app.mistakes import ConfigurationError  # noqa: PLC0415
        from keywright.domain.errors import ServiceError  # noqa: PLC0415
        from keywright.security.pepper import PepperMismatchError  # noqa: PLC0415
        from keywright.service.installation import (  # noqa: PLC0415
            LeaseLengthError,
            TooFewConnectionsError,
        )
        from keywright.storage.failures import UnexpectedDatabaseError, explained  # noqa: PLC0415
        from keywright.storage.migrate import MigrationError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; a server needs: pip install 'keywright[server]'")
    try:
        yield
    except ConfigurationError as error:
        fail(str(error), EXIT_CONFIGURATION)
    except ServiceError as error:
        fail(explained(error))
    except (
        EmbeddedPostgresError,
        LeaseLengthError,
        ListenError,
        TooFewConnectionsError,
        MigrationError,
        PepperMismatchError,
        UnexpectedDatabaseError,
    ) as error:
        fail(str(error))


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """End with a message on stderr."""
    typer.echo(message, err=True)
    sys.exit(code)
