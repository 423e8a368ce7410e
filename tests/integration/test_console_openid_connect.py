"""Signing in to the console with a real, certified OpenID Connect provider."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest

from keywright.v1 import session_pb2
from tests.support.console import MANY_SIGN_INS, Browser, Console, Page, console
from tests.support.database import Cluster
from tests.support.identity import CLIENT, Identity, identity
from tests.support.proxies import free_port
from tests.support.service import PARENT, service

pytestmark = pytest.mark.slow

BACK = "/sign-in/openid-connect/callback"


@dataclass
class SignedUp:
    """A console, and the provider that its people sign in with."""

    pages: Console
    provider: Identity


@pytest.fixture(scope="module", name="both")
async def _both(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SignedUp]:
    directory = tmp_path_factory.mktemp("console")
    async with (
        identity() as provider,
        service(await cluster.migrated(), **provider.server_settings) as running,
    ):
        settings = provider.console_settings(directory) + MANY_SIGN_INS
        async with console(running, directory, settings) as pages:
            await running.admin.create_user("ann", "guest")
            await running.admin.create_user("ben", "member", external_id="ben-of-example")
            yield SignedUp(pages, provider)


async def _signed_in_there(client: httpx2.AsyncClient, page: Page, login: str) -> Page:
    """Fill in the provider's forms, as a person of this name, until it leads back."""
    while "/interaction/" in str(page.response.url):
        form = next(each for each in page.forms if "post" in each.method)
        fields = {
            **form.fields,
            **({"login": login, "password": "x"} if "login" in form.fields else {}),
        }
        page = Page(await client.post(urljoin(str(page.response.url), form.action), data=fields))
    return page


async def entered(browser: Browser, login: str, target: str = "") -> Page:
    """Sign in as somebody of the provider's; the page that this leads to."""
    at_home = await browser.get(f"/sign-in?next={target}")
    (link,) = (each for each in at_home.links if each.startswith("/sign-in/openid-connect"))
    page = await _signed_in_there(browser.client, await browser.get(link), login)
    if "You are on your way" in page.text:
        return await browser.get(page.links[-1])
    return page


async def test_a_guest_signs_in_by_a_verified_address(both: SignedUp) -> None:
    async with both.pages.browser() as browser:
        page = await entered(browser, "ann@example.com")
        assert page.path == "/keys"
        assert "ann@example.com" in page.text
        assert browser.session.startswith("kw_session_")
    listed = await both.pages.service.admin.do("ListSessions", parent=PARENT)
    methods = {each.user_email: each.method for each in listed.sessions}
    assert methods["ann@example.com"] == session_pb2.SIGN_IN_METHOD_OPENID_CONNECT


async def test_a_person_is_found_by_the_external_id_and_led_on(both: SignedUp) -> None:
    async with both.pages.browser() as browser:
        page = await entered(browser, "ben-of-example", "/new-key?display_name=Kept")
        assert page.path.startswith("/new-key")
        assert page.form().fields["display_name"] == "Kept"
        assert "ben@example.com" in page.text


async def test_who_is_nobody_here_is_told_so(both: SignedUp) -> None:
    async with both.pages.browser() as browser:
        page = await entered(browser, "stranger@example.com")
        assert page.status == 403
        assert "Nobody here has this identity" in page.text
        assert not browser.session


async def test_the_request_has_pkce_a_state_and_a_nonce_that_differ_each_time(
    both: SignedUp,
) -> None:
    seen = []
    async with both.pages.browser() as browser:
        browser.client.follow_redirects = False
        for _ in range(2):
            page = await browser.get("/sign-in/openid-connect")
            asked = parse_qs(urlsplit(page.response.headers["location"]).query)
            assert asked["code_challenge_method"] == ["S256"]
            assert asked["response_type"] == ["code"]
            seen.append((asked["state"], asked["nonce"], asked["code_challenge"]))
            cookie = page.response.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
    assert not [one for one, other in zip(*seen, strict=True) if one == other]


async def test_an_answer_that_another_browser_has_asked_for_signs_nobody_in(
    both: SignedUp,
) -> None:
    """A link to the last step of an attacker's sign-in does not sign the victim in as them."""
    async with both.pages.browser() as attacker, both.pages.browser() as victim:
        stopped: list[str] = []

        async def stop(request: httpx2.Request) -> None:
            if request.url.path == BACK:
                stopped.append(str(request.url))
                raise httpx2.ConnectError("stopped")

        attacker.client.event_hooks = {"request": [stop]}
        with pytest.raises(httpx2.ConnectError):
            await entered(attacker, "ann@example.com")
        back = stopped[0].removeprefix(both.pages.url)
        for _ in range(2):
            page = await victim.get(back)
            assert page.status == 403
            assert "was not begun in this browser" in page.text
            assert not victim.session
            await victim.client.get("/sign-in/openid-connect", follow_redirects=False)


@pytest.mark.parametrize("query", ["", "?state=x&code=y", "?error=access_denied"])
async def test_a_step_that_was_not_begun_is_told_so(both: SignedUp, query: str) -> None:
    async with both.pages.browser() as browser:
        page = await browser.get(f"{BACK}{query}")
        assert page.status == 403
        assert not browser.session


async def test_a_code_is_no_good_to_a_provider_that_is_away(both: SignedUp) -> None:
    settings = f"""
[openid_connect]
issuer = "http://127.0.0.1:{free_port()}"
client_id = "{CLIENT}"
workspace = "default"
"""
    async with both.pages.another(settings) as lonely, lonely.browser() as browser:
        page = await browser.get("/sign-in/openid-connect")
        assert page.status == 503
        assert "cannot be reached" in page.text
