"""The sealer: within a second, one at a time, and never half of a seal."""

import asyncio
import base64
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keywright.v1 import audit_service_pb2 as pb
from tests.support.audit import Trail, new_trail, opened, sealer
from tests.support.database import Cluster
from tests.support.service import PARENT, WORKSPACE, Service, another, refusal, serve, service
from tests.support.waiting import all_sealed, held_row


async def test_an_event_is_sealed_within_about_a_second_and_says_by_which_seal(
    service: Service,
) -> None:
    await all_sealed(service)
    made = (await service.admin.create_key()).key
    await all_sealed(service)

    only = {"resource": made.name}
    (event,) = (await service.admin.do("ListAuditEvents", parent=PARENT, filter=only)).audit_events
    seals = (await service.admin.do("ListAuditSeals", parent=PARENT)).audit_seals
    (seal,) = [each for each in seals if each.name == event.seal]
    waited = seal.create_time.ToDatetime() - event.create_time.ToDatetime()
    assert waited < timedelta(seconds=10)  # room for a busy machine
    signature = base64.b64encode(seal.signature).decode()
    await service.process.each_logged("sealed", "signature", [signature])
    (line,) = [each for each in service.process.log if each.get("signature") == signature]
    assert (line["workspace"], line["digest"]) == (WORKSPACE, seal.digest.hex())


async def test_where_nothing_waits_nothing_is_written(service: Service) -> None:
    await all_sealed(service)
    async with opened(service.dsn) as database:
        here = sealer(database)
        await here.run()
        assert (here.seal_count, here.event_count) == (0, 0)


async def test_two_servers_make_one_chain_without_gaps(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as one, serve(one.dsn) as other:
        await other.logged("listening")
        async with opened(one.dsn) as database:
            trail = await new_trail(one, database)
            for _ in range(5):
                await asyncio.gather(
                    trail.insert(300), sealer(database).run(), sealer(database).run()
                )
        await all_sealed(one)
        seals = await trail.seals()
        assert [int(each.name.rpartition("/")[2]) for each in seals] == list(
            range(1, len(seals) + 1)
        )
        verified = await trail.verify()
        assert verified.intact
        assert verified.event_count == await trail.value(
            "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
        )


async def test_a_server_that_stops_leaves_nothing_unsealed(cluster: Cluster) -> None:
    """Also of what it writes only at the end: how often a dead token was tried since."""
    async with service(await cluster.migrated()) as running:
        dead = await running.admin.create_key()
        await running.admin.revoke_key(dead.key.name)
        for _ in range(3):
            await refusal(running.admin.authenticate(dead.token))
        await running.process.stop()
        tried = "SELECT sum(count) FROM keywright.audit_event WHERE outcome <> 'DONE'"
        assert (await running.sql(tried))[0][0] == 3
        unsealed = "SELECT count(*) FROM keywright.audit_event WHERE seal IS NULL"
        assert (await running.sql(unsealed))[0][0] == 0


async def test_a_sealer_that_is_killed_leaves_nothing_and_another_goes_on(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated()) as running, opened(running.dsn) as database:
        trail = await new_trail(running, database, 3)
        before = len(await trail.seals())
        # It has inserted the seal and marked the events when it comes to the head of the chain.
        head = "keywright.audit_chain WHERE workspace_id = $1"
        async with held_row(running.dsn, head, trail.workspace_id) as held:
            await trail.insert(4)
            await held.waited_for()
            await running.process.stop(signal.SIGKILL)
        assert (
            await trail.value("SELECT count(*) FROM keywright.audit_seal WHERE workspace_id = $1")
            == before
        )
        async with another(running) as other:
            await all_sealed(other)
            trail.service, trail.admin = other, other.as_caller(trail.admin.token)
            verified = await trail.verify()
            assert verified.intact
            assert len(await trail.seals()) == before + 1


async def test_a_workspace_that_is_deleted_keeps_its_trail_and_stops_nobody(
    service: Service,
) -> None:
    async with opened(service.dsn) as database:
        trail: Trail = await new_trail(service, database, 3)
        await trail.sql(
            "UPDATE keywright.workspace SET delete_time = now(), state = 'DISABLED'"
            " WHERE workspace_id = $1"
        )
        await trail.add(2)
    assert (
        await trail.value(
            "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1 AND seal IS NULL"
        )
        == 0
    )
    await service.admin.create_key()
    await all_sealed(service)


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> tuple[Path, str]:
    """A file with a key, and its public key in base64."""
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "audit.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file, base64.b64encode(key.public_key().public_bytes_raw()).decode()


async def test_only_the_keys_that_are_configured_are_trusted(
    cluster: Cluster, key_file: tuple[Path, str]
) -> None:
    file, public_key = key_file
    dsn = await cluster.migrated()
    async with service(dsn, audit_signing_key_file=str(file)) as first:
        await all_sealed(first)
        seals = (await first.admin.do("ListAuditSeals", parent=PARENT)).audit_seals
        assert {base64.b64encode(each.public_key).decode() for each in seals} == {public_key}
        assert (await first.admin.do("VerifyAuditTrail", parent=PARENT)).intact
    async with another(first) as without:
        verified = await without.admin.do("VerifyAuditTrail", parent=PARENT)
        assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_SEAL_INVALID
    async with another(first, audit_public_keys=public_key) as listed:
        await listed.admin.create_key()
        await all_sealed(listed)
        verified = await listed.admin.do("VerifyAuditTrail", parent=PARENT)
        assert verified.intact
        assert verified.last_seal.public_key != seals[0].public_key
