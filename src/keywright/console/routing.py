"""From paths to pages: who may see one, whose form it takes, and what becomes of errors."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keywright.console import csrf, troubles
from keywright.console.forms import Form, read_form
from keywright.console.visit import (
    Console,
    PersonVisit,
    Visit,
    person,
    session_of,
    stranger,
)
from keywright.sdk import KeywrightError

AnyVisit = TypeVar("AnyVisit", bound=Visit)
Handler = Callable[[AnyVisit], Awaitable[Response]]


def page(
    path: str,
    show: Handler[PersonVisit] | None = None,
    act: Handler[PersonVisit] | None = None,
    *,
    section: str = "",
    needs: Sequence[str] = (),
) -> Route:
    """A page for people who have signed in.

    `show` answers GET, `act` the POST of the form that it shows. If the session ends before the
    form is sent, the form is shown again, filled in, once the person has signed in anew: a form is
    sent to the path of the page that it is on, and `show` fills it from `visit.form`.

    For who has none of the permissions that it `needs` a page is not there; whether more is
    allowed the server decides.
    """

    async def answer(console: Console, request: Request) -> Response:
        form = await _form(console, request)
        session = session_of(console, request)
        if session is None:
            return troubles.sign_in_first(stranger(console, request, form))
        try:
            visit = await person(console, request, form, session)
        except KeywrightError as error:
            return troubles.page_for(stranger(console, request, form), error)
        visit.section = section
        return await _answer(visit, _only(needs, show), _only(needs, act))

    return _route(path, answer, show, act)


def _only(
    needs: Sequence[str], handler: Handler[PersonVisit] | None
) -> Handler[PersonVisit] | None:
    if handler is None or not needs:
        return handler

    async def checked(visit: PersonVisit) -> Response:
        if not any(visit.me.may(each) for each in needs):
            return troubles.shown(visit, troubles.NOT_FOUND)
        return await handler(visit)

    return checked


def public_page(
    path: str, show: Handler[Visit] | None = None, act: Handler[Visit] | None = None
) -> Route:
    """A page for everybody; to sign in, for example."""

    async def answer(console: Console, request: Request) -> Response:
        return await _answer(stranger(console, request, await _form(console, request)), show, act)

    return _route(path, answer, show, act)


def _route(
    path: str, answer: Callable[[Console, Request], Awaitable[Response]], show: Any, act: Any
) -> Route:
    methods = [method for method, handler in (("GET", show), ("POST", act)) if handler is not None]

    async def endpoint(request: Request) -> Response:
        return await answer(request.app.state.console, request)

    return Route(path, endpoint, methods=methods, name=path)


async def _form(console: Console, request: Request) -> Form:
    if request.method == "POST":
        return await read_form(request, console.config.limits.body_bytes)
    return Form.of_query(request)


async def _answer(
    visit: AnyVisit, show: Handler[AnyVisit] | None, act: Handler[AnyVisit] | None
) -> Response:
    is_post = visit.request.method == "POST"
    if is_post and not csrf.is_ours(visit.form.text(csrf.FIELD), visit.cookie):
        return troubles.stale(visit)
    handler = act if is_post else show
    if handler is None:  # the route has no such method
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        return await handler(visit)
    except KeywrightError as error:
        return troubles.page_for(visit, error)
