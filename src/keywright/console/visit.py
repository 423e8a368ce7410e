"""Who asks: somebody, or a person who has signed in and for whom the console acts."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from keywright.console import csrf, navigation
from keywright.console.addresses import client_address
from keywright.console.attempts import Attempts
from keywright.console.config import Config
from keywright.console.cookies import BEFORE_SIGN_IN, SESSION
from keywright.console.forms import Form
from keywright.console.provider import Provider
from keywright.programs.log import Log
from keywright.sdk import CredentialKind, Principal, Secret, Unauthenticated
from keywright.sdk.client import AsyncClient

_RANDOM_BYTES = 32
HOME = "/"


@dataclass(frozen=True, slots=True)
class Console:
    """What every request is answered with; none of it is about a person.

    `anonymous` is a client without a credential: the connection that all act over.
    """

    config: Config
    anonymous: AsyncClient
    templates: Environment
    provider: Provider | None
    attempts: Attempts
    log: Log


@dataclass(slots=True)
class Visit:
    """A request of somebody, signed in or not.

    Attributes:
        cookie: what the browser's forms are bound to.
        form: what was sent, with a POST; else what the address fills in.
        cookies: those to set with the answer.
    """

    console: Console
    request: Request
    cookie: Secret
    form: Form
    section: str = ""
    cookies: "list[tuple[Any, Secret]]" = field(default_factory=list)

    @property
    def address(self) -> str:
        """The client's address; empty if nothing tells it."""
        return client_address(self.request.scope, self.console.config.trusted_proxies)

    @property
    def user_agent(self) -> str:
        """What browser it says it is, as much as the server takes."""
        told = self.request.headers.get("user-agent", "")[:1000]
        return "".join(each for each in told if each.isprintable())

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return self.request.url.path

    @property
    def here(self) -> str:
        """What shows this again: with a POST, its form as it was filled in."""
        query = self.form.query()
        return f"{self.path}?{query}" if query else self.path

    def id(self, name: str = "id") -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def page(self, template: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
        """An answer that is a page, made from a template and what it is about."""
        content = self.console.templates.get_template(template).render(
            {**self._context(), **context}
        )
        return self.answered(HTMLResponse(content, status))

    def redirect(self, target: str) -> Response:
        """An answer that leads to another page of ours."""
        return self.answered(RedirectResponse(target, HTTPStatus.SEE_OTHER))

    def answered(self, response: Response) -> Response:
        """The answer, with the cookies that go with it."""
        for cookie, value in self.cookies:
            cookie.write(response, value, is_secure=self.console.config.is_secure)
        return response

    def _context(self) -> Mapping[str, Any]:
        return {
            "visit": self,
            "form": self.form,
            "csrf_token": csrf.token_for(self.cookie),
            "me": None,
            "sections": (),
        }


@dataclass(slots=True)
class PersonVisit(Visit):
    """A request of a person who has signed in.

    Attributes:
        client: acts as this person, and can do no more.
        me: who that is, and what they may do, as of now.
    """

    client: AsyncClient = field(kw_only=True)
    me: Principal = field(kw_only=True)

    def _context(self) -> Mapping[str, Any]:
        return {
            **super(PersonVisit, self)._context(),
            "me": self.me,
            "sections": navigation.sections_for(self.me),
        }


def stranger(console: Console, request: Request, form: Form) -> Visit:
    """A visit of who has not signed in; the browser gets a cookie that forms are bound to."""
    cookie = BEFORE_SIGN_IN.read(request, is_secure=console.config.is_secure)
    if cookie is not None:
        return Visit(console, request, cookie, form)
    cookie = Secret(secrets.token_urlsafe(_RANDOM_BYTES))
    return Visit(console, request, cookie, form, cookies=[(BEFORE_SIGN_IN, cookie)])


async def person(console: Console, request: Request, form: Form, session: Secret) -> PersonVisit:
    """The visit of the person whose session this is, asked of the server now.

    Raises:
        KeywrightError: the session does not stand, or nobody can say.
    """
    me = await console.anonymous.acting_with(session).whoami()
    if me.credential.kind is not CredentialKind.SESSION:  # a key never ends by a sign-out
        raise Unauthenticated("this is no session", reason="TOKEN_UNKNOWN")
    client = console.anonymous.acting_with(session, workspace=me.workspace)
    return PersonVisit(console, request, session, form, client=client, me=me)


def session_of(console: Console, request: Request) -> Secret | None:
    """The session's token that a request brings along; None if there is none."""
    return SESSION.read(request, is_secure=console.config.is_secure)


def local(target: str) -> str:
    r"""Where to go on, if that is a page of ours; else the first one.

    Browsers read `//host`, `/\\host` and some with tabs in them as other sites.
    """
    url = urlsplit(target)
    is_ours = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and target.isascii()
        and target.isprintable()
        and (url.scheme, url.netloc) == ("", "")
    )
    return target if is_ours else HOME
