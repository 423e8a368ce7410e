"""What every page of the console holds to, whichever it is: all of them are gone through."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from keywright.console.app import routes
from keywright.console.static_files import StaticFiles
from tests.support.console import MANY_SIGN_INS, Browser, Console, Page
from tests.support.service import PARENT, Service
from tests.support.sidecar import exchange

_STATIC = StaticFiles()
ROUTES = [each for each in routes(_STATIC) if isinstance(each, Route)]
PATHS = [each.path for each in ROUTES]
PAGES = [each for each in PATHS if each not in {"/healthz", "/static/{name}"}]
POSTS = [each.path for each in ROUTES if "POST" in (each.methods or ())]


@pytest.fixture(scope="module", name="ids")
async def _ids(pages: Console) -> Mapping[str, str]:
    """A key and a session of the admin, for paths that name one."""
    made = await pages.service.admin.create_key(display_name="of the admin")
    return {"id": made.key.name.rpartition("/")[2]}


def filled(path: str, ids: Mapping[str, str]) -> str:
    """A path with something in the places of its names."""
    return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "none"), path)


# --- headers ----------------------------------------------------------------------------------


async def strict_headers(pages: Console) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        browser.client.follow_redirects = False
        for path in [*PATHS, "/nothing", "/static/../config.py"]:
            headers = (await browser.get(filled(path, {}))).response.headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe" not in policy, path
            assert "*" not in policy, path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["x-frame-options"] == "DENY", path
            assert headers["referrer-policy"] == "same-origin", path
            assert headers.get("cache-control") == "no-store", path
            assert "server" not in headers, path


async def test_every_answer_has_the_strict_headers_and_is_kept_by_no_cache(pages: Console) -> None:
    await strict_headers(pages)


async def test_only_files_are_kept_and_their_address_changes_with_them(pages: Console) -> None:
    async with pages.browser() as browser:
        page = await browser.get("/sign-in")
        addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.response.text)
        assert {urlsplit(each).path.rpartition(".")[2] for each in addresses} == {
            "css",
            "js",
            "svg",
        }
        for address in addresses:
            got = (await browser.get(address)).response
            assert got.status_code == 200
            assert "immutable" in got.headers["cache-control"]
            assert got.headers["content-encoding"] == "gzip"
        plain = await browser.get(addresses[0], **{"accept-encoding": "identity"})
        assert "content-encoding" not in plain.response.headers


async def test_no_page_has_a_script_or_a_style_in_it(
    pages: Console, ids: Mapping[str, str]
) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        for path in PAGES:
            text = (await browser.get(filled(path, ids))).response.text
            assert re.search(r"<style|\bstyle=|\bon[a-z]+=\"|javascript:", text) is None, path
            for tag in re.findall(r"<script[^>]*>", text):
                assert 'src="/static/' in tag, path


@pytest.mark.parametrize(
    "target",
    [
        "/static/../config.py",
        "/static/%2e%2e/config.py",
        "/static/..%2fconfig.py",
        "/static/%2e%2e%2f%2e%2e%2fapp.py",
        "/static//etc/passwd",
        "/static/console.css",
        "/static/..\\config.py",
        "/static/console.css%00.js",
    ],
)
async def test_no_path_leads_out_of_the_files(pages: Console, target: str) -> None:
    host = pages.url.removeprefix("http://")
    answer = await exchange(host, target, [("X-Test", "1")])
    assert answer.status in {404, 421}
    lines = [("Connection", "close")]
    answer = await exchange(host, target, lines)
    assert b"import" not in answer.body
    assert b"root:" not in answer.body


# --- forms ------------------------------------------------------------------------------------


async def forms_of_other_sites(pages: Console) -> None:
    """A form that another site sends does nothing, though the browser had sent the cookie along."""
    async with pages.browser(await pages.person("target")) as browser:
        fields = (await browser.get("/new-key")).form().fields
        for told in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": ""},
            {"origin": pages.url.replace("127.0.0.1", "localhost")},
            {"origin": pages.url, "sec_fetch_site": "cross-site"},
            {"origin": pages.url, "sec_fetch_site": "same-site"},
        ):
            page = await browser.post("/new-key", fields, **told)
            assert page.status == 403, told
            assert "kw_live_" not in page.text, told
        assert "No key matches" in (await browser.get("/keys?search=never")).text


async def test_a_form_of_another_site_does_nothing(pages: Console) -> None:
    await forms_of_other_sites(pages)


async def forms_that_were_not_shown(pages: Console) -> None:
    """On every page that takes a form: without the token of this session nothing is done."""
    token = await pages.person("forged")
    made = await pages.service.admin.create_key(user=f"{PARENT}/users/forged")
    key = made.key.name.rpartition("/")[2]
    async with pages.browser(token) as browser, pages.browser(await pages.person("other")) as other:
        foreign = (await other.get("/new-key")).form().fields["csrf_token"]
        for path in POSTS:
            for forged in ({}, {"csrf_token": ""}, {"csrf_token": foreign}, {"csrf_token": "é"}):
                fields = {"token": token, "grace": "none", **forged}
                page = await browser.post(filled(path, {"id": key}), fields)
                assert page.status == 403, (path, forged)
                assert "kw_live_" not in page.response.text, (path, forged)
        assert (await browser.get("/keys")).status == 200, "still signed in"
        assert (await pages.service.admin.get_key(made.key.name)).state == 1, "still active"


async def test_a_form_without_the_token_of_this_session_does_nothing_on_any_page(
    pages: Console,
) -> None:
    await forms_that_were_not_shown(pages)


async def signing_in_as_somebody_else(pages: Console) -> None:
    """A form of an attacker's signs nobody in as the attacker: its token is another visit's."""
    token = await pages.person("lure")
    async with pages.browser() as attacker, pages.browser() as browser:
        fields = (await attacker.get("/sign-in")).form("/sign-in/key").fields
        await browser.get("/sign-in")
        page = await browser.post("/sign-in/key", {**fields, "token": token})
        assert page.status == 403
        assert not browser.session


async def test_nobody_is_signed_in_by_a_form_of_somebody_else(pages: Console) -> None:
    await signing_in_as_somebody_else(pages)


async def test_what_is_no_form_is_refused(pages: Console) -> None:
    async with pages.browser(await pages.person("formless")) as browser:
        told = {"origin": pages.url}
        files = await browser.client.post("/new-key", files={"a": b"b"}, headers=told)
        assert files.status_code == 415
        large = await browser.post("/new-key", {"display_name": "x" * 70_000})
        assert large.status == 413
        bad = await browser.client.post(
            "/new-key",
            content=b"a=%ff",
            headers={**told, "content-type": "application/x-www-form-urlencoded"},
        )
        assert bad.status_code == 400
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert (await browser.client.request(method, "/keys", headers=told)).status_code == 405
        assert (await browser.post("/keys", {})).status in {403, 405}


async def other_names(pages: Console) -> None:
    """A page whose own name was made to stand for this machine (DNS rebinding) sees nothing."""
    async with pages.browser() as browser:
        for host in ("evil.example", "evil.example:7701", "127.0.0.1.evil.example", "", "[::1"):
            response = await browser.client.get("/sign-in", headers={"host": host})
            assert response.status_code in {400, 421}, host
        for host in ("localhost:7701", "127.0.0.1", "[::1]:7701", "keys.localhost"):
            response = await browser.client.get("/sign-in", headers={"host": host})
            assert response.status_code == 200, host


async def test_over_plain_http_only_names_of_this_machine_are_answered(pages: Console) -> None:
    await other_names(pages)


# --- what is not there ------------------------------------------------------------------------


def seen(page: Page) -> tuple[int, str]:
    """What a person sees, but for what differs from call to call."""
    return page.status, re.sub(r"Call [0-9a-f]+", "", page.text)


async def foreign_is_missing(pages: Console) -> None:
    """Keys and sessions of others look as if they were not there, on every page."""
    token = await pages.person("curious")
    made = await pages.service.admin.create_key(display_name="secret plan")
    foreign = made.key.name.rpartition("/")[2]
    me = await pages.service.admin.authenticate(pages.service.admin_token)
    async with pages.browser(token) as browser, pages.browser(pages.service.admin_token) as admin:
        session = (await pages.service.admin.authenticate(admin.session)).credential.name
        ids = [foreign, me.credential.name.rpartition("/")[2], session.rpartition("/")[2]]
        for path in [each for each in PATHS if "{id}" in each]:
            missing = await browser.get(filled(path, {"id": "nosuchthing"}))
            assert missing.status == 404, path
            for each in ids:
                page = await browser.get(filled(path, {"id": each}))
                assert seen(page) == seen(missing), path
                await _nothing_done(browser, filled(path, {"id": each}), path)
        for odd in ("%00", "a%20b", "%F0%9F%94%91", "x" * 300, "-"):
            assert (await browser.get(f"/keys/{odd}")).status == 404, odd
    assert (await pages.service.admin.get_key(made.key.name)).state == 1


async def _nothing_done(browser: Browser, path: str, route: str) -> None:
    if route not in POSTS:
        return
    csrf = (await browser.get("/keys")).form("/sign-out").fields["csrf_token"]
    page = await browser.post(path, {"csrf_token": csrf, "grace": "none"})
    assert page.status == 404, path


async def test_what_is_not_yours_is_as_if_it_were_not_there(pages: Console) -> None:
    await foreign_is_missing(pages)


async def test_a_page_that_there_is_not_is_a_page_that_says_so(pages: Console) -> None:
    async with pages.browser() as browser:
        page = await browser.get("/nothing")
        assert page.status == 404
        assert "There is nothing here" in page.text


@pytest.mark.parametrize("path", [each for each in PAGES if not each.startswith("/sign-in")])
async def test_nothing_is_shown_to_who_is_not_signed_in(pages: Console, path: str) -> None:
    async with pages.browser() as browser:
        page = await browser.get(filled(path, {}))
        assert page.path.startswith("/sign-in")


async def test_the_server_is_away_and_the_page_says_so(pages: Console) -> None:
    """With a session of before: nobody is signed out by an outage."""
    async with pages.browser(await pages.person("waits")) as browser:
        session = browser.session
    gone = Service(pages.service.process, "", "127.0.0.1:1", "", pages.service.channel)
    lost = Console(pages.process, "", gone, pages.directory, pages.environ)
    async with lost.another(MANY_SIGN_INS) as away, away.browser() as browser:
        browser.client.cookies.set("keywright", session, domain="127.0.0.1", path="/")
        page = await browser.get("/keys")
        assert page.status == 503
        assert "out of reach" in page.text
        assert browser.session == session
