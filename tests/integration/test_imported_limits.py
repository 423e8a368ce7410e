"""The slow hashes of imported keys: limited by source before they run, and in nobody's way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.integration.test_imported_tokens import dotted, imported, letters
from tests.support.database import Cluster
from tests.support.imported import by_digest, digest_item, import_keys
from tests.support.planted import Bug, build
from tests.support.service import PARENT, RefusedError, Service, refusal, service

BURST = 10
MEASURED = {"metrics_listen": "127.0.0.1:0"}


@pytest.fixture(scope="module", name="measured")
async def _measured(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **MEASURED) as running:
        yield running


async def count(service: Service, what: str) -> float:
    """What a metric of the server says."""
    address = (await service.process.logged("serving metrics"))["listen"]

    def get() -> str:
        with urlopen(f"http://{address}/metrics", timeout=10) as reply:
            return str(reply.read().decode())

    for line in (await asyncio.to_thread(get)).splitlines():
        name, _, value = line.partition(" ")
        if name == what:
            return float(value)
    raise AssertionError(f"no metric {what}")


async def hashes(service: Service) -> float:
    """How many slow hashes have begun."""
    return await count(service, "keywright_imported_started_total")


async def present(service: Service, token: str, address: str) -> str:
    """Why a token is denied that is presented from an address; empty if it stands."""
    try:
        await service.admin.authenticate(token, client_address=address)
    except RefusedError as refused:
        return refused.reason
    return ""


async def guessing(service: Service) -> None:
    """Whoever guesses the secrets of a known prefix gets a few hashes, and then none."""
    token = dotted()
    await imported(service, token)
    before = await hashes(service)
    told = await asyncio.gather(
        *(present(service, dotted(token[:8]), "192.0.2.1") for _ in range(100))
    )
    begun = await hashes(service) - before
    assert told.count("TOKEN_UNKNOWN") == begun
    assert BURST <= begun <= BURST + 10  # and one a second, however long that took
    assert told.count("FAILURES_LIMITED") == 100 - begun
    error = None
    while error is None or error.reason == "TOKEN_UNKNOWN":  # a second gives one more
        guess = service.admin.authenticate(dotted(token[:8]), client_address="192.0.2.1")
        error = await refusal(guess)
    assert (error.reason, error.code.name) == ("FAILURES_LIMITED", "RESOURCE_EXHAUSTED")
    assert 0 < error.retry_delay <= 1
    assert error.denial is None  # nothing was found out about the token
    # Others may go on, and prove what is right.
    assert await present(service, dotted(token[:8]), "192.0.2.2") == "TOKEN_UNKNOWN"
    assert await present(service, token, "192.0.2.2") == ""


async def test_who_guesses_is_limited_before_the_hash_runs(measured: Service) -> None:
    await guessing(measured)


BUGS = {
    "a hash that runs without asking for the source": Bug(
        "security/imported_hasher.py",
        guard="self.limit.take(source)",
        instead="pass",
        scenario=guessing,
    ),
    "a source that is counted after the hash": Bug(
        "security/imported_hasher.py",
        guard="            self.limit.take(source)\n            try:\n",
        instead="            await self.slow.run(\n"
        "                lambda: imported_hashes.verify(stored.phc, peppered))\n"
        "            self.limit.take(source)\n            try:\n",
        scenario=guessing,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_limit_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(bug, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with service(await cluster.migrated(), **MEASURED) as patched:
        with pytest.raises(AssertionError):
            await bug.scenario(patched)
        await patched.admin.authenticate(patched.admin_token)


async def test_what_was_proven_is_neither_limited_nor_computed_again(measured: Service) -> None:
    token, address = dotted(), "192.0.2.3"
    await imported(measured, token)
    assert await present(measured, token, address) == ""
    while await present(measured, dotted(token[:8]), address) != "FAILURES_LIMITED":
        pass
    before = await hashes(measured)
    for _ in range(20):
        assert await present(measured, token, address) == ""
    assert await hashes(measured) == before


async def test_many_right_tokens_from_one_place_are_not_held_for_guesses(
    measured: Service,
) -> None:
    """The move of a whole product, behind one gateway that tells no addresses."""
    tokens = [dotted() for _ in range(3 * BURST)]
    for token in tokens:
        await imported(measured, token)
        await measured.admin.authenticate(token)


async def test_the_guesses_of_one_caller_who_tells_no_address_are_its_own(
    measured: Service,
) -> None:
    token = dotted()
    await imported(measured, token)
    gateways = [
        measured.as_caller(
            (await measured.admin.create_key(role=f"{PARENT}/roles/authenticator")).token
        )
        for _ in range(2)
    ]
    told = set()
    for _ in range(3 * BURST):
        try:
            await gateways[0].authenticate(dotted(token[:8]))
        except RefusedError as refused:
            told.add(refused.reason)
    assert told == {"TOKEN_UNKNOWN", "FAILURES_LIMITED"}
    assert (await gateways[1].authenticate(token)).credential.name


async def test_guesses_of_tokens_with_digests_cost_no_hash(measured: Service) -> None:
    await import_keys(measured.admin, by_digest(), digest_item(letters()))
    before = await hashes(measured)
    for _ in range(3 * BURST):
        assert await present(measured, letters(), "192.0.2.5") == "TOKEN_UNKNOWN"
    assert await hashes(measured) == before
    assert await count(measured, "keywright_imported_shapes") >= 2
