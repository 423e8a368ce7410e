"""A stolen key: who used it, from where, when, and what it changed, from audit and usage alone.

Goes through docs/guides/incident.md, in its order.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_cli import Keywright
from tests.support.database import Cluster
from tests.support.service import Service, another, refusal, service

pytestmark = pytest.mark.slow  # dozens of commands, each a process

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "incident.md"
OFFICE, THIEF = "198.51.100.7", "203.0.113.9"


async def stolen(running: Service) -> tuple[str, str]:
    """A key that its owner used and a thief uses; the key that the thief made with it."""
    ann = await running.admin.create_user("ann", email="ann@acme.example")
    token = (await running.admin.create_key(key_id="ci-deploy", user=ann.name)).token
    key = running.as_caller(token)
    await running.admin.authenticate(token, client_address=OFFICE)
    made = await key.create_key(display_name="back door")
    await refusal(key.create_user("accomplice"))
    await refusal(
        running.admin.authenticate(
            token, required_permissions=["users.manage"], client_address=THIEF
        )
    )
    await running.admin.authenticate(token, client_address=THIEF)
    return token, made.key.name


async def events(keywright: Keywright, *asked: str) -> list[dict[str, Any]]:
    listed = await keywright("audit", "list", *asked, "-o", "json")
    found: list[dict[str, Any]] = listed.json["events"]
    return found


async def test_an_incident_is_answered_from_audit_and_usage_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        keywright = Keywright(running.uri, running.admin_token)
        token, back_door = await stolen(running)
        assert (await keywright("keys", "revoke", "--yes", "ci-deploy")).code == 0
        for _ in range(3):
            await refusal(running.admin.authenticate(token, client_address=THIEF))
        # A stop writes all that was counted; a server that starts again has the same trail.
        await running.process.stop()

    async with another(running) as again:
        keywright = Keywright(again.uri, running.admin_token)
        # 2. Who used it, from where, and when?
        key = (await keywright("keys", "get", "ci-deploy", "-o", "json")).json
        assert key["user_email"] == "ann@acme.example"
        assert key["last_used_address"] == THIEF
        usage = (await keywright("usage", "ci-deploy", "--since", "30d", "-o", "json")).json
        allowed = sum(point["allowed_count"] for point in usage["usage"])
        assert allowed == 4  # presented twice, and two calls with it as their own credential
        denials = [point["denials"] for point in usage["usage"]]
        assert sum(each.get("PERMISSION_MISSING", 0) for each in denials) == 1
        assert sum(each.get("KEY_REVOKED", 0) for each in denials) == 3
        noticed = await events(keywright, "--resource", "keys/ci-deploy", "--outcome", "noticed")
        assert {each["action"] for each in noticed} == {"RevokedTokenPresented"}
        assert sum(each["count"] for each in noticed) == 3
        assert {each["client_address"] for each in noticed} == {THIEF}

        # 3. What did it change?
        done = await events(keywright, "--credential", "keys/ci-deploy", "--since", "30d")
        assert [(each["action"], each["outcome"]) for each in done] == [
            ("CreateUser", "DENIED"),
            ("CreateKey", "DONE"),
        ]
        refused, created = done
        assert refused["reason"] == "CALLER_PERMISSION_MISSING"
        assert created["resource"] == back_door
        assert created["client_address"] == "127.0.0.1"
        assert created["actor_email"] == "ann@acme.example"
        shown = await keywright("audit", "get", created["name"].rpartition("/")[2])
        assert '"back door"' in shown.out
        by_ann = await events(keywright, "--actor", "ann@acme.example", "--since", "30d")
        assert by_ann == done

        # 4. Can the trail be trusted, and what is kept?
        export = str(tmp_path / "incident.jsonl")
        for command in (("verify",), ("export", export), ("verify", "--export", export)):
            assert (await keywright("audit", *command)).code == 0
        assert back_door in Path(export).read_text()
        assert token not in Path(export).read_text()


def test_the_guide_names_commands_that_there_are() -> None:
    """Each command of the guide is one that the test above has run."""
    source = Path(__file__).read_text()
    for line in re.findall(r"^keywright (\S+) (\S+)", GUIDE.read_text(), flags=re.MULTILINE):
        group, subcommand = line
        assert f'"{group}"' in source
        assert f'"{subcommand}"' in source or group == "usage"
