"""A real `keywright console` process, and people's browsers without scripts."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx2

from tests.support.service import ADMIN, Process, RefusedError, Service, running

MANY_SIGN_INS = "[limits]\nsign_ins_per_minute = 1000\n"
"""Settings of a console that many people sign in to from one address: tests."""


@dataclass
class FilledForm:
    """A form of a page, with what is in its fields: several values of one are a line each."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """An answer, and what a person sees of it."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__()
        self.response = response
        self.forms: list[FilledForm] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._select = ""
        self._textarea = ""
        self.feed(response.text)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.response.status_code

    @property
    def path(self) -> str:
        """Where this is, with its query."""
        url = self.response.url
        return url.raw_path.decode()

    @property
    def text(self) -> str:
        """All words, one space between them."""
        return " ".join(" ".join(self.words).split())

    def form(self, action: str = "") -> FilledForm:
        """The form that is sent to this path; without one, that of the page itself."""
        here = urlsplit(self.path).path
        return next(
            each
            for each in self.forms
            if each.method == "post"
            and urlsplit(urljoin(here, each.action)).path == (action or here)
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note fields and links."""
        given = {name: value or "" for name, value in attrs}
        name, value = given.get("name", ""), given.get("value", "")
        fields = self.forms[-1].fields if self.forms else {}
        if tag == "form":
            self.forms.append(FilledForm(given.get("method", "get"), given.get("action", "")))
        elif tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "input" and name:
            if given.get("type") not in {"radio", "checkbox"} or "checked" in given:
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        elif tag == "select":
            self._select = name
        elif tag == "option" and ("selected" in given or self._select not in fields):
            fields[self._select] = value
        elif tag == "textarea":
            self._textarea = name
            fields[name] = f"{fields[name]}\n" if name in fields else ""

    def handle_endtag(self, tag: str) -> None:
        """Fields end."""
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        """Note words."""
        if self._textarea:
            self.forms[-1].fields[self._textarea] += data.lstrip("\n")
        else:
            self.words.append(data)


@dataclass
class Browser:
    """Keeps cookies, follows redirects, and says with each form from which page it is."""

    client: httpx2.AsyncClient
    url: str

    async def get(self, path: str, **headers: str) -> Page:
        """Go to a page."""
        response = await self.client.get(path, headers=headers)
        return Page(response)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        """Send fields, as a form of a page of this site is sent."""
        told = {"origin": self.url, "sec-fetch-site": "same-origin", **headers}
        sent = {name.replace("_", "-"): value for name, value in told.items() if value}
        return Page(await self.client.post(path, data=dict(fields), headers=sent))

    async def send(self, page: Page, action: str = "", **fields: str) -> Page:
        """Fill in a form of a page, and send it."""
        form = page.form(action)
        return await self.post(urljoin(page.path, form.action), {**form.fields, **fields})

    async def sign_in(self, token: str) -> Self:
        """Sign in by a key."""
        page = await self.send(await self.get("/sign-in"), "/sign-in/key", token=token)
        assert page.status == 200, page.text
        assert page.path in {"/keys", "/overview"}, page.text
        return self

    @property
    def session(self) -> str:
        """The session's token; empty if there is none."""
        return self.client.cookies.get("keywright") or ""


@dataclass
class Console:
    """A console that listens."""

    process: Process
    url: str
    service: Service
    directory: Path
    environ: Mapping[str, str]

    @asynccontextmanager
    async def another(self, settings: str) -> AsyncIterator["Console"]:
        """One more console of the same build, with other settings."""
        directory = self.directory / uuid4().hex
        directory.mkdir()
        async with console(self.service, directory, settings, **self.environ) as running:
            yield running

    @asynccontextmanager
    async def browser(self, token: str = "") -> AsyncIterator[Browser]:
        """A browser of its own; with a token, signed in by it."""
        async with httpx2.AsyncClient(
            base_url=self.url, follow_redirects=True, timeout=30
        ) as client:
            browser = Browser(client, self.url)
            yield await browser.sign_in(token) if token else browser

    async def person(self, user_id: str, role: str = "member") -> str:
        """A user, new or not; returns the token of a key that signs in."""
        try:
            await self.service.admin.create_user(user_id, role)
        except RefusedError as error:
            assert error.reason == "RESOURCE_ALREADY_EXISTS"  # noqa: PT017  by an earlier test
        made = await self.service.admin.create_key(user=f"{ADMIN.rpartition('/')[0]}/{user_id}")
        return str(made.token)

    async def link(self, user_id: str) -> str:
        """What a link for a user carries."""
        name = f"{ADMIN.rpartition('/')[0]}/{user_id}"
        return str((await self.service.admin.do("CreateSignInLink", user=name)).link_token)


def environment(uri: str) -> Mapping[str, str]:
    """The environment of a console: a server, and no key."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")}
    return {**own, "KEYWRIGHT_URI": uri}


@asynccontextmanager
async def console(
    service: Service, directory: Path, settings: str = "", **environ: str
) -> AsyncIterator[Console]:
    """A console for a server; `settings` are more lines of its file."""
    file = directory / "console.toml"
    listen = "" if "listen =" in settings else 'listen = "127.0.0.1:0"\n'
    file.write_text(f"{listen}{settings}")
    argv = [sys.executable, "-m", "keywright", "console", "--config", str(file)]
    async with running(argv, {**environment(service.uri), **environ}) as process:
        line = await process.logged("listening")
        yield Console(process, f"http://{line['http']}", service, directory, environ)
