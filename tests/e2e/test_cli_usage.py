"""The command line against a real server: usage of keys, and tokens that were found."""

import asyncio

import pytest

from tests.e2e.test_cli import Keywright
from tests.support.database import Cluster
from tests.support.service import Service, service

pytestmark = pytest.mark.slow  # dozens of commands, each a process


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def test_the_usage_of_a_key_is_told_by_hour_and_reason(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        keywright = Keywright(running.uri, running.admin_token)
        made = await keywright("keys", "create", "--key-id", "ci", "-o", "json")
        token = made.json["token"]
        assert (await keywright("authenticate", stdin=token)).code == 0
        await keywright("keys", "disable", "ci")
        assert (await keywright("authenticate", stdin=token)).code == 9
        async with asyncio.timeout(20):
            while not (points := (await keywright("usage", "ci", "-o", "json")).json["usage"]) or (
                not points[0]["denials"]
            ):
                pass
        table = await keywright("usage", "ci", "--since", "2h", "--interval", "day")
    assert points[0]["key"] == "workspaces/default/keys/ci"
    assert (points[0]["allowed_count"], points[0]["denials"]) == (1, {"KEY_DISABLED": 1})
    header, line = table.out.splitlines()
    assert header.split() == ["BEGINS", "KEY", "ALLOWED", "DENIED"]
    assert line.split()[2:] == ["ci", "1", "KEY_DISABLED", "1"]


async def test_too_long_a_time_is_refused(keywright: Keywright) -> None:
    ended = await keywright("usage", "--since", "520w", "-o", "json")
    assert ended.code == 6
    assert ended.error["violations"][0]["field"] == "end_time"


async def test_a_token_that_was_found_is_reported(keywright: Keywright) -> None:
    token = (await keywright("keys", "create", "-o", "json")).json["token"]
    nobody = keywright.with_token("")
    for found in (token, token, "nonsense"):
        reported = await nobody("keys", "report-leak", "--source", "a log", stdin=found)
        assert (reported.code, reported.out, reported.err) == (0, "", "Reported.\n")
    denied = await keywright("authenticate", "-o", "json", stdin=token)
    assert denied.error["reason"] == "KEY_REVOKED"
    shown = await keywright("keys", "report-leak", token)
    assert shown.code == 2
    assert token[30:] not in shown.err
