"""The audit trail's tests are honest: each goes red on a build that lacks its guard."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration import test_audit_retention, test_audit_trail
from tests.integration.test_audit_retention import OLD
from tests.support.audit import Trail, new_trail, opened
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed
from tests.support.service import Service

pytestmark = pytest.mark.slow


def with_trail(
    scenario: Callable[[Trail], Awaitable[None]],
) -> Callable[[Service], Awaitable[None]]:
    """The same scenario, on a trail of its own."""

    async def scenario_of_service(running: Service) -> None:
        month = OLD.date().replace(day=1)
        await running.sql("SELECT keywright.add_audit_partition($1)", month)
        async with opened(running.dsn) as database:
            trail = await new_trail(running, database, *test_audit_trail.SIZES)
            await trail.add(2, at=OLD)
            await trail.add(2)
            await scenario(trail)

    return scenario_of_service


BUGS = {
    "keys that are trusted because a seal names them": Bug(
        "security/audit_signing.py",
        guard="if seal.public_key not in self.public_keys:",
        instead="if False:",
        scenario=with_trail(test_audit_trail.a_forged_end),
    ),
    "signatures that are not checked": Bug(
        "security/audit_signing.py",
        guard="except InvalidSignature:\n            return False",
        instead="except InvalidSignature:\n            return True",
        scenario=with_trail(partial(test_audit_trail.an_edited_seal, column="signature")),
    ),
    "an end of the chain that is not checked": Bug(
        "service/audit_verification.py",
        guard="_ends(head, link)\n                    or ",
        instead="",
        scenario=with_trail(test_audit_trail.the_end_cut_off),
    ),
    "events that are only counted": Bug(
        "domain/audit_trail.py",
        guard="if sealed == found and len(sealed) == len(events):",
        instead="if sealed.keys() == found.keys():",
        scenario=with_trail(partial(test_audit_trail.an_edited_event, column="actor")),
    ),
    "a month that may go without a word": Bug(
        "domain/audit_trail.py",
        guard="removed = not events and removed_before is not None and seal.month < removed_before",
        instead="removed = not events",
        scenario=with_trail(test_audit_retention.removed_by_hand),
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)
