"""The console without a browser: programs that act by themselves."""

from tests.support.console import Browser, Console
from tests.support.service import PARENT


async def _manager(pages: Console, user_id: str, resource: str) -> str:
    """Somebody who manages a resource, and nothing else; returns a token that signs in."""
    token = await pages.person(user_id, "labeler")
    grant = {
        "user": f"{PARENT}/users/{user_id}",
        "resource": resource,
        "role": f"{PARENT}/roles/manager",
    }
    await pages.service.admin.do("CreateGrant", parent=PARENT, grant=grant)
    return token


async def _token(browser: Browser, form: str) -> str:
    """Generate a key by the form that a link leads to."""
    made = await browser.send(await browser.get(form), display_name="Theirs")
    assert made.status == 200, made.text
    (token,) = (each for each in made.text.split() if each.startswith("kw_live_"))
    return token


def _generate(links: list[str]) -> str:
    (link,) = (each for each in links if each.startswith("/new-key?"))
    return link


async def test_an_admin_adds_a_program_and_generates_its_key(
    pages: Console, admin: Browser
) -> None:
    form = await admin.get("/new-service-user")
    fields = {"display_name": "Nightly export", "user_id": "nightly", "role": "collaborator"}
    added = await admin.send(form, **fields)
    again = await admin.send(form, **fields)
    assert (added.path, again.path) == ("/users/nightly?done=added", "/users/nightly?done=added")
    assert "Nightly export" in (await admin.get("/service-users")).text
    assert "/users/nightly/link" not in added.links

    token = await _token(admin, _generate(added.links))
    principal = await pages.service.admin.authenticate(token)
    assert principal.user.name == f"{PARENT}/users/nightly"
    assert "datasets.read" in principal.permissions


async def test_a_projects_manager_shares_a_key_that_works_on_the_project_alone(
    pages: Console,
) -> None:
    async with pages.browser(await _manager(pages, "mona", "projects/abc")) as browser:
        grants = await browser.get("/grants?resource=projects/abc")
        assert "/service-users?resource=projects%2Fabc" in grants.links
        empty = await browser.get("/service-users?resource=projects/abc")
        assert "No service users yet" in empty.text
        form = await browser.get("/new-service-user?resource=projects/abc")
        added = await browser.send(form, display_name="For our partner", user_id="partner")
        assert added.path == "/users/partner?done=added"

        (give,) = (each for each in added.links if each.startswith("/new-grant?"))
        given = await browser.send(await browser.get(give), role="viewer")
        assert given.status == 200, given.text
        details = await browser.get("/users/partner")
        token = await _token(browser, _generate(details.links))

        listed = await browser.get("/service-users?resource=projects/abc")
        assert "For our partner" in listed.text

        here = await pages.service.admin.authenticate(token, resource="projects/abc/datasets/1")
        assert "datasets.read" in here.permissions
        await browser.send(await browser.get("/users/partner/disable"))
        partner = await pages.service.admin.get_user(f"{PARENT}/users/partner")
        assert partner.state == 2


async def test_a_projects_manager_has_no_say_in_another_project_or_in_the_workspace(
    pages: Console, admin: Browser
) -> None:
    added = await admin.send(
        await admin.get("/new-service-user"),
        user_id="elsewhere",
        role="",
        resource="projects/elsewhere",
    )
    assert added.status == 200, added.text
    async with pages.browser(await _manager(pages, "max", "projects/own")) as browser:
        for fields in (
            {"user_id": "foreign", "resource": "projects/elsewhere"},
            {"user_id": "whole", "role": "member", "resource": ""},
        ):
            refused = await browser.send(await browser.get("/new-service-user"), **fields)
            assert refused.status in {403, 409}, fields
            assert refused.form().fields["user_id"] == fields["user_id"]
        elsewhere = await browser.get("/service-users?resource=projects/elsewhere")
        assert "/users/elsewhere" not in elsewhere.links
        for page in ("", "/edit", "/disable", "/delete"):
            assert (await browser.get(f"/users/elsewhere{page}")).status == 404
        everything = await browser.get("/service-users")
        assert "Which resource?" in everything.text


async def test_what_a_program_may_do_is_asked_for_once(admin: Browser) -> None:
    both = await admin.send(
        await admin.get("/new-service-user"), role="member", resource="projects/abc"
    )
    assert (both.status, 'id="error-role"' in both.response.text) == (400, True)
    neither = await admin.send(await admin.get("/new-service-user"), role="", resource="")
    assert (neither.status, 'id="error-resource"' in neither.response.text) == (400, True)
    bad = await admin.send(await admin.get("/new-service-user"), role="", resource="a//b")
    assert (bad.status, 'id="error-resource"' in bad.response.text) == (400, True)
    taken = {"role": "member", "user_id": "Not An Id"}
    named = await admin.send(await admin.get("/new-service-user"), **taken)
    assert 'id="error-user_id"' in named.response.text


async def test_a_program_is_renamed_and_keeps_what_it_may_do(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("renamed", "member", kind="USER_KIND_SERVICE", email="")
    form = await admin.get("/users/renamed/edit")
    hostile = '"><script>alert(1)</script>'
    saved = await admin.send(form, display_name=hostile)
    assert hostile in saved.text
    assert "<script>alert" not in saved.response.text
    user = await pages.service.admin.get_user(f"{PARENT}/users/renamed")
    assert (user.display_name, user.role) == (hostile, f"{PARENT}/roles/member")
