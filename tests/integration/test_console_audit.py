"""The audit pages: who did what, and whether the trail still says so."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.console import Console, Page, console
from tests.support.database import Cluster
from tests.support.service import service as running


def events(page: Page) -> list[str]:
    """The ids of the events that a page lists, in its order."""
    return [each.removeprefix("/audit/") for each in page.links if each.startswith("/audit/")]


async def test_events_are_found_by_who_did_what_to_what_and_when(pages: Console) -> None:
    ann = await pages.service.person("audited")
    key = (await ann.create_key(display_name="Audited")).key
    await ann.revoke_key(key.name)
    key_id = key.name.rpartition("/")[2]
    today = datetime.now(UTC).date()
    async with pages.browser(pages.service.admin_token) as browser:

        async def found(query: str) -> set[str]:
            page = await browser.get(f"/audit?{query}")
            assert page.status == 200, page.text
            shown = page.response.text.partition("<tbody>")[2]
            return {each for each in ("CreateKey", "RevokeKey", "CreateUser") if each in shown}

        about = f"resource=keys/{key_id}"
        assert await found(about) == {"CreateKey", "RevokeKey"}
        assert await found(f"{about}&action=RevokeKey") == {"RevokeKey"}
        assert await found(f"{about}&actor=audited@example.com") == {"CreateKey", "RevokeKey"}
        assert await found(f"{about}&actor=admin") == set()
        assert await found(f"{about}&outcome=DENIED") == set()
        assert await found(f"{about}&outcome=DONE") == {"CreateKey", "RevokeKey"}
        assert await found(f"{about}&since={today - timedelta(days=1)}&until={today}")
        assert await found(f"{about}&until={today - timedelta(days=1)}") == set()
        assert await found(f"{about}&since={today + timedelta(days=1)}") == set()
        assert await found(f"{about}&client_address=192.0.2.9") == set()
        assert await found("resource=users/audited") == {"CreateUser"}
        assert "No event matches" in (await browser.get(f"/audit?{about}&actor=nobody")).text


async def test_pages_of_events_follow_one_another_without_a_gap(pages: Console) -> None:
    for number in range(60):
        await pages.service.admin.create_key(display_name=f"Paged {number}")
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.get("/audit?action=CreateKey")
        seen = events(page)
        assert len(seen) == 50
        (following,) = {each for each in page.links if "page=" in each}
        assert "action=CreateKey" in following
        page = await browser.get(f"/audit{following}")
        assert events(page)
        assert not set(events(page)) & set(seen)
        assert max(map(int, events(page))) < min(map(int, seen))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "a/b"),
        ("resource", "no resource"),
        ("action", "not a word"),
        ("since", "yesterday"),
        ("until", "2026-13-01"),
        ("client_address", "nowhere"),
        ("seal", "first"),
    ],
)
async def test_a_mistake_is_told_at_its_field(pages: Console, field: str, value: str) -> None:
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.get(f"/audit?{field}={value}")
        assert page.status == 400, page.text
        assert f'id="error-{field}"' in page.response.text, page.text


async def test_an_event_tells_all_of_it_and_hostile_names_do_nothing(pages: Console) -> None:
    name = "<script>alert(1)</script>"
    made = (await pages.service.admin.create_key(display_name=name)).key
    key_id = made.name.rpartition("/")[2]
    async with pages.browser(pages.service.admin_token) as browser:
        (event,) = events(await browser.get(f"/audit?resource=keys/{key_id}"))
        page = await browser.get(f"/audit/{event}")
        assert page.status == 200
        for told in ("CreateKey", "admin@localhost", "127.0.0.1", f"keys/{key_id}", name):
            assert told in page.text, told
        assert "<script>alert" not in page.response.text
        for link in [each for each in page.links if each.startswith("/audit?")]:
            assert (await browser.get(link)).status == 200, link
        for query in ("actor", "resource", "action", "since"):
            page = await browser.get(f"/audit?{query}=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
            assert "<script>alert" not in page.response.text, query


async def only_for_who_may(pages: Console) -> None:
    async with (
        pages.browser(pages.service.admin_token) as admin,
        pages.browser(await pages.person("unaudited")) as member,
    ):
        event = events(await admin.get("/audit"))[0]
        assert "/audit" in (await admin.get("/keys")).links
        assert "/audit" not in (await member.get("/keys")).links
        missing = (await admin.get("/audit/999999999")).text
        for path in ("/audit", "/audit-trail", f"/audit/{event}"):
            page = await member.get(path)
            assert page.status == 404, path
            assert "There is nothing here" in page.text
        assert "There is nothing here" in missing


async def test_for_who_may_not_read_it_there_is_no_audit_trail(pages: Console) -> None:
    await only_for_who_may(pages)


# --- the chain --------------------------------------------------------------------------------


async def a_broken_chain_is_shown(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On a database of its own: what is broken stays so."""
    async with (
        running(await cluster.migrated()) as service,
        console(service, tmp_path_factory.mktemp("console")) as pages,
        pages.browser(service.admin_token) as browser,
    ):
        await service.admin.create_key(display_name="Sealed")
        sealed = (
            "SELECT id FROM keywright.audit_event WHERE action = 'CreateKey' AND seal IS NOT NULL"
        )
        while not (rows := await service.quietly(f"{sealed} ORDER BY id DESC")):
            await service.quietly("SELECT pg_sleep(0.05)")
        page = await browser.get("/audit-trail")
        assert "Intact" in page.text
        assert "Broken" not in page.text

        edited = rows[0]["id"]
        await service.sql("ALTER TABLE keywright.audit_event DISABLE TRIGGER ALL")
        await service.sql(
            "UPDATE keywright.audit_event SET action = 'GetKey' WHERE id = $1", edited
        )
        page = await browser.get("/audit-trail")
        assert "Broken" in page.text
        assert "Intact" not in page.text
        assert "Event changed" in page.text
        assert f"/audit/{edited}" in page.links
        assert (await browser.get(f"/audit/{edited}")).status == 200


async def test_a_broken_chain_is_shown_with_the_event_that_was_edited(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await a_broken_chain_is_shown(cluster, tmp_path_factory)
