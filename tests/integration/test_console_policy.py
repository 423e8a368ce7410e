"""The policy page: what it says is in force, and nobody overwrites another unknowingly."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from keywright.console.csrf import FIELD as CSRF
from keywright.v1 import workspace_pb2
from tests.support.console import Console
from tests.support.service import PARENT


@pytest.fixture(autouse=True)
async def _as_it_was(pages: Console) -> AsyncIterator[None]:
    """Each test leaves the workspace as the next one expects it."""
    before = await workspace(pages)
    yield
    before.etag = ""
    mask = {"paths": ["display_name", "policy", "environments", "permission_catalog"]}
    await pages.service.admin.do("UpdateWorkspace", workspace=before, update_mask=mask)


async def workspace(pages: Console) -> Any:
    """The workspace as it is."""
    return (await pages.service.admin.do("GetWorkspace", name=PARENT)).workspace


async def test_what_is_saved_is_in_force_and_shown_again(pages: Console) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.send(
            await browser.get("/policy"),
            display_name="Acme",
            expiry_required="yes",
            max_ttl_count="26",
            max_ttl_unit="week",
            default_ttl_count="90",
            default_ttl_unit="day",
            rotation_reminder_count="30",
            rotation_reminder_unit="day",
            key_creation="ADMINS",
            max_keys_per_user="5",
            free_binding="yes",
            environments="live\r\nstaging",
            catalog="kept",
            permissions="datasets.read Look at <b>datasets</b>\r\n\r\n datasets.write\r\n",
        )
        assert page.status == 200, page.text
        assert "saved" in page.text
        found = await workspace(pages)
        policy = found.policy
        assert found.display_name == "Acme"
        assert policy.max_ttl.ToTimedelta() == timedelta(weeks=26)
        assert policy.default_ttl.ToTimedelta() == timedelta(days=90)
        assert policy.rotation_reminder.ToTimedelta() == timedelta(days=30)
        assert policy.expiry_required
        assert policy.free_binding
        assert policy.max_keys_per_user == 5
        assert policy.key_creation == workspace_pb2.KEY_CREATION_ADMINS
        assert list(found.environments) == ["live", "staging"]
        assert {each.permission: each.description for each in found.permission_catalog.entries} == {
            "datasets.read": "Look at <b>datasets</b>",
            "datasets.write": "",
        }
        assert "<b>datasets" not in page.response.text, "it is text, whatever is in it"

        shown = page.form().fields
        assert (shown["max_ttl_count"], shown["max_ttl_unit"]) == ("26", "week")
        assert shown["expiry_required"] == "yes"
        assert "datasets.write" in shown["permissions"]
        assert "26 weeks" in (await browser.get("/new-key")).text, "it counts for keys"

        # What is emptied is taken away.
        emptied = dict.fromkeys(("max_ttl_count", "max_ttl_unit", "max_keys_per_user"), "")
        fields = {**shown, **emptied, "catalog": "free"}
        fields = {name: each for name, each in fields.items() if name != "expiry_required"}
        page = await browser.post("/policy", fields)
        assert "saved" in page.text
        found = await workspace(pages)
        assert not found.policy.HasField("max_ttl")
        assert not found.policy.expiry_required
        assert found.policy.max_keys_per_user == 0
        assert not found.HasField("permission_catalog")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"max_ttl_count": "some", "max_ttl_unit": "week"}, "max_ttl_count"),
        ({"max_ttl_count": "3", "max_ttl_unit": ""}, "max_ttl_unit"),
        ({"max_ttl_count": "3", "max_ttl_unit": "second"}, "max_ttl_count"),
        ({"max_ttl_count": "999999999", "max_ttl_unit": "week"}, "max_ttl_count"),
        (
            {
                "max_ttl_count": "1",
                "max_ttl_unit": "day",
                "default_ttl_count": "2",
                "default_ttl_unit": "day",
            },
            "default_ttl_count",
        ),
        (
            {"rotation_reminder_count": "1", "rotation_reminder_unit": "hour"},
            "rotation_reminder_count",
        ),
        ({"max_keys_per_user": "-1"}, "max_keys_per_user"),
        ({"key_creation": "NOBODY"}, "key_creation"),
        ({"environments": "  "}, "environments"),
        ({"environments": "LIVE!"}, "environments"),
        ({"environments": "live live"}, "environments"),
        ({"catalog": "kept", "permissions": "datasets..read Look"}, "permissions"),
    ],
)
async def test_a_mistake_is_told_at_its_field_and_nothing_is_saved(
    pages: Console, fields: dict[str, str], wrong: str
) -> None:
    before = await workspace(pages)
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.send(
            await browser.get("/policy"), **{"display_name": "Never saved", **fields}
        )
        assert page.status == 400, page.text
        assert f'id="error-{wrong}"' in page.response.text, page.text
        assert f'href="#field-{wrong}"' in page.response.text
        shown = page.form().fields
        assert shown["display_name"] == "Never saved", "what was entered is kept"
        if wrong != "key_creation":
            assert shown[wrong].strip() == fields[wrong].strip()
    assert await workspace(pages) == before


async def an_environment_in_use_stays(pages: Console) -> None:
    await pages.service.admin.create_key(environment="test")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.send(await browser.get("/policy"), environments="live")
        assert page.status == 409
        assert 'id="error-environments"' in page.response.text, page.text
    assert "test" in (await workspace(pages)).environments


async def test_an_environment_that_keys_are_of_is_not_taken_away(pages: Console) -> None:
    await an_environment_in_use_stays(pages)


async def changed_by_two(pages: Console) -> None:
    """The second one is told what it would overwrite, and keeps what was entered."""
    async with (
        pages.browser(pages.service.admin_token) as first,
        pages.browser(pages.service.admin_token) as second,
    ):
        seen = await second.get("/policy")
        await first.send(
            await first.get("/policy"), max_keys_per_user="3", display_name="By the <i>first</i>"
        )
        page = await second.send(seen, max_keys_per_user="9")
        assert page.status == 409
        assert "Somebody else has changed this" in page.text
        assert "at most" in page.text
        assert "Keys of each user: 3" in page.text
        assert "By the <i>first</i>" in page.text
        assert "<i>first" not in page.response.text
        assert page.form().fields["max_keys_per_user"] == "9"
        assert (await workspace(pages)).policy.max_keys_per_user == 3

        page = await second.send(page)
        assert "saved" in page.text
        assert (await workspace(pages)).policy.max_keys_per_user == 9


async def test_nobody_overwrites_what_somebody_else_has_saved_meanwhile(pages: Console) -> None:
    await changed_by_two(pages)


async def test_a_form_that_is_sent_twice_is_saved_once(pages: Console) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.get("/policy")
        assert "saved" in (await browser.send(page, max_keys_per_user="7")).text
        again = await browser.send(page, max_keys_per_user="7")
        assert "saved" in again.text, again.text
        events = await pages.service.admin.do(
            "ListAuditEvents", parent=PARENT, filter={"actions": ["UpdateWorkspace"]}
        )
    sent = page.form().fields["request_id"]
    assert len([each for each in events.audit_events if each.request_id == sent]) == 1


async def only_for_who_may(pages: Console) -> None:
    before = await workspace(pages)
    async with (
        pages.browser(await pages.person("unruly")) as member,
        pages.browser(pages.service.admin_token) as admin,
    ):
        assert "/policy" not in (await member.get("/keys")).links
        page = await member.get("/policy")
        assert page.status == 404
        assert "There is nothing here" in page.text
        fields = (await admin.get("/policy")).form().fields
        fields[CSRF] = (await member.get("/new-key")).form().fields[CSRF]
        assert (await member.post("/policy", fields)).status == 404
    assert await workspace(pages) == before


async def test_for_who_may_not_set_it_there_is_no_policy_page(pages: Console) -> None:
    await only_for_who_may(pages)
