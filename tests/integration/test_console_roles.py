"""The console without a browser: roles, and what a change of one does to those who have it."""

from keywright.console.permissions import OWN
from keywright.domain.permissions import CROSSING, SERVICE_PERMISSIONS
from tests.support.console import Browser, Console
from tests.support.service import PARENT, first_admin, refusal


async def _role(pages: Console, role_id: str, *permissions: str, **role: object) -> None:
    await pages.service.admin.do(
        "CreateRole",
        parent=PARENT,
        role_id=role_id,
        role={"permissions": permissions, "may_hold_keys": True, **role},
    )


async def _permissions(pages: Console, role_id: str) -> set[str]:
    reply = await pages.service.admin.do("GetRole", name=f"{PARENT}/roles/{role_id}")
    return set(reply.role.permissions)


def test_every_permission_of_the_service_is_explained() -> None:
    assert set(OWN) == SERVICE_PERMISSIONS - CROSSING


async def test_a_role_is_put_together_and_gives_what_it_says(
    pages: Console, admin: Browser
) -> None:
    form = await admin.get("/new-role")
    fields = {"role_id": "reviewer", "permissions": "keys.own labels.read\nlabels.review"}
    added = await admin.send(form, **fields)
    again = await admin.send(form, **fields)
    assert (added.status, added.path, again.path) == (
        200,
        "/roles/reviewer?done=added",
        "/roles/reviewer?done=added",
    )
    assert await _permissions(pages, "reviewer") == {"keys.own", "labels.read", "labels.review"}
    token = await pages.person("rolf", "reviewer")
    principal = await pages.service.admin.authenticate(token)
    assert set(principal.permissions) == {"keys.own", "labels.read", "labels.review"}


async def test_a_change_tells_whom_it_touches_and_counts_at_once_when_confirmed(
    pages: Console, admin: Browser
) -> None:
    await _role(pages, "changed", "labels.read", "labels.write")
    token = await pages.person("tess", "changed")
    asked = await admin.send(
        await admin.get("/roles/changed/edit"), permissions="labels.read keys.own"
    )
    assert "1 user" in asked.text
    assert "Takes away labels.write" in asked.text
    assert await _permissions(pages, "changed") == {"labels.read", "labels.write"}
    (back,) = (each for each in asked.links if each.startswith("/roles/changed/edit?"))
    assert "keys.own" in (await admin.get(back)).form().fields["permissions"].split()

    saved = await admin.send(asked)
    assert saved.path == "/roles/changed?done=saved"
    principal = await pages.service.admin.authenticate(token)
    assert set(principal.permissions) == {"labels.read", "keys.own"}


async def test_a_name_is_changed_without_being_asked(pages: Console, admin: Browser) -> None:
    await _role(pages, "named", "labels.read")
    saved = await admin.send(await admin.get("/roles/named/edit"), display_name="Reader")
    assert saved.path == "/roles/named?done=saved"
    assert await _permissions(pages, "named") == {"labels.read"}


async def test_the_second_of_two_admins_is_told_what_the_first_did_and_keeps_the_input(
    pages: Console, admin: Browser
) -> None:
    await _role(pages, "raced", "labels.read")
    form = await admin.get("/roles/raced/edit")
    await admin.send(await admin.get("/roles/raced/edit"), display_name="By the first")
    late = await admin.send(form, display_name="By the second")
    assert late.status == 409
    assert "By the first" in late.text
    assert "admin@localhost" in late.text
    assert late.form().fields["display_name"] == "By the second"
    assert (await admin.send(late)).path == "/roles/raced?done=saved"


async def test_a_session_that_ends_in_mid_form_loses_no_input(pages: Console) -> None:
    await _role(pages, "kept", "labels.read")
    async with pages.browser(pages.service.admin_token) as browser:
        form = await browser.get("/roles/kept/edit")
        await pages.service.admin.do("RevokeSessions", parent=PARENT, user=f"{PARENT}/users/admin")
        asked = await browser.send(
            form, display_name="Kept", permissions="keys.own labels.*", may_hold_keys="yes"
        )
        assert asked.path.startswith("/sign-in")
        back = await browser.send(asked, "/sign-in/key", token=pages.service.admin_token)
        assert back.path.startswith("/roles/kept/edit")
        filled = back.form().fields
        assert filled["display_name"] == "Kept"
        assert set(filled["permissions"].split()) == {"keys.own", "labels.*"}
        assert (await browser.send(await browser.send(back))).path == "/roles/kept?done=saved"
    assert await _permissions(pages, "kept") == {"keys.own", "labels.*"}


async def test_a_role_that_somebody_has_stays_and_one_that_nobody_has_goes(
    pages: Console, admin: Browser
) -> None:
    await _role(pages, "used", "labels.read")
    await pages.service.admin.create_user("uma", "used")
    refused = await admin.send(await admin.get("/roles/used/delete"))
    assert refused.status == 409
    assert "1 user" in refused.text

    await pages.service.admin.do("DeleteUser", name=f"{PARENT}/users/uma")
    gone = await admin.send(await admin.get("/roles/used/delete"))
    assert gone.path == "/roles?done=deleted"
    assert (await admin.get("/roles/used")).status == 404


async def test_a_built_in_role_is_not_changed(pages: Console, admin: Browser) -> None:
    shown = await admin.get("/roles/member")
    assert not [each for each in shown.links if each.startswith("/roles/member/")]
    before = await _permissions(pages, "member")
    asked = await admin.send(await admin.get("/roles/member/edit"), permissions="*")
    assert (await admin.send(asked)).status == 409
    assert (await admin.send(await admin.get("/roles/member/delete"))).status == 409
    assert await _permissions(pages, "member") == before


async def test_what_is_wrong_with_a_role_is_told_beside_its_field(admin: Browser) -> None:
    for field, wrong in (
        ("role_id", "Not An Id"),
        ("role_id", ""),
        ("role_id", "member"),
        ("permissions", "no..pattern"),
    ):
        given = {"role_id": "wrong", "description": "kept", field: wrong}
        told = await admin.send(await admin.get("/new-role"), **given)
        assert told.status in {400, 409}
        assert f'id="error-{field}"' in told.response.text, (field, wrong)
        assert told.form().fields["description"] == "kept"


async def test_who_manages_roles_cannot_give_more_than_they_have(pages: Console) -> None:
    await _role(pages, "roles-only", "keys.own", "roles.read", "roles.manage", "labels.read")
    async with pages.browser(await pages.person("rachel", "roles-only")) as browser:
        refused = await browser.send(
            await browser.get("/new-role"), role_id="higher", permissions="labels.read datasets.*"
        )
        assert refused.status == 403
        assert 'id="error-permissions"' in refused.response.text
        own = await browser.send(
            await browser.get("/new-role"), role_id="equal", permissions="labels.read"
        )
        assert own.status == 200, own.text
    reason = await refusal(pages.service.admin.do("GetRole", name=f"{PARENT}/roles/higher"))
    assert reason.reason == "RESOURCE_NOT_FOUND"


async def test_who_may_only_see_roles_is_offered_no_change_and_refused_one(pages: Console) -> None:
    await _role(pages, "seen", "labels.read")
    async with pages.browser(await pages.person("mia", "member")) as browser:
        listed = await browser.get("/roles")
        assert "/roles/seen" in listed.links
        assert "/new-role" not in listed.links
        for path in ("/new-role", "/roles/seen/edit"):
            assert (await browser.get(path)).status == 403
        asked = await browser.get("/roles/seen/delete")
        assert (await browser.send(asked)).status == 403
    async with pages.browser(await pages.person("lea", "labeler")) as browser:
        assert (await browser.get("/roles")).status == 403
        assert (await browser.get("/roles/seen")).status == 403
        assert (await browser.get("/roles/none-such")).status == 403
        assert (await browser.get("/roles/labeler")).status == 200


async def test_a_foreign_role_looks_like_a_missing_one(pages: Console, admin: Browser) -> None:
    foreign = pages.service.as_caller(await first_admin(pages.service.dsn, "others"))
    await foreign.do("CreateRole", parent="workspaces/others", role_id="foreign", role={})
    for page in ("", "/edit", "/delete"):
        theirs = await admin.get(f"/roles/foreign{page}")
        missing = await admin.get(f"/roles/none-such{page}")
        assert (theirs.status, missing.status) == (404, 404)


async def test_a_hostile_description_is_shown_as_text(pages: Console, admin: Browser) -> None:
    hostile = '"><script>alert(1)</script>'
    await _role(pages, "hostile", "labels.read", display_name=hostile, description=hostile)
    for path in ("/roles", "/roles/hostile", "/roles/hostile/edit", "/roles/hostile/delete"):
        page = await admin.get(path)
        assert page.status == 200
        assert "<script>alert" not in page.response.text
    asked = await admin.send(await admin.get("/roles/hostile/edit"), permissions="labels.write")
    assert "<script>alert" not in asked.response.text
    assert (await admin.send(asked)).path == "/roles/hostile?done=saved"


async def test_the_catalogue_helps_and_a_typing_error_is_told(
    pages: Console, admin: Browser
) -> None:
    entries = [{"permission": "datasets.read", "description": "Look at datasets"}]
    workspace = {"name": PARENT, "permission_catalog": {"entries": entries}}
    await pages.service.admin.do(
        "UpdateWorkspace", workspace=workspace, update_mask={"paths": ["permission_catalog"]}
    )
    form = await admin.get("/new-role")
    assert "Look at datasets" in form.text
    told = await admin.send(form, role_id="catalogued", permissions="datasets.raed")
    assert told.status == 400
    assert 'id="error-permissions"' in told.response.text
    added = await admin.send(form, role_id="catalogued", permissions="datasets.read")
    assert added.status == 200
