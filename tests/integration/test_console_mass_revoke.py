"""Revoking many keys in the console: what was shown is what is revoked, or nothing is."""

from collections.abc import Sequence

import pytest

from tests.support.console import Browser, Console, Page
from tests.support.service import PARENT, RefusedError


async def owner(pages: Console, user_id: str, *names: str) -> tuple[str, Sequence[str]]:
    """A new user with keys of these names; returns the user's e-mail address and the tokens."""
    await pages.service.admin.create_user(user_id)
    made = [
        await pages.service.admin.create_key(user=f"{PARENT}/users/{user_id}", display_name=name)
        for name in names
    ]
    return f"{user_id}@example.com", [each.token for each in made]


async def stands(pages: Console, token: str) -> bool:
    """Whether a token authenticates."""
    try:
        await pages.service.admin.authenticate(token)
    except RefusedError as error:
        if error.reason != "KEY_REVOKED":
            raise
        return False
    return True


async def previewed(browser: Browser, **fields: str) -> Page:
    """The page that shows the keys that match."""
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    return await browser.get(f"/revoke-keys?{query}")


async def test_the_keys_that_were_shown_are_revoked_and_no_others(pages: Console) -> None:
    email, tokens = await owner(pages, "leaver", "First of two", "Second of two")
    _, (other,) = await owner(pages, "stayer", "Of somebody else")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email)
        assert "2 keys match" in page.text
        assert "First of two" in page.text
        assert "Second of two" in page.text
        assert "Of somebody else" not in page.text
        assert "cannot be undone" in page.text
        assert all([await stands(pages, each) for each in tokens]), "only shown yet"

        page = await browser.send(page)
        assert page.status == 200, page.text
        assert "2 keys are revoked" in page.text
    assert not any([await stands(pages, each) for each in tokens])
    assert await stands(pages, other)


async def test_more_keys_than_a_page_holds_are_counted_and_all_revoked(pages: Console) -> None:
    email, tokens = await owner(pages, "prolific", *(f"Number {each}" for each in range(23)))
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email)
        assert "23 keys match" in page.text
        assert "And 3 more" in page.text
        (rest,) = (each for each in page.links if "owner=all" in each and "user=" in each)
        assert "Number 0" in (await browser.get(rest)).text
        page = await browser.send(page)
        assert "23 keys are revoked" in page.text
    assert not any([await stands(pages, each) for each in tokens])


async def a_key_made_since_is_spared(pages: Console, user_id: str) -> None:
    email, (shown,) = await owner(pages, user_id, "Shown")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email)
        made = await pages.service.admin.create_key(user=f"{PARENT}/users/{user_id}")
        page = await browser.send(page)
        assert "1 key is revoked" in page.text
    assert not await stands(pages, shown)
    assert await stands(pages, made.token)


async def test_a_key_that_was_made_after_the_preview_is_not_revoked(pages: Console) -> None:
    await a_key_made_since_is_spared(pages, "maker")


async def others_than_shown_are_not_revoked(pages: Console, user_id: str) -> None:
    """As many as were shown match, but not the same."""
    admin = pages.service.admin
    email, tokens = await owner(pages, user_id, "Shown", "Enabled since")
    listed = await admin.list_keys(filter={"user": f"{PARENT}/users/{user_id}"})
    names = {each.display_name: each.name for each in listed.keys}
    await admin.do("DisableKey", name=names["Enabled since"])
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email, state="active")
        assert "1 key matches" in page.text
        await admin.do("DisableKey", name=names["Shown"])
        await admin.do("EnableKey", name=names["Enabled since"])

        page = await browser.send(page)
        assert page.status == 409
        assert "Nothing was revoked" in page.text
        assert "Enabled since" in page.text
        assert await stands(pages, tokens[1])

        page = await browser.send(page)
        assert "1 key is revoked" in page.text
    assert not await stands(pages, tokens[1])
    await admin.do("EnableKey", name=names["Shown"])
    assert await stands(pages, tokens[0])


async def test_if_other_keys_match_by_then_they_are_shown_first(pages: Console) -> None:
    await others_than_shown_are_not_revoked(pages, "swapper")


async def test_a_form_that_is_sent_twice_says_twice_what_was_done_once(pages: Console) -> None:
    email, _ = await owner(pages, "doubled", "One", "Two")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email)
        assert "2 keys are revoked" in (await browser.send(page)).text
        assert "2 keys are revoked" in (await browser.send(page)).text
        events = await pages.service.admin.do(
            "ListAuditEvents", parent=PARENT, filter={"actions": ["RevokeKey"]}
        )
    ours = [
        each for each in events.audit_events if each.request_id == page.form().fields["request_id"]
    ]
    assert len(ours) == 2, "one of each key"


async def test_nothing_is_revoked_without_a_filter(pages: Console) -> None:
    _, (token,) = await owner(pages, "unfiltered", "Stays")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user="unfiltered@example.com")
        fields = {**page.form().fields, "user": ""}
        page = await browser.post("/revoke-keys", fields)
        assert page.status == 409
        assert "Say which keys" in page.text
        assert "Say which keys" in (await browser.get("/revoke-keys")).text
    assert await stands(pages, token)


async def test_everybody_reaches_only_keys_that_are_theirs(pages: Console) -> None:
    _, (token,) = await owner(pages, "reached", "Of another")
    async with pages.browser(await pages.person("reaching")) as browser:
        page = await previewed(browser, state="active")
        assert "1 key matches" in page.text, "the one that signed in"
        assert "Of another" not in page.text
        page = await previewed(browser, user="reached@example.com")
        assert page.status == 403
        assert "Of another" not in page.text
    assert await stands(pages, token)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("user", "nobody@example.com", "There is no such user"),
        ("role", "nothing", "There is no such role"),
        ("user", "a/b/c", "user"),
        ("resource", "a//b", "empty segments"),
        ("expires_before", "tomorrow", "Enter a day"),
        ("unused_since", "2026-02-30", "Enter a day"),
    ],
)
async def test_a_mistake_is_told_at_its_field_and_no_key_is_shown(
    pages: Console, field: str, value: str, told: str
) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, **{field: value})
        assert told in page.text
        assert f'id="error-{field}"' in page.response.text
        assert not [each for each in page.forms if each.action == "" and each.method == "post"]
        listed = await browser.get(f"/keys?owner=all&{field}={value}")
        assert told in listed.text
        assert listed.status == 400


async def test_a_form_that_no_page_of_ours_has_made_revokes_nothing(pages: Console) -> None:
    _, (token,) = await owner(pages, "crafted", "Stays")
    async with pages.browser(pages.service.admin_token) as browser:
        shown = await previewed(browser, user="crafted@example.com")
        for changed in (
            {"mark": ""},
            {"mark": "1-0"},
            {"seen": "0001-01-01T00:00:00+14:00", "mark": "1-0"},
            {"seen": "never", "mark": "1-0"},
            {"state": "nothing", "mark": "1-0"},
        ):
            page = await browser.send(shown, **changed)
            assert page.status == 409 or "0 keys" in page.text or "No key" in page.text, changed
        page = await previewed(browser, revoked="9" * 5000)
        assert page.status == 200
        assert "revoked:" not in page.text
    assert await stands(pages, token)


async def test_names_of_keys_are_shown_as_they_are(pages: Console) -> None:
    name = '<script>alert(1)</script>"><img src=x>'
    email, _ = await owner(pages, "hostile", name)
    async with pages.browser(pages.service.admin_token) as browser:
        page = await previewed(browser, user=email)
        assert name in page.text
        assert "<script>alert" not in page.response.text
        assert "<img src=x" not in page.response.text
        page = await previewed(browser, search="%3Cscript%3E")
        assert "<script>alert" not in page.response.text
        assert "1 key matches" in page.text


async def test_everybodys_keys_are_filtered_by_what_only_matters_there(pages: Console) -> None:
    admin = pages.service.admin
    user = (await admin.create_user("filtered")).name
    await admin.create_key(user=user, display_name="Bound one", resource="projects/filtered")
    await admin.create_key(user=user, display_name="Narrow one", role=f"{PARENT}/roles/labeler")
    await admin.create_key(user=user, display_name="Plain one")
    async with pages.browser(pages.service.admin_token) as browser:

        async def names(query: str) -> set[str]:
            text = (await browser.get(f"/keys?owner=all&user=filtered&{query}")).text
            return {each for each in ("Bound", "Narrow", "Plain") if f"{each} one" in text}

        assert await names("") == {"Bound", "Narrow", "Plain"}
        assert await names("resource=projects/filtered") == {"Bound"}
        assert await names("role=labeler") == {"Narrow"}
        assert await names("expires_before=2100-01-01") == set()
        assert await names("unused_since=2100-01-01") == {"Bound", "Narrow", "Plain"}
        assert await names("unused_since=2020-01-01") == set()


async def test_an_admin_generates_a_key_for_somebody_else(pages: Console) -> None:
    await pages.service.admin.create_user("receiver")
    async with (
        pages.browser(pages.service.admin_token) as admin,
        pages.browser(await pages.person("ungiving")) as member,
    ):
        page = await admin.get("/new-key?user=receiver@example.com")
        assert page.form().fields["user"] == "receiver@example.com"
        shown = await admin.send(page, display_name="Given")
        token = next(each for each in shown.text.split() if each.startswith("kw_live_"))
        found = await pages.service.admin.authenticate(token)
        assert found.user.email == "receiver@example.com"
        shown = await admin.send(await admin.get("/new-key"), user="nobody@example.com")
        assert 'id="error-user"' in shown.response.text

        page = await member.get("/new-key")
        assert "user" not in page.form().fields
        shown = await member.send(page, user="receiver@example.com")
        assert "kw_live_" not in shown.text
