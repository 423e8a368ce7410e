"""The console without a browser: people, from their first day to their last."""

from urllib.parse import urlsplit

import pytest

from tests.support.console import Browser, Console, Page
from tests.support.service import ADMIN, PARENT, first_admin, refusal

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} (admin) \N{PILE OF POO}",
    "x" * 200,
)


def link_in(page: Page) -> str:
    """The sign-in link that a page shows, without the host."""
    (address,) = (each for each in page.text.split() if "/sign-in/link?" in each)
    url = urlsplit(address)
    return f"{url.path}?{url.query}"


async def test_who_is_added_signs_in_by_a_link_that_is_shown_once(
    pages: Console, admin: Browser
) -> None:
    added = await admin.send(
        await admin.get("/new-user"), email="new@example.com", display_name="Nora", role="guest"
    )
    assert added.status == 200, added.text
    assert "Nora" in added.text
    asked = await admin.get(f"{urlsplit(added.path).path}/link")
    made = await admin.send(asked)
    link = link_in(made)
    again = await admin.send(asked)
    assert "shown already" in again.text
    assert "kw_signin_" not in again.response.text

    async with pages.browser() as theirs:
        inside = await theirs.send(await theirs.get(link), "/sign-in/link")
        assert inside.path == "/keys"
        assert "Users" not in [each for each in inside.links if each == "/users"]
    async with pages.browser() as second:
        refused = await second.send(await second.get(link), "/sign-in/link")
        assert refused.status == 403


async def test_a_disabled_user_is_dead_everywhere_and_back_when_enabled(
    pages: Console, admin: Browser
) -> None:
    token = await pages.person("dora")
    async with pages.browser(token) as theirs:
        asked = await admin.get("/users/dora/disable")
        assert "Every key and session of this user is dead" in asked.text
        done = await admin.send(asked)
        assert "is disabled" in done.text
        assert (await refusal(pages.service.admin.authenticate(token))).reason == "USER_DISABLED"
        assert (await theirs.get("/keys")).path.startswith("/sign-in")

    await admin.send(await admin.get("/users/dora/enable"))
    assert (await pages.service.admin.authenticate(token)).user.email == "dora@example.com"


async def test_a_form_that_is_sent_twice_adds_one_user(admin: Browser) -> None:
    form = await admin.get("/new-user")
    first = await admin.send(form, email="twice@example.com", role="member")
    second = await admin.send(form, email="twice@example.com", role="member")
    assert (first.status, second.path) == (200, first.path)


async def test_what_is_wrong_is_told_beside_its_field_and_nothing_entered_is_lost(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("taken")
    refused = await admin.send(
        await admin.get("/new-user"),
        email="taken@example.com",
        display_name="Somebody else",
        role="labeler",
    )
    assert refused.status == 409
    assert 'id="error-email"' in refused.response.text
    assert refused.form().fields["display_name"] == "Somebody else"
    assert refused.form().fields["role"] == "labeler"

    better = await admin.send(refused, email="free@example.com")
    assert better.status == 200, better.text
    turned = "\N{RIGHT-TO-LEFT OVERRIDE}nimda"
    for field, wrong in (("email", "no address"), ("display_name", turned), ("role", "no-role")):
        given = {"email": "wrong@example.com", field: wrong}
        told = await admin.send(await admin.get("/new-user"), **given)
        assert f'id="error-{field}"' in told.response.text, field


async def test_the_second_of_two_admins_is_told_what_the_first_did_and_keeps_the_input(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("edited", display_name="Before")
    form = await admin.get("/users/edited/edit")
    async with pages.browser(await pages.person("second-admin", "admin")) as other:
        await other.send(await other.get("/users/edited/edit"), display_name="By the first")

    late = await admin.send(form, display_name="By the second")
    assert late.status == 409
    assert "By the first" in late.text
    assert "second-admin@example.com" in late.text
    assert late.form().fields["display_name"] == "By the second"
    saved = await admin.send(late)
    assert saved.status == 200
    user = await pages.service.admin.get_user(f"{PARENT}/users/edited")
    assert user.display_name == "By the second"


async def test_a_lower_role_counts_at_once(pages: Console, admin: Browser) -> None:
    token = await pages.person("demoted", "member")
    saved = await admin.send(await admin.get("/users/demoted/edit"), role="guest")
    assert "count at once" in saved.text
    refused = await refusal(pages.service.admin.authenticate(token))
    assert refused.reason == "KEYS_NOT_ALLOWED"


async def test_the_last_admin_cannot_be_disabled_and_is_told_so(
    pages: Console, admin: Browser
) -> None:
    other = f"{PARENT}/users/second-admin"
    if any(each.name == other for each in (await pages.service.admin.list_users()).users):
        await pages.service.admin.disable_user(other)
    for change in ("disable", "delete"):
        refused = await admin.send(await admin.get(f"/users/admin/{change}"))
        assert refused.status == 409
        assert "admin" in refused.text
    assert (await pages.service.admin.get_user(ADMIN)).state == 1


async def test_who_leaves_is_deleted_with_every_key(pages: Console, admin: Browser) -> None:
    token = await pages.person("leaver")
    asked = await admin.get("/users/leaver/delete")
    assert "Keys not revoked 1" in asked.text
    done = await admin.send(asked)
    assert done.path == "/users?done=delete"
    assert (await refusal(pages.service.admin.authenticate(token))).reason == "TOKEN_UNKNOWN"
    assert (await admin.get("/users/leaver")).status == 404


async def test_all_keys_and_all_sessions_of_somebody_are_ended_from_their_page(
    pages: Console, admin: Browser
) -> None:
    token = await pages.person("ended")
    async with pages.browser(token) as theirs:
        details = await admin.get("/users/ended")
        assert "/users/ended/sign-out" in details.links
        await admin.send(await admin.get("/users/ended/sign-out"))
        assert (await theirs.get("/keys")).path.startswith("/sign-in")
        assert (await pages.service.admin.authenticate(token)).user.email == "ended@example.com"

        await theirs.sign_in(token)
        (session,) = (
            each
            for each in (await admin.get("/users/ended")).links
            if each.startswith("/sessions/") and each.endswith("/revoke")
        )
        back = await admin.send(await admin.get(session))
        assert back.path.startswith("/users/ended?")
        assert (await theirs.get("/keys")).path.startswith("/sign-in")

    await admin.send(await admin.get("/users/ended/revoke-keys"))
    assert (await refusal(pages.service.admin.authenticate(token))).reason == "KEY_REVOKED"


async def test_users_are_found_by_name_state_role_and_kind_and_page_by_page(
    pages: Console, admin: Browser
) -> None:
    for number in range(51):
        await pages.service.admin.create_user(f"many-{number}", "labeler")
    await pages.service.admin.disable_user(f"{PARENT}/users/many-7")
    await pages.service.admin.create_user("program", "labeler", kind="USER_KIND_SERVICE")

    first = await admin.get("/users?role=labeler&search=many-")
    (following,) = (each for each in first.links if "page=" in each)
    second = await admin.get(f"/users{following}")
    listed = {each for page in (first, second) for each in page.links if "/users/many-" in each}
    assert len(listed) == 51
    assert "/users/program" not in first.links

    disabled = await admin.get("/users?state=disabled&search=MANY")
    assert [each for each in disabled.links if "/users/many-" in each] == ["/users/many-7"]
    programs = await admin.get("/users?kind=service")
    assert "/users/program" in programs.links
    none = await admin.get("/users?search=nobody-at-all")
    assert "No user matches" in none.text
    assert (await admin.get("/users?role=no-such-role")).status == 200
    assert (await admin.get("/users?page=forged")).status == 400


async def test_who_may_only_see_users_is_offered_no_change_and_refused_one(pages: Console) -> None:
    await pages.service.admin.create_user("unchanged")
    async with pages.browser(await pages.person("reader", "member")) as browser:
        listed = await browser.get("/users")
        assert "/users/unchanged" in listed.links
        assert "/new-user" not in listed.links
        details = await browser.get("/users/unchanged")
        assert details.status == 200
        assert [each for each in details.links if each.startswith("/users/unchanged/")] == []
        for path in ("/new-user", "/users/unchanged/edit", "/users/unchanged/link"):
            assert (await browser.get(path)).status == 403
        own = await browser.get("/users/reader/edit")
        for path in ("/users/unchanged/disable", "/users/unchanged/link", "/users/unchanged/edit"):
            sent = await browser.post(path, own.form().fields)
            assert sent.status == 403, path
        renamed = await browser.send(own, display_name="Rita")
        assert "Rita" in renamed.text
    assert (await pages.service.admin.get_user(f"{PARENT}/users/unchanged")).state == 1


async def test_who_may_not_see_users_is_not_led_there(pages: Console) -> None:
    async with pages.browser(await pages.person("labels", "labeler")) as browser:
        home = await browser.get("/keys")
        assert not {"/users", "/service-users", "/roles", "/grants"} & set(home.links)
        assert (await browser.get("/users")).status == 403
        assert (await browser.get("/users/admin")).status == 404


async def test_a_foreign_user_looks_like_a_missing_one(pages: Console, admin: Browser) -> None:
    token = await first_admin(pages.service.dsn, "others")
    foreign = pages.service.as_caller(token)
    await foreign.do(
        "CreateUser",
        parent="workspaces/others",
        user_id="foreigner",
        user={"email": "foreigner@example.com"},
    )
    for page in ("", "/edit", "/link", "/disable", "/delete", "/sign-out", "/revoke-keys"):
        theirs = await admin.get(f"/users/foreigner{page}")
        missing = await admin.get(f"/users/nobody-here{page}")
        assert (theirs.status, missing.status) == (404, 404), page
        call = "Call "
        assert theirs.text.partition(call)[0] == missing.text.partition(call)[0]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_shown_as_text(pages: Console, admin: Browser, name: str) -> None:
    user_id = f"hostile-{HOSTILE.index(name)}"
    await pages.service.admin.create_user(user_id, display_name=name)
    for path in ("", "/edit", "/disable", "/link", "/delete"):
        page = await admin.get(f"/users/{user_id}{path}")
        assert page.status == 200
        assert name in page.text or path == "/edit"
        assert "<script>alert" not in page.response.text
        assert "<img src=x" not in page.response.text
    assert name in (await admin.get(f"/users?search={user_id}")).text
