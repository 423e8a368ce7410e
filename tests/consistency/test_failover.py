"""Promise G4, with a real standby that is promoted: what is acknowledged holds, on whichever side.

The server finds the standby in the primary's place, as behind a name that moves.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from tests.support.planted import Bug, build
from tests.support.service import Service, another, refusal, service
from tests.support.standby import Pair, pair

pytestmark = pytest.mark.slow
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _remembered(running: Service) -> tuple[str, str]:
    """A key that the server remembers: its name and token."""
    created = await running.admin.create_key()
    await running.admin.authenticate(created.token)
    return created.key.name, created.token


async def _denial(running: Service, token: str) -> str:
    return (await refusal(running.admin.authenticate(token))).reason


async def test_what_was_revoked_before_a_failover_stays_so_with_a_synchronous_standby() -> None:
    async with pair() as servers, service(servers.door.dsn) as running:
        name, token = await _remembered(running)
        await servers.synchronous()
        await running.admin.revoke_key(name)
        await servers.primary_dies()
        await running.becomes(NOT_SERVING)
        await servers.promote()
        await servers.found()
        await running.becomes(SERVING)
        assert await _denial(running, token) == "KEY_REVOKED"


async def revoked_at_the_number_of_one_that_is_lost(servers: Pair, running: Service) -> None:
    """A server has applied a revision that is lost; the next of that number is another."""
    lost, token_of_lost = await _remembered(running)
    name, token = await _remembered(running)
    await servers.standby_ends()
    await running.admin.revoke_key(lost)
    assert await _denial(running, token_of_lost) == "KEY_REVOKED"
    await servers.primary_dies()
    await running.becomes(NOT_SERVING)

    promoted = await servers.promote()
    async with another(replace(running, dsn=promoted)) as other:
        await other.admin.revoke_key(name)
        await servers.found()
        await running.becomes(SERVING)
        assert await _denial(running, token) == "KEY_REVOKED"
        # The database that there is now knows nothing of the other, and is believed.
        await running.admin.authenticate(token_of_lost)


async def test_a_revocation_holds_that_has_the_number_of_one_that_a_failover_lost() -> None:
    async with pair() as servers, service(servers.door.dsn) as running:
        await revoked_at_the_number_of_one_that_is_lost(servers, running)


async def test_a_build_that_goes_by_the_number_alone_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = "if renewed.position != self.history.applied:"
    instead = "if renewed.position.revision != self.history.applied.revision:"
    build(Bug("service/replica/replica.py", guard, instead), tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with pair() as servers, service(servers.door.dsn) as running:
        with pytest.raises(AssertionError):
            await revoked_at_the_number_of_one_that_is_lost(servers, running)
