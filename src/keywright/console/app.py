"""The console put together."""

import traceback
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from keywright.console import troubles
from keywright.console.attempts import Attempts
from keywright.console.config import Config
from keywright.console.forms import Form
from keywright.console.guards import App, Guards
from keywright.console.pages import PAGES, openid_connect
from keywright.console.provider import Provider
from keywright.console.rendering import create_templates
from keywright.console.static_files import StaticFiles
from keywright.console.visit import Console, stranger
from keywright.programs.log import Log
from keywright.sdk.client import AsyncClient

_FRAMES = 6


def create_app(config: Config, anonymous: AsyncClient, log: Log) -> App:
    """An ASGI application.

    Args:
        config: with the address that browsers see.
        anonymous: a client without a credential; whoever signs in acts over its connection.
        log: gets a line for each request.
    """
    static = StaticFiles()
    app = Starlette(
        routes=routes(static),
        exception_handlers={HTTPException: _refused, Exception: _broken},
    )
    provider = None
    if config.openid_connect is not None:
        back = f"{config.public_url}{openid_connect.CALLBACK}"
        provider = Provider(config.openid_connect, back)
    app.state.console = Console(
        config,
        anonymous,
        create_templates(static),
        provider,
        Attempts(config.limits.sign_ins_per_minute),
        log,
    )
    return Guards(app, config, log)


def routes(static: StaticFiles) -> list[BaseRoute]:
    """Everything that there is; tests go through all of it."""
    return [
        Route("/healthz", _alive),
        Route("/static/{name}", static.serve),
        *PAGES,
    ]


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("alive\n")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  it is registered for these
    trouble = troubles.NOT_FOUND
    if error.status_code != HTTPStatus.NOT_FOUND:
        status = HTTPStatus(error.status_code)
        trouble = troubles.Trouble(status, status.phrase, error.detail)
    return troubles.shown(stranger(request.app.state.console, request, Form()), trouble)


async def _broken(request: Request, error: Exception) -> Response:
    console: Console = request.app.state.console
    # Where it is, and not what it says: there may be a secret in that.
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{Path(each.filename).name}:{each.lineno}" for each in frames]
    console.log.write("fault", path=request.url.path, error=type(error).__name__, at=places)
    return troubles.shown(stranger(console, request, Form()), troubles.FAULT)
