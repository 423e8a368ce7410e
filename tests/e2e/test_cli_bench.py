"""`keywright bench` against a real server: what it tells, never how fast that is."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.test_cli import Keywright
from tests.support.database import Cluster
from tests.support.service import PARENT, Service, service

pytestmark = pytest.mark.slow  # each command measures for a second or more


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def test_both_calls_are_measured_with_each_number_in_flight(keywright: Keywright) -> None:
    ended = await keywright("bench", "--duration", "1s", "-o", "json")
    assert (ended.code, ended.err) == (0, "")
    measured = ended.json["measured"]
    assert [(each["call"], each["in_flight"]) for each in measured] == [
        ("no-op", 1),
        ("Authenticate", 1),
        ("no-op", 32),
        ("Authenticate", 32),
    ]
    for each in measured:
        assert each["count"] > 0
        assert each["calls_per_second"] > 0
        assert 0 < each["p50"] <= each["p99"]
        assert each["errors"] == {}
        assert each["of_no_op"] == 1 or each["call"] == "Authenticate"


async def test_a_person_reads_a_table(keywright: Keywright) -> None:
    ended = await keywright("bench", "--duration", "1s", "--in-flight", "64")
    assert ended.code == 0
    header, no_op, authenticate = ended.out.splitlines()
    assert header.split()[:3] == ["CALL", "IN", "FLIGHT"]
    assert no_op.split()[:2] == ["no-op", "64"]
    assert authenticate.split()[:2] == ["Authenticate", "64"]
    assert {no_op.split()[-1], authenticate.split()[-1]} == {"0"}


async def test_another_token_comes_from_a_file_or_stdin_and_is_never_shown(
    keywright: Keywright, tmp_path: Path
) -> None:
    token = (await keywright("keys", "create", "-o", "json")).json["token"]
    (tmp_path / "token").write_text(f"{token}\n")
    once = ("bench", "--duration", "1s", "--in-flight", "1")
    for given, stdin in ((str(tmp_path / "token"), ""), ("-", token)):
        ended = await keywright(*once, "--token-file", given, stdin=stdin)
        assert ended.code == 0
        assert token[10:] not in ended.out + ended.err
    wrong = token.replace("kw_live_", "kw_test_")
    denied = await keywright(*once, "--token-file", "-", "-o", "json", stdin=wrong)
    assert denied.code == 9
    assert token[10:] not in denied.err
    assert denied.out == ""


async def test_a_credential_that_does_not_stand_is_told_before_there_is_any_load(
    keywright: Keywright,
) -> None:
    ended = await keywright.with_token("kw_live_nonsense")("bench", "-o", "json")
    assert (ended.code, ended.out) == (3, "")


async def test_what_is_not_there_is_unavailable(keywright: Keywright, tmp_path: Path) -> None:
    ended = await keywright("bench", "--uri", f"unix:{tmp_path}/absent.sock", "-o", "json")
    assert (ended.code, ended.out) == (8, "")
    assert ended.error["code"] == "UNAVAILABLE"
    assert "absent.sock" in ended.error["message"]


async def test_calls_that_fail_under_load_are_counted_by_reason(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        keywright = Keywright(running.uri, running.admin_token)
        made = await keywright("keys", "create", "--key-id", "falls", "-o", "json")
        (tmp_path / "token").write_text(made.json["token"])
        measuring = asyncio.create_task(
            keywright(
                *("bench", "--duration", "8s", "--in-flight", "4", "-o", "json"),
                *("--token-file", str(tmp_path / "token")),
            )
        )
        async with asyncio.timeout(30):
            while not (await running.admin.get_key(f"{PARENT}/keys/falls")).HasField(
                "last_used_time"
            ):
                pass
        await running.admin.revoke_key(f"{PARENT}/keys/falls")
        ended = await measuring
    no_op, authenticate = ended.json["measured"]
    assert ended.code == 8
    assert no_op["errors"] == {}
    assert authenticate["errors"]["KEY_REVOKED"] > 0
