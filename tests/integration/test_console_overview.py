"""The overview: its figures are those of the lists behind them, and of what was counted."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.console import Console, console
from tests.support.database import Cluster
from tests.support.service import ADMIN, PARENT, Service
from tests.support.service import service as running


async def used(service: Service, key: str, outcome: str, count: int, *, ago: timedelta) -> None:
    """Count uses of a key, as a server does it."""
    await service.quietly(
        "INSERT INTO keywright.key_usage (key, workspace, key_id, hour, outcome, count) "
        "SELECT id, workspace_id, key_id, date_trunc('hour', $2::timestamptz), $3, $4 FROM "
        "(SELECT k.id, k.workspace AS workspace_id, k.key_id FROM keywright.key k) k "
        "WHERE key_id = $1 ON CONFLICT (key, hour, outcome) "
        "DO UPDATE SET count = key_usage.count + excluded.count",
        key.rpartition("/")[2],
        datetime.now(UTC) - ago,
        outcome,
        count,
    )


async def test_keys_are_counted_by_state_and_as_their_lists_have_them(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with (
        running(await cluster.migrated()) as service,
        console(service, tmp_path_factory.mktemp("console")) as pages,
        pages.browser(service.admin_token) as browser,
    ):
        admin = service.admin
        names = [
            (await admin.create_key(display_name=f"Counted {number}")).key.name
            for number in range(6)
        ]
        await admin.do("DisableKey", name=names[0])
        await admin.revoke_key(names[1])
        await admin.revoke_key(names[2])
        await admin.create_key(display_name="Ends soon", ttl=timedelta(days=3))
        await service.sql(
            "UPDATE keywright.key SET create_time = create_time - interval '100 days' "
            "WHERE key_id = $1",
            names[3].rpartition("/")[2],
        )
        page = await browser.get("/overview")
        # The admin's own, three of the six, and the one that ends soon.
        for told in ("Active 5", "Disabled 1", "Expired 0", "Revoked 2"):
            assert told in page.text, page.text
        assert "1 expire within 2 weeks" in page.text
        assert "1 not used for 90 days" in page.text
        assert "No reminder to rotate is set" in page.text

        paths = [each for each in page.links if each.startswith("/keys?owner=all&state=")]
        listed = [
            (await browser.get(each)).response.text.count('class="main-link"') for each in paths
        ]
        assert listed == [5, 1, 0, 2, 1, 1]


async def test_uses_are_shown_over_the_time_that_is_asked_for_and_by_reason(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with (
        running(await cluster.migrated()) as service,
        console(service, tmp_path_factory.mktemp("console")) as pages,
        pages.browser(service.admin_token) as browser,
    ):
        key = (await service.admin.create_key()).key.name
        assert "No key was used" in (await browser.get("/overview?range=7d")).text
        for outcome, count, ago in (
            ("ALLOWED", 1000, timedelta(hours=2)),
            ("ALLOWED", 20_000, timedelta(days=3)),
            ("ALLOWED", 300_000, timedelta(days=20)),
            ("ALLOWED", 7_000_000, timedelta(days=50)),
            ("KEY_EXPIRED", 40, timedelta(hours=2)),
            ("PERMISSION_MISSING", 7, timedelta(days=3)),
        ):
            await used(service, key, outcome, count, ago=ago)

        page = await browser.get("/overview?range=24h")
        assert "1,000 allowed and 40 denied in the last 24 hours" in page.text
        assert "Permission missing" not in page.text
        page = await browser.get("/overview?range=7d")
        assert "21,000 allowed and 47 denied in the last 7 days" in page.text
        assert "Key expired 40" in page.text
        assert "Permission missing 7" in page.text
        table = page.response.text.partition("Show as a table")[2]
        for figure in ("20,000", "1,000", ">40<"):
            assert figure in table, "whoever cannot see the chart has it as a table"
        page = await browser.get("/overview?range=30d")
        assert "321,000 allowed and 47 denied in the last 30 days" in page.text
        page = await browser.get("/overview?range=%3Cscript%3E")
        assert "in the last 7 days" in page.text


async def test_each_sees_what_they_may(pages: Console) -> None:
    admin = pages.service.admin
    await admin.do(
        "CreateRole",
        parent=PARENT,
        role_id="counter",
        role={"permissions": ["usage.read", "keys.own"], "may_hold_keys": True},
    )
    async with (
        pages.browser(pages.service.admin_token) as everything,
        pages.browser(await pages.person("counting", "counter")) as usage,
        pages.browser(await pages.person("plain")) as nothing,
    ):
        page = await everything.get("/")
        assert page.path == "/overview"
        assert "Keys by state" in page.text
        assert "How keys are used" in page.text

        page = await usage.get("/")
        assert page.path == "/overview"
        assert "Keys by state" not in page.text
        assert "How keys are used" in page.text

        page = await nothing.get("/")
        assert page.path == "/keys"
        assert "/overview" not in page.links
        assert (await nothing.get("/overview")).status == 404


async def test_what_is_not_rotated_for_as_long_as_the_policy_says_is_counted(
    pages: Console,
) -> None:
    admin = pages.service.admin
    made = (await admin.create_key(user=ADMIN, display_name="Old")).key.name
    await pages.service.sql(
        "UPDATE keywright.key_secret s SET create_time = s.create_time - interval '40 days' "
        "FROM keywright.key k WHERE k.id = s.key AND k.key_id = $1",
        made.rpartition("/")[2],
    )
    await admin.do(
        "UpdateWorkspace",
        workspace={
            "name": PARENT,
            "display_name": "<script>alert(1)</script>",
            "policy": {"rotation_reminder": timedelta(days=30)},
        },
        update_mask={"paths": ["display_name", "policy.rotation_reminder"]},
    )
    async with pages.browser(pages.service.admin_token) as browser:
        page = await browser.get("/overview")
        assert "1 not rotated for 30 days" in page.text
        (path,) = (each for each in page.links if "unrotated_since=" in each)
        listed = await browser.get(path)
        assert "Old" in listed.text
        assert listed.response.text.count('class="main-link"') == 1
        assert "<script>alert(1)</script>" in page.text
        assert "<script>alert" not in page.response.text
