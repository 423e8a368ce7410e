"""The console without a browser: keys from the form to the token, and on to their end."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.console import Browser, Console, Page
from tests.support.service import PARENT, RefusedError


def token_of(page: Page) -> str:
    """The token that a page shows."""
    (token,) = (word for word in page.text.split() if re.match(r"kw_[a-z]+_\w{60}", word))
    return token


async def denial(pages: Console, token: str) -> str:
    """Why a token is denied; "" if it is not."""
    try:
        await pages.service.admin.authenticate(token)
    except RefusedError as refused:
        return refused.reason
    return ""


async def generated(browser: Browser, **fields: str) -> Page:
    """The page with the token of a new key."""
    return await browser.send(await browser.get("/new-key"), **fields)


def key_ids(page: Page) -> list[str]:
    """The keys that a list shows, in its order."""
    return [each.removeprefix("/keys/") for each in page.links if each.startswith("/keys/")]


# --- generate ---------------------------------------------------------------------------------


async def test_a_person_generates_a_key_that_authenticates_and_finds_it_in_the_list(
    pages: Console,
) -> None:
    async with pages.browser(await pages.person("ann")) as browser:
        shown = await generated(browser, display_name="CI of the website", validity="1w")
        assert shown.status == 200, shown.text
        token = token_of(shown)
        principal = await pages.service.admin.authenticate(token)
        assert principal.user.email == "ann@example.com"
        lives = principal.expire_time.ToDatetime() - datetime.now(UTC).replace(tzinfo=None)
        assert timedelta(days=6) < lives <= timedelta(weeks=1)
        listed = await browser.get("/keys")
        assert "CI of the website" in listed.text
        for key in key_ids(listed):
            page = await browser.get(f"/keys/{key}")
            assert page.status == 200
            assert token not in page.response.text
        assert token not in listed.response.text


async def test_everything_that_limits_a_key_is_taken(pages: Console) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        await pages.service.admin.create_user("bob", "member")
        shown = await generated(
            browser,
            display_name="Narrow",
            user="bob@example.com",
            role="collaborator",
            scopes="datasets.read\r\nlabels.*",
            resource="projects/abc",
            environment="test",
            allowed_networks="192.0.2.0/24",
            validity="custom",
            validity_count="3",
            validity_unit="hour",
        )
        assert shown.status == 200, shown.text
        assert token_of(shown).startswith("kw_test_")
        listed = await pages.service.admin.list_keys(filter={"search": "Narrow"})
        (key,) = listed.keys
        assert key.user == f"{PARENT}/users/bob"
        assert key.role == f"{PARENT}/roles/collaborator"
        assert sorted(key.scopes) == ["datasets.read", "labels.*"]
        assert key.resource == "projects/abc"
        assert list(key.allowed_networks) == ["192.0.2.0/24"]
        lives = key.expire_time.ToDatetime() - key.create_time.ToDatetime()
        assert lives == timedelta(hours=3)


async def one_key_of_a_form(pages: Console) -> None:
    """Sent twice at the same time, or again by a reload, a form makes one key, with one token."""
    async with pages.browser(await pages.person("twice")) as browser:
        form = (await browser.get("/new-key")).form()
        fields = {**form.fields, "display_name": "Once"}
        both = await asyncio.gather(*(browser.post("/new-key", fields) for _ in range(2)))
        shown = [page for page in both if "kw_live_" in page.text]
        assert len(shown) == 1
        (late,) = (page for page in both if page not in shown)
        assert "The token was shown already" in late.text
        again = await browser.post("/new-key", fields)
        assert "The token was shown already" in again.text
        assert token_of(shown[0]) not in again.response.text
        assert len(key_ids(await browser.get("/keys?search=Once"))) == 1
        assert any(each.endswith("/rotate") for each in again.links)


async def test_a_form_that_is_sent_twice_makes_one_key_and_shows_its_token_once(
    pages: Console,
) -> None:
    await one_key_of_a_form(pages)


async def test_a_form_that_was_used_can_be_changed_and_makes_another_key_when_sent_anew(
    pages: Console,
) -> None:
    async with pages.browser(await pages.person("backer")) as browser:
        form = await browser.get("/new-key")
        await browser.send(form, display_name="First")
        changed = await browser.send(form, display_name="Second")
        assert changed.status == 409
        assert changed.form().fields["display_name"] == "Second"
        shown = await browser.send(changed)
        assert "kw_live_" in shown.text
        assert len(key_ids(await browser.get("/keys"))) == 3


async def test_the_token_is_kept_by_no_cache(pages: Console) -> None:
    async with pages.browser(await pages.person("uncached")) as browser:
        shown = await generated(browser)
        assert shown.response.headers["cache-control"] == "no-store"
        assert not shown.response.history, "it is in no address"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"scopes": "not a pattern!"}, "scopes"),
        ({"resource": "//"}, "resource"),
        ({"allowed_networks": "here"}, "allowed_networks"),
        ({"validity": "custom", "validity_count": "0"}, "validity_count"),
        ({"validity": "custom", "validity_count": "two"}, "validity_count"),
        ({"validity": "custom", "validity_count": "999999999"}, "validity_count"),
        ({"validity": "custom", "validity_count": "10", "validity_unit": "second"}, "validity"),
        ({"validity": "a while"}, "validity"),
        ({"display_name": "\u202ereversed"}, "display_name"),
        ({"display_name": "x" * 201}, "display_name"),
    ],
)
async def test_a_mistake_is_told_at_its_field_and_nothing_that_was_entered_is_lost(
    pages: Console, fields: dict[str, str], wrong: str
) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        page = await generated(browser, **{"display_name": "Kept", **fields})
        assert page.status in {400, 409}, page.text
        assert f'id="error-{wrong}"' in page.response.text
        assert f'href="#field-{wrong}"' in page.response.text
        assert page.form().fields["display_name"] == fields.get("display_name", "Kept")
        for name, value in fields.items():
            assert page.form().fields.get(name, value) == value
        assert "kw_live_" not in page.text


async def test_one_may_give_no_more_than_one_has(pages: Console) -> None:
    async with pages.browser(await pages.person("modest", "collaborator")) as browser:
        form = await browser.get("/new-key")
        assert "admin" not in re.findall(r'<option value="(\w+)"', form.response.text)
        for more in ({"role": "admin"}, {"user": "admin@localhost"}):
            page = await generated(browser, **more)
            assert page.status in {403, 409}, more
            assert "kw_live_" not in page.text, more


async def test_a_policy_says_what_can_be_chosen(pages: Console) -> None:
    policy = {"max_ttl": {"seconds": 3600 * 24 * 7}, "expiry_required": True}
    workspace = {"name": PARENT, "policy": policy}
    await pages.service.admin.do("UpdateWorkspace", workspace=workspace)
    try:
        async with pages.browser(pages.service.admin_token) as browser:
            form = await browser.get("/new-key")
            offered = re.findall(r'name="validity" value="(\w+)"', form.response.text)
            assert offered == ["1d", "1w", "custom"]
            page = await browser.send(form, validity="none")
            assert 'id="error-validity"' in page.response.text
            page = await generated(
                browser, validity="custom", validity_count="8", validity_unit="day"
            )
            assert "1 week at most" in page.text
    finally:
        await pages.service.admin.do(
            "UpdateWorkspace", workspace={"name": PARENT}, update_mask={"paths": ["policy"]}
        )


# --- hostile names ----------------------------------------------------------------------------

NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "x" * 200,
    "🔑🎉 ключ",
    "&amp;&lt;",
    "מפתח עברי",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_shows_as_it_is_and_does_nothing(pages: Console, name: str) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        shown = await generated(browser, display_name=name)
        assert name in shown.words
        (key,) = (await pages.service.admin.list_keys(filter={"search": name}, page_size=1)).keys
        made = key.name.rpartition("/")[2]
        for path in ("/keys", f"/keys/{made}", f"/keys/{made}/revoke", f"/keys/{made}/rotate"):
            page = await browser.get(path)
            assert name in page.words, path
            assert "<script>alert" not in page.response.text, path
            assert "<img src=x" not in page.response.text, path
            assert "<bdi" in page.response.text, "it turns no text around it"
        await browser.send(await browser.get(f"/keys/{made}/revoke"))


# --- the list ---------------------------------------------------------------------------------


async def test_the_list_is_searched_filtered_sorted_and_paged(pages: Console) -> None:
    token = await pages.person("lister")
    owner = f"{PARENT}/users/lister"
    made = {}
    for name in ("Alpha", "Beta", "Gamma"):
        made[name] = (
            await pages.service.admin.create_key(user=owner, display_name=f"{name} key")
        ).key.name.rpartition("/")[2]
    await pages.service.admin.do("DisableKey", name=f"{PARENT}/keys/{made['Beta']}")
    await pages.service.admin.revoke_key(f"{PARENT}/keys/{made['Gamma']}")
    async with pages.browser(token) as browser:
        assert key_ids(await browser.get("/keys?search=alpha")) == [made["Alpha"]]
        assert key_ids(await browser.get("/keys?state=disabled")) == [made["Beta"]]
        assert key_ids(await browser.get("/keys?state=revoked")) == [made["Gamma"]]
        assert made["Gamma"] not in key_ids(await browser.get("/keys"))
        by_name = key_ids(await browser.get("/keys?state=all&sort=name&search=key"))
        assert by_name == [made["Alpha"], made["Beta"], made["Gamma"]]
        down = key_ids(await browser.get("/keys?state=all&sort=-name&search=key"))
        assert down == by_name[::-1]
        assert "No key matches" in (await browser.get("/keys?search=nothing")).text
        assert (await browser.get("/keys?state=odd&sort=odd&owner=all")).status == 200
        assert (await browser.get("/keys?page=odd")).status == 400
        sorted_by = await browser.get("/keys?sort=name")
        assert 'aria-sort="ascending"' in sorted_by.response.text


async def test_pages_of_the_list_follow_one_another_without_a_gap(pages: Console) -> None:
    token = await pages.person("long")
    for number in range(60):
        await pages.service.admin.create_key(
            user=f"{PARENT}/users/long", display_name=f"Key {number:02}"
        )
    async with pages.browser(token) as browser:
        first = await browser.get("/keys?search=Key&sort=name")
        (link,) = (each for each in first.links if "page=" in each)
        second = await browser.get(f"/keys{link}")
        assert len(key_ids(first)) == 50
        assert len(key_ids(second)) == 10
        assert not set(key_ids(first)) & set(key_ids(second))
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', first.response.text)
        sizes = [(await browser.get(each)).response.num_bytes_downloaded for each in set(files)]
        assert first.response.num_bytes_downloaded + sum(sizes) <= 150 * 1024, "of a first visit"


async def test_everybodys_keys_are_for_who_may_see_them(pages: Console) -> None:
    await pages.person("seen")
    async with (
        pages.browser(pages.service.admin_token) as admin,
        pages.browser(await pages.person("unseeing")) as other,
    ):
        assert "seen@example.com" in (await admin.get("/keys?owner=all&search=seen@")).text
        page = await other.get("/keys?owner=all")
        assert "seen@example.com" not in page.text
        assert "Everybody" not in page.text


# --- afterwards -------------------------------------------------------------------------------


async def test_a_key_that_would_outlast_the_one_signed_in_with_is_refused_with_the_moment(
    pages: Console,
) -> None:
    await pages.person("brief")
    made = await pages.service.admin.create_key(
        user=f"{PARENT}/users/brief", ttl=timedelta(hours=2)
    )
    async with pages.browser(made.token) as browser:
        page = await browser.send(await browser.get("/new-key"), validity="none")
        ends = made.key.expire_time.ToDatetime(UTC)
        assert f"which ends at {ends:%-d %b %Y, %H:%M} UTC" in page.text


async def test_a_key_is_disabled_enabled_revoked_and_deleted(pages: Console) -> None:
    async with pages.browser(await pages.person("life")) as browser:
        token = token_of(await generated(browser, display_name="Mortal"))
        (key,) = key_ids(await browser.get("/keys?search=Mortal"))
        for change, wanted in (
            ("disable", "KEY_DISABLED"),
            ("enable", ""),
            ("revoke", "KEY_REVOKED"),
        ):
            asked = await browser.get(f"/keys/{key}/{change}")
            assert "Mortal" in asked.text
            assert "Last used" in asked.text
            assert await denial(pages, token) != wanted or change == "enable", "a look does nothing"
            done = await browser.send(asked)
            assert done.path == f"/keys/{key}?done={change}"
            assert await denial(pages, token) == wanted
        gone = await browser.send(await browser.get(f"/keys/{key}/delete"))
        assert "The key was deleted" in gone.text
        assert (await browser.get(f"/keys/{key}")).status == 404


async def test_a_rotated_key_shows_its_new_token_once_and_the_old_one_stands_for_the_grace(
    pages: Console,
) -> None:
    async with pages.browser(await pages.person("rotor")) as browser:
        old = token_of(await generated(browser, display_name="Turning"))
        (key,) = key_ids(await browser.get("/keys?search=Turning"))
        form = await browser.get(f"/keys/{key}/rotate")
        shown = await browser.send(form, grace="1d")
        new = token_of(shown)
        assert new != old
        assert await denial(pages, new) == ""
        assert await denial(pages, old) == ""
        assert "The token was shown already" in (await browser.send(form, grace="1d")).text
        assert "ends" in (await browser.get(f"/keys/{key}")).text
        last = token_of(await browser.send(await browser.get(f"/keys/{key}/rotate"), grace="none"))
        assert await denial(pages, new) != ""
        assert await denial(pages, last) == ""


async def test_the_details_explain_what_a_key_may_do(pages: Console) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        await generated(browser, display_name="Explained", scopes="datasets.read")
        (key,) = key_ids(await browser.get("/keys?search=Explained"))
        yes = await browser.get(f"/keys/{key}?permission=datasets.read")
        assert "Yes It may do datasets.read" in yes.text
        no = await browser.get(f"/keys/{key}?permission=datasets.write")
        assert "No It may not do datasets.write" in no.text
        odd = await browser.get(f"/keys/{key}?permission=odd!")
        assert odd.status == 400
        assert "CreateKey" in odd.text, "the trail of the key"
