"""The console without a browser: roles on resources, given and taken away."""

from urllib.parse import urlencode

from tests.support.console import Browser, Console
from tests.support.service import PARENT, first_admin


async def _give(pages: Console, user: str, resource: str, role: str, grant_id: str = "") -> str:
    grant = {
        "user": f"{PARENT}/users/{user}",
        "resource": resource,
        "role": f"{PARENT}/roles/{role}",
    }
    made = await pages.service.admin.do(
        "CreateGrant", parent=PARENT, grant=grant, grant_id=grant_id
    )
    return str(made.grant.name.rpartition("/")[2])


async def _may(pages: Console, token: str, permission: str, resource: str) -> bool:
    principal = await pages.service.admin.authenticate(token, resource=resource)
    return permission in principal.permissions


async def test_a_role_on_a_resource_counts_at_once_and_no_more_when_taken_away(
    pages: Console, admin: Browser
) -> None:
    token = await pages.person("gita", "labeler")
    given = await admin.send(
        await admin.get("/new-grant"),
        user="gita@example.com",
        resource="projects/abc",
        role="viewer",
    )
    assert given.path == "/grants?user=gita%40example.com&done=given"
    assert await _may(pages, token, "datasets.read", "projects/abc/datasets/1")
    assert not await _may(pages, token, "datasets.read", "projects/other")

    (take,) = (each for each in given.links if each.startswith("/grants/"))
    asked = await admin.get(take)
    assert "projects/abc" in asked.text
    await admin.send(asked)
    assert not await _may(pages, token, "datasets.read", "projects/abc")
    assert (await admin.get(take)).status == 404


async def test_a_form_that_is_sent_twice_gives_once_and_the_same_again_is_told(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("once")
    fields = {"user": "once", "resource": "projects/abc", "role": "viewer"}
    form = await admin.get("/new-grant")
    assert (await admin.send(form, **fields)).status == 200
    twice = await admin.send(form, **fields)
    assert twice.status == 200
    assert len([each for each in twice.links if each.startswith("/grants/")]) == 1
    same = await admin.send(await admin.get("/new-grant"), **fields)
    assert same.status == 409
    assert "already" in same.text
    assert same.form().fields["user"] == "once"


async def test_what_is_wrong_with_a_grant_is_told_beside_its_field(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("wrong")
    for field, wrong in (
        ("user", "nobody-here"),
        ("user", ""),
        ("user", "no id, no address"),
        ("resource", "projects//abc"),
        ("role", "no-such-role"),
        ("role", "workspaces/others/roles/admin"),
    ):
        given = {"user": "wrong", "resource": "projects/abc", "role": "viewer", field: wrong}
        told = await admin.send(await admin.get("/new-grant"), **given)
        assert told.status in {400, 409}, (field, wrong)
        assert f'id="error-{field}"' in told.response.text, (field, wrong)


async def test_grants_are_found_by_user_resource_and_role_and_page_by_page(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("many")
    for number in range(51):
        await _give(pages, "many", f"projects/many-{number}", "viewer")
    first = await admin.get("/grants?user=many&role=viewer")
    (following,) = (each for each in first.links if "page=" in each)
    second = await admin.get(f"/grants{following}")
    listed = {each for page in (first, second) for each in page.links if "/delete" in each}
    assert len(listed) == 51
    only = await admin.get("/grants?resource=projects/many-7")
    assert len([each for each in only.links if "/delete" in each]) == 1
    assert "No grant matches" in (await admin.get("/grants?user=nobody-here")).text
    assert (await admin.get("/grants?page=forged")).status == 400
    assert (await admin.get("/grants?resource=a//b")).status == 400


async def test_somebody_sees_their_own_grants_and_none_of_others(pages: Console) -> None:
    token = await pages.person("own", "labeler")
    await pages.service.admin.create_user("else")
    await _give(pages, "own", "projects/mine", "viewer")
    theirs = await _give(pages, "else", "projects/theirs", "viewer")
    async with pages.browser(token) as browser:
        home = await browser.get("/keys")
        assert "/grants?user=own" in home.links
        listed = await browser.get("/grants")
        assert "projects/mine" in listed.text
        assert "projects/theirs" not in listed.text
        assert not [each for each in listed.links if "/delete" in each]
        assert (await browser.get(f"/grants/{theirs}/delete")).status == 404
        refused = await browser.send(
            await browser.get("/new-grant"), user="own", resource="projects/mine", role="manager"
        )
        assert refused.status in {403, 409}
        own = await browser.get("/grants?resource=projects/mine")
        assert "/new-grant?resource=projects%2Fmine" not in own.links


async def test_a_foreign_grant_looks_like_a_missing_one(pages: Console, admin: Browser) -> None:
    foreign = pages.service.as_caller(await first_admin(pages.service.dsn, "others"))
    await foreign.do(
        "CreateGrant",
        parent="workspaces/others",
        grant_id="foreign",
        grant={
            "user": "workspaces/others/users/admin",
            "resource": "projects/abc",
            "role": "workspaces/others/roles/viewer",
        },
    )
    theirs = await admin.get("/grants/foreign/delete")
    missing = await admin.get("/grants/none-such/delete")
    assert (theirs.status, missing.status) == (404, 404)
    named = await admin.send(
        await admin.get("/new-grant"),
        user="workspaces/others/users/admin",
        resource="projects/abc",
        role="viewer",
    )
    assert 'id="error-user"' in named.response.text


async def test_a_hostile_resource_is_shown_as_text_and_leads_to_its_grants(
    pages: Console, admin: Browser
) -> None:
    await pages.service.admin.create_user("victim")
    hostile = "projects/<script>alert(1)<x>\"'&role=admin"
    refused = await admin.send(
        await admin.get("/new-grant"), user="victim", resource=hostile, role="viewer"
    )
    assert "<script>alert" not in refused.response.text
    filtered = await admin.get(f"/grants?{urlencode({'resource': hostile, 'user': hostile})}")
    assert "<script>alert" not in filtered.response.text
