"""Signing in to the console: what lets a person in, what a browser keeps of it, and its end."""

import pytest

from keywright.v1 import session_pb2
from tests.support.console import Console, Page
from tests.support.service import PARENT

SESSION = "keywright"


def set_cookies(page: Page) -> dict[str, str]:
    """The attributes of each cookie that was set on the way to a page, in lower case."""
    found = {}
    for response in [*page.response.history, page.response]:
        for line in response.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            found[name] = rest.partition(";")[2].lower()
    return found


# --- by a key ---------------------------------------------------------------------------------


async def cookies_that_scripts_cannot_read(pages: Console) -> None:
    async with pages.browser() as browser:
        token = await pages.person("flags")
        page = await browser.send(await browser.get("/sign-in"), "/sign-in/key", token=token)
        cookies = set_cookies(page)
        assert "httponly" in cookies[SESSION]
        assert "samesite=strict" in cookies[SESSION]
        assert "path=/" in cookies[SESSION]
        assert "domain" not in cookies[SESSION]
        assert "secure" not in cookies[SESSION], "browsers drop those over plain HTTP"
        assert browser.session.startswith("kw_session_"), "a session, and no key, is kept"


async def test_a_key_signs_its_user_in_with_a_cookie_that_scripts_cannot_read(
    pages: Console,
) -> None:
    await cookies_that_scripts_cannot_read(pages)


async def cookies_for_https_only(pages: Console) -> None:
    settings = 'public_url = "https://keys.example.com"\n'
    async with pages.another(settings) as secure, secure.browser() as browser:
        page = Page(await browser.client.get("/sign-in"))
        cookies = set_cookies(page)
        assert cookies
        for name, attributes in cookies.items():
            assert name.startswith("__Host-")
            assert "secure" in attributes.split("; ")
        assert page.response.headers["strict-transport-security"]


async def test_over_https_cookies_are_bound_to_the_host(pages: Console) -> None:
    await cookies_for_https_only(pages)


@pytest.mark.parametrize(
    ("token", "said"),
    [("kw_live_nonsense", "unknown"), ("", "Nothing was entered"), ("ümläut", "unknown")],
)
async def test_what_is_no_key_signs_nobody_in(pages: Console, token: str, said: str) -> None:
    async with pages.browser() as browser:
        page = await browser.send(await browser.get("/sign-in"), "/sign-in/key", token=token)
        assert page.status in {400, 403}
        assert said in page.text
        assert not browser.session
        assert token not in page.response.text or not token, "what was typed is not repeated"


async def test_a_narrowed_key_is_refused_with_the_reason(pages: Console) -> None:
    made = await pages.service.admin.create_key(scopes=["datasets.read"])
    async with pages.browser() as browser:
        page = await browser.send(await browser.get("/sign-in"), "/sign-in/key", token=made.token)
        assert page.status == 403
        assert "Only one that takes nothing away signs in" in page.text


# --- by a link --------------------------------------------------------------------------------


async def a_link_that_is_looked_at(pages: Console) -> None:
    """Whoever looks at a link before the person does (a prefetch) does not use it up."""
    await pages.service.admin.create_user("linked", "guest")
    carried = await pages.link("linked")
    async with pages.browser() as scanner:
        assert (await scanner.get(f"/sign-in/link?token={carried}")).status == 200
        assert not scanner.session
    async with pages.browser() as browser:
        seen = await browser.get(f"/sign-in/link?token={carried}")
        page = await browser.send(seen, "/sign-in/link")
        assert page.path == "/keys", page.text
        assert "may hold no keys" in page.text
        assert "Generate" not in page.text
    async with pages.browser() as late:
        seen = await late.get(f"/sign-in/link?token={carried}")
        page = await late.send(seen, "/sign-in/link")
        assert page.status == 403
        assert "used already" in page.text
        assert not late.session


async def test_a_link_signs_a_guest_in_once_and_a_look_at_it_does_not_use_it_up(
    pages: Console,
) -> None:
    await a_link_that_is_looked_at(pages)


async def test_no_line_of_the_log_has_what_a_link_carries(pages: Console) -> None:
    await pages.service.admin.create_user("logged", "guest")
    carried = await pages.link("logged")
    async with pages.browser() as browser:
        page = await browser.send(
            await browser.get(f"/sign-in/link?token={carried}"), "/sign-in/link"
        )
        assert page.status == 200
        session = browser.session
    assert session
    written = "\n".join(pages.process.raw)
    assert "/sign-in/link" in written
    assert carried not in written
    assert session not in written


# --- a session and its end --------------------------------------------------------------------


async def a_session_of_before(pages: Console) -> None:
    """Whoever has planted a session in a browser has nothing of what is done after a sign-in."""
    attacker, victim = await pages.person("mallory"), await pages.person("victor")
    async with pages.browser(attacker) as planted, pages.browser() as browser:
        browser.client.cookies.set(SESSION, planted.session, domain="127.0.0.1", path="/")
        page = await browser.send(await browser.get("/sign-in"), "/sign-in/key", token=victim)
        assert "victor@example.com" in page.text
        assert browser.session != planted.session
        assert (await planted.get("/keys")).path.startswith("/sign-in"), "it is over"


async def test_a_sign_in_gives_a_new_session_and_ends_the_one_before(pages: Console) -> None:
    await a_session_of_before(pages)


async def keys_in_place_of_sessions(pages: Console) -> None:
    async with pages.browser() as browser:
        token = await pages.person("keyed")
        browser.client.cookies.set(SESSION, token, domain="127.0.0.1", path="/")
        assert (await browser.get("/keys")).path.startswith("/sign-in")
        assert not browser.session


async def test_a_cookie_with_a_key_in_it_is_no_session(pages: Console) -> None:
    await keys_in_place_of_sessions(pages)


async def test_signing_out_ends_the_session_everywhere(pages: Console) -> None:
    async with pages.browser(await pages.person("leaver")) as browser:
        session = browser.session
        page = await browser.send(await browser.get("/keys"), "/sign-out")
        assert "You are signed out" in page.text
        assert not browser.session
        browser.client.cookies.set(SESSION, session, domain="127.0.0.1", path="/")
        assert (await browser.get("/keys")).path.startswith("/sign-in")


async def test_a_session_that_is_revoked_elsewhere_is_over_here(pages: Console) -> None:
    token = await pages.person("two")
    async with pages.browser(token) as here, pages.browser(token) as there:
        listed = await there.get("/sessions")
        own = (await pages.service.admin.authenticate(here.session)).credential.name
        asked = await there.get(f"/sessions/{own.rpartition('/')[2]}/revoke")
        assert "This one" in listed.text
        assert "Signed out there" in (await there.send(asked)).text
        page = await here.get("/keys")
        assert page.path.startswith("/sign-in")
        assert not here.session, "the browser is told to forget it"


async def test_who_revokes_the_key_they_signed_in_with_is_told_and_signed_out(
    pages: Console,
) -> None:
    token = await pages.person("resets")
    async with pages.browser(token) as browser, pages.browser() as elsewhere:
        await elsewhere.sign_in(token)
        (key,) = (each for each in (await browser.get("/keys")).links if each.startswith("/keys/"))
        assert (await browser.get("/sessions")).links.count(key) == 2
        asked = await browser.get(f"{key}/revoke")
        assert "You have signed in with this key" in asked.text
        page = await browser.send(asked)
        assert page.path.startswith("/sign-in?")
        assert (await elsewhere.get("/keys")).path.startswith("/sign-in?")


async def test_everywhere_is_everywhere_but_here_if_that_is_wished(pages: Console) -> None:
    token = await pages.person("many")
    async with pages.browser(token) as here, pages.browser(token) as there:
        kept = await here.send(await here.get("/sessions/everywhere"))
        assert "Signed out everywhere else" in kept.text
        assert (await there.get("/keys")).path.startswith("/sign-in")
        page = await here.get("/sessions/everywhere")
        form = page.form()
        form.fields.pop("stay")
        gone = await here.post("/sessions/everywhere", form.fields)
        assert "You are signed out" in gone.text


async def test_what_was_filled_in_survives_the_end_of_the_session(pages: Console) -> None:
    token = await pages.person("slow")
    async with pages.browser(token) as browser:
        form = await browser.get("/new-key")
        await pages.service.admin.do("RevokeSessions", parent=PARENT, user=f"{PARENT}/users/slow")
        scopes = "\n".join(f"datasets.number-{number}" for number in range(500))
        asked = await browser.send(form, display_name="Köln & Co <b>", scopes=scopes, validity="1w")
        assert "what you entered is kept" in asked.text
        again = await browser.send(asked, "/sign-in/key", token=token)
        fields = again.form("/new-key").fields
        assert fields["display_name"] == "Köln & Co <b>"
        assert fields["scopes"].split() == scopes.split()
        assert fields["validity"] == "1w"
        assert fields["request_id"] != form.form().fields["request_id"]
        assert "No keys yet" not in (await browser.get("/keys?search=K%C3%B6ln")).text
        assert "No key matches" in (await browser.get("/keys?search=K%C3%B6ln")).text
        made = await browser.send(again, "/new-key", scopes="datasets.read")
        assert "kw_live_" in made.text


async def only_pages_of_ours(pages: Console, target: str) -> None:
    token = await pages.person(f"next-{abs(hash(target))}")
    async with pages.browser() as browser:
        browser.client.follow_redirects = False
        form = (await browser.get("/sign-in")).form("/sign-in/key")
        sent = {**form.fields, "next": target, "token": token}
        page = await browser.post("/sign-in/key", sent)
        assert page.response.headers["location"] == "/"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/keys\r\nset-cookie: a=b",
        "",
    ],
)
async def test_after_signing_in_nobody_is_led_to_another_site(pages: Console, target: str) -> None:
    await only_pages_of_ours(pages, target)


async def too_many_attempts(pages: Console) -> None:
    settings = "[limits]\nsign_ins_per_minute = 2\n"
    async with pages.another(settings) as strict, strict.browser() as browser:
        statuses = []
        for _ in range(3):
            page = await browser.get("/sign-in")
            page = await browser.send(page, "/sign-in/key", token="kw_live_nonsense")
            statuses.append(page.status)
        assert statuses == [403, 403, 429]
        assert int(page.response.headers["retry-after"]) > 0
        assert "Too many attempts" in page.text


async def test_attempts_to_sign_in_are_limited(pages: Console) -> None:
    await too_many_attempts(pages)


async def test_a_link_on_another_site_finds_the_person_signed_in(pages: Console) -> None:
    """The browser keeps the cookie to itself there, and is led on by a page of this site."""
    async with pages.browser() as browser:
        page = await browser.get("/keys?state=all", **{"sec-fetch-site": "cross-site"})
        assert page.status == 200
        assert "/keys?state=all" in page.links
        assert 'content="0; url=/keys?state=all"' in page.response.text


async def test_the_record_of_a_session_says_from_where_and_with_what(pages: Console) -> None:
    async with pages.browser() as browser:
        browser.client.headers["user-agent"] = "Firefox/150"
        await browser.sign_in(await pages.person("recorded"))
        assert "Firefox/150" in (await browser.get("/sessions")).text
        sessions = await pages.service.admin.do(
            "ListSessions", parent=PARENT, filter={"user": f"{PARENT}/users/recorded"}
        )
        (session,) = sessions.sessions
        assert session.client_address == "127.0.0.1"
        assert session.method == session_pb2.SIGN_IN_METHOD_KEY


async def test_who_asks_for_a_part_of_a_page_is_led_to_the_whole_sign_in(pages: Console) -> None:
    async with pages.browser() as browser:
        page = await browser.get("/keys?search=x", **{"hx-request": "true"})
        assert page.response.headers["hx-redirect"] == "/sign-in?next=%2Fkeys%3Fsearch%3Dx"
