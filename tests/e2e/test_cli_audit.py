"""The command line against a real server: the audit trail, verified, exported, and checked."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from keywright.sdk import AuditOutcome, Client
from keywright.sdk.audit_export import check_export
from tests.e2e.test_cli import Keywright
from tests.support.audit import Trail, new_trail, opened
from tests.support.service import Service

pytestmark = pytest.mark.slow  # dozens of commands, each a process


@pytest.fixture(name="trail")
async def _trail(service: Service) -> Any:
    """A trail of three seals or four."""
    async with opened(service.dsn) as database:
        yield await new_trail(service, database, 3, 5, 2)


@pytest.fixture(name="keywright")
def _keywright(service: Service, trail: Trail) -> Keywright:
    assert trail.admin.token is not None
    return Keywright(service.uri, trail.admin.token)


async def test_events_are_listed_and_shown(keywright: Keywright) -> None:
    await keywright("keys", "create", "--key-id", "ci", "--display-name", "one")
    await keywright("keys", "update", "ci", "--display-name", "two")
    table = await keywright("audit", "list", "--resource", "keys/ci", "--since", "1h")
    assert table.code == 0, table.err
    header, newest, oldest = table.out.splitlines()
    assert header.split() == [
        "TIME", "ID", "ACTION", "OUTCOME", "RESOURCE", "ACTOR", "CREDENTIAL", "ADDRESS",
    ]  # fmt: skip
    assert "UpdateKey  done     keys/ci  " in newest
    assert "CreateKey" in oldest
    listed = await keywright(
        *("audit", "list", "--resource", "keys/ci", "--action", "UpdateKey"),
        *("--outcome", "done", "--actor", "admin", "--until", "2999-01-01T00:00:00Z"),
        *("-o", "json"),
    )
    (event,) = listed.json["events"]
    assert event["changes"] == [{"field": "display_name", "before": '"one"', "after": '"two"'}]
    shown = await keywright("audit", "get", event["name"].rpartition("/")[2])
    assert 'display_name: "one" -> "two"' in shown.out
    (created,) = oldest.split()[2:3]
    shown = await keywright("audit", "get", created)
    rows = [line.strip() for line in shown.out.splitlines()]
    assert 'environment: "live"' in rows
    assert not any(row.startswith(("labels:", "scopes:")) for row in rows)


async def test_what_is_more_than_was_asked_for_is_told(keywright: Keywright) -> None:
    one = await keywright("audit", "list", "--limit", "1")
    assert len(one.out.splitlines()) == 2
    assert one.err == "There are more than these 1: give --limit, or --until.\n"
    everything = await keywright("audit", "list", "--limit", "1000")
    assert everything.err == ""
    one = await keywright("audit", "list", "--limit", "1", "-o", "json")
    assert len(one.json["events"]) == 1


async def test_a_filter_that_can_match_nothing_is_refused_and_not_answered_with_no_events(
    keywright: Keywright,
) -> None:
    await keywright("keys", "create", "--key-id", "ci-2")
    me = (await keywright("whoami", "-o", "json")).json["credential"]["name"].rpartition("/")[2]
    for credential in (me, f"keys/{me}"):
        found = await keywright("audit", "list", "--credential", credential, "-o", "json")
        assert found.json["events"][0]["resource"].endswith("/keys/ci-2")
    for wrong, field in (
        (("--resource", "ci-2"), "filter.resource"),
        (("--action", "createkey"), "filter.actions[0]"),
        (("--since", "1h", "--until", "2h"), "filter.end_time"),
    ):
        refused = await keywright("audit", "list", *wrong)
        assert refused.code == 6
        assert field in refused.err


async def test_a_trail_is_verified_and_a_broken_one_ends_with_10(
    keywright: Keywright, trail: Trail
) -> None:
    intact = await keywright("audit", "verify")
    assert intact.code == 0
    assert intact.out.startswith("Intact: ")
    event_id = await trail.value(
        "UPDATE keywright.audit_event SET actor = 'x' WHERE id ="
        " (SELECT max(id) FROM keywright.audit_event WHERE workspace_id = $1) RETURNING id"
    )
    broken = await keywright("audit", "verify")
    assert broken.code == 10
    assert broken.out.startswith("BROKEN after seal ")
    assert f"EVENT_CHANGED: event {event_id} is not as it was sealed" in broken.out
    told = await keywright("audit", "verify", "-o", "json")
    assert told.code == 10
    assert told.json["intact"] is False
    assert told.json["first_break"]["kind"] == "EVENT_CHANGED"


async def test_an_export_goes_on_where_another_ended_and_finds_what_was_cut_off_later(
    keywright: Keywright, trail: Trail, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    assert (await keywright("audit", "export", str(file))).code == 0
    first = check_export(file.read_text().splitlines())
    assert first.event_count == await trail.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
    )
    nowhere = await keywright("audit", "export", str(tmp_path / "no" / "file"))
    assert nowhere.code == 2
    assert "cannot be written: No such file" in nowhere.err.replace("\n", " ")
    again = await keywright("audit", "export", str(file))
    assert again.code == 2
    assert "is there already" in again.err

    await trail.add(4)
    more = await keywright("audit", "export", "--after-seal", str(first.last_seal.number))
    assert len(more.out.splitlines()) == 5
    with file.open("a") as to:
        to.write(more.out)
    verified = await keywright("audit", "verify", "--export", str(file))
    assert verified.code == 0, verified.out

    last = first.last_seal.number + 1
    for statement in (
        "DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal = $2",
        "DELETE FROM keywright.audit_seal WHERE workspace_id = $1 AND number = $2",
        """
        UPDATE keywright.audit_chain c SET number = s.number, digest = s.digest
        FROM keywright.audit_seal s
        WHERE s.workspace_id = $1 AND c.workspace_id = $1 AND s.number = $2 - 1
        """,
    ):
        await trail.sql(statement, last)
    assert (await keywright("audit", "verify")).code == 0
    cut = await keywright("audit", "verify", "--export", str(file))
    assert cut.code == 10
    assert f"SEAL_MISSING: seal {last} is missing" in cut.out


async def test_an_export_that_was_tampered_with_is_told_without_a_server(
    keywright: Keywright, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    await keywright("audit", "export", str(file))
    text = file.read_text()
    file.write_text(text.replace("UpdateKey", "RevokeKey", 1))
    broken = await Keywright("127.0.0.1:1", keywright.token)(
        "audit", "verify", "--export", str(file)
    )
    assert broken.code == 10
    assert "is a seal of other events" in broken.out
    missing = await keywright("audit", "verify", "--export", str(tmp_path / "nothing"))
    assert missing.code == 2


async def test_a_program_reads_the_trail_with_the_client(service: Service, trail: Trail) -> None:
    def use() -> None:
        with Client(service.uri, trail.admin.token) as client:
            events = list(client.audit.list(page_size=2, include_records=True))
            assert {each.outcome for each in events} == {AuditOutcome.DONE}
            assert all(json.loads(each.record)["id"] == int(each.id) for each in events)
            assert client.audit.get(events[0].id).name == events[0].name
            seals = list(client.audit.seals(page_size=1))
            assert [each.number for each in seals] == list(range(1, len(seals) + 1))
            assert list(client.audit.seals(after_seal="1")) == seals[1:]
            verified = client.audit.verify(known_seal=seals[1])
            assert verified.intact
            assert verified.event_count == len(events)
            assert verified.last_seal == seals[-1]

    await asyncio.to_thread(use)
