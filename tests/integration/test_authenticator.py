"""The SDK's authenticators beside a real server: fast where they know, right where it counts."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keywright.sdk import (
    Authenticator,
    BlockingAuthenticator,
    FailedPrecondition,
    PermissionDenied,
    Principal,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from keywright.sdk.authenticating.leased_cache import _Answers
from tests.integration.test_authenticate_stream import sidecar
from tests.integration.test_metrics import _count, _scrape
from tests.support.database import Cluster
from tests.support.leased import duration
from tests.support.planted import Bug, build
from tests.support.service import Service, another, service

PATIENCE = 30


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), metrics_listen="127.0.0.1:0") as running:
        yield running


@asynccontextmanager
async def leased(running: Service, **given: Any) -> AsyncIterator[Authenticator]:
    async with Authenticator(running.uri, running.admin_token, **given) as authenticator:
        async with asyncio.timeout(PATIENCE):
            await authenticator.leased()
        yield authenticator


async def calls(running: Service) -> float:
    """How many questions the server has answered."""
    return _count(await _scrape(running), method="AuthService/BatchAuthenticate")


async def look_ups(running: Service) -> float:
    """How many queries the server has made for them."""
    [sample] = (await _scrape(running))["keywright_look_ups_queries"].samples
    return float(sample.value)


async def revoked_in_mid_run(running: Service) -> None:
    """It is asked again and again, and never allowed once the revocation has returned."""
    created = await running.admin.create_key()
    allowed: list[float] = []  # when that was asked

    async def keep_asking(authenticator: Authenticator) -> None:
        while True:
            asked_at = time.monotonic()
            await authenticator.authenticate(created.token)
            allowed.append(asked_at)
            await asyncio.sleep(0)

    async with leased(running) as authenticator:
        await authenticator.authenticate(created.token)
        asking = asyncio.create_task(keep_asking(authenticator))
        await running.admin.revoke_key(created.key.name)
        returned_at = time.monotonic()
        try:
            with pytest.raises(Unauthenticated) as denied:
                await authenticator.authenticate(created.token)
            assert denied.value.reason == "KEY_REVOKED"
        finally:
            asking.cancel()
            await asyncio.wait([asking])
        assert allowed
        assert max(allowed) < returned_at


async def test_what_is_known_is_answered_without_a_call(service: Service) -> None:
    token = (await service.admin.create_key()).token
    async with leased(service) as authenticator:
        first = await authenticator.authenticate(token, require=["keys.own"])
        before = await calls(service)
        for _ in range(1000):
            again = await authenticator.authenticate(token, require=["keys.own"])
            assert again is first
        assert await calls(service) == before
        assert first.user.email == "admin@localhost"


async def test_a_revoked_key_is_denied_at_the_next_call_after_the_revocation_has_returned(
    service: Service,
) -> None:
    for _ in range(3):
        await revoked_in_mid_run(service)


async def test_a_client_that_drops_nothing_is_found_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Answers, "drop", lambda *_: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await revoked_in_mid_run(service)


async def test_a_thousand_who_ask_about_one_new_token_cost_one_call_and_one_query(
    service: Service,
) -> None:
    token = (await service.admin.create_key()).token
    async with leased(service) as authenticator:
        before, queries = await calls(service), await look_ups(service)
        asked = (authenticator.authenticate(token) for _ in range(1000))
        answers = await asyncio.gather(*asked)
        assert all(answer is answers[0] for answer in answers)
        assert await calls(service) == before + 1
        assert await look_ups(service) <= queries + 1


async def test_denials_say_what_the_server_says(service: Service) -> None:
    async with leased(service) as authenticator:
        with pytest.raises(Unauthenticated) as unknown:
            await authenticator.authenticate("kw_live_nonsense")
        assert unknown.value.reason == "TOKEN_MALFORMED"
        token = (await service.admin.create_key(environment="live")).token
        with pytest.raises(PermissionDenied) as other:
            await authenticator.authenticate(token, environment="test")
        assert other.value.reason == "ENVIRONMENT_MISMATCH"
        narrow = await service.admin.create_key(scopes=["datasets.read"])
        with pytest.raises(PermissionDenied) as missing:
            await authenticator.authenticate(narrow.token, require=["datasets.write"])
        assert missing.value.reason == "PERMISSION_MISSING"
        bound = await service.admin.create_key(allowed_networks=["192.0.2.0/24"])
        await authenticator.authenticate(bound.token, client_address="192.0.2.1")
        with pytest.raises(PermissionDenied) as address:
            await authenticator.authenticate(bound.token)
        assert address.value.reason == "ADDRESS_REQUIRED"


async def test_a_key_is_held_to_its_rate_limit(service: Service) -> None:
    created = await service.admin.create_key(rate_limit={"requests": 2, "period": duration(86400)})
    async with leased(service) as authenticator:
        for _ in range(2):
            await authenticator.authenticate(created.token)
        with pytest.raises(ResourceExhausted) as refused:
            await authenticator.authenticate(created.token)
        assert refused.value.reason == "RATE_LIMITED"
        assert refused.value.retry_delay is not None
        assert timedelta(hours=11) < refused.value.retry_delay <= timedelta(hours=12)


async def test_when_its_own_key_falls_nothing_is_answered_any_more_and_nobody_is_denied(
    service: Service,
) -> None:
    caller, key = await sidecar(service, "falling")
    token = (await service.admin.create_key()).token
    async with Authenticator(service.uri, caller.token) as authenticator:
        async with asyncio.timeout(PATIENCE):
            await authenticator.leased()
        await authenticator.authenticate(token)
        await service.admin.revoke_key(key)
        async with asyncio.timeout(PATIENCE):
            while authenticator.is_leased:  # noqa: ASYNC110  at most its lease
                await asyncio.sleep(0.01)
        with pytest.raises(FailedPrecondition) as refused:
            await authenticator.authenticate(token)
        assert refused.value.about_caller


@pytest.mark.slow
async def test_a_stopped_server_is_survived_for_its_lease_and_its_return_noticed(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), lease_length="5s") as running:
        token = (await running.admin.create_key()).token
        new = (await running.admin.create_key()).token
        async with leased(running) as authenticator:
            known = await authenticator.authenticate(token)
            await running.process.stop(signal.SIGKILL)
            assert await authenticator.authenticate(token) is known, "within the lease"
            with pytest.raises(Unavailable):
                await authenticator.authenticate(new)
            async with asyncio.timeout(PATIENCE):
                while authenticator.is_leased:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.01)
            with pytest.raises(Unavailable):
                await authenticator.authenticate(token)
            assert str(authenticator.trouble).startswith("UNAVAILABLE")
            async with another(running, listen=running.uri, lease_length="5s"):
                async with asyncio.timeout(PATIENCE):
                    await authenticator.leased()
                assert authenticator.trouble is None
                for each in (token, new):
                    assert isinstance(await authenticator.authenticate(each), Principal)


async def test_a_paused_server_is_survived_for_its_lease_and_no_longer(service: Service) -> None:
    token = (await service.admin.create_key()).token
    async with leased(service, timeout=timedelta(seconds=1)) as authenticator:
        await authenticator.authenticate(token)
        server = service.answering
        server.suspend()
        try:
            await authenticator.authenticate(token)
            async with asyncio.timeout(PATIENCE):
                while authenticator.is_leased:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.01)
            with pytest.raises(Unavailable):
                await authenticator.authenticate(token)
        finally:
            server.resume()
        async with asyncio.timeout(PATIENCE):
            await authenticator.leased()
        await authenticator.authenticate(token)


# --- threads -------------------------------------------------------------------------------------


def blocking(running: Service, work: Callable[[BlockingAuthenticator], Any]) -> Any:
    """What `work` returns, done in a thread as a blocking program does it."""

    def run() -> Any:
        with BlockingAuthenticator(running.uri, running.admin_token) as authenticator:
            authenticator.leased(timedelta(seconds=PATIENCE))
            return work(authenticator)

    return asyncio.to_thread(run)


async def test_threads_share_what_is_known_and_what_is_asked(service: Service) -> None:
    tokens = [(await service.admin.create_key()).token for _ in range(4)]
    before = await calls(service)

    def work(authenticator: BlockingAuthenticator) -> list[Principal]:
        with ThreadPoolExecutor(16) as pool:
            first = list(pool.map(authenticator.authenticate, 100 * tokens))
        assert authenticator.authenticate(tokens[0]) is authenticator.authenticate(tokens[0])
        return first

    answers = await blocking(service, work)
    assert len({answer.credential.name for answer in answers}) == 4
    assert await calls(service) <= before + 8


async def test_threads_are_denied_at_the_next_call_after_a_revocation_has_returned(
    service: Service,
) -> None:
    created = await service.admin.create_key()
    loop = asyncio.get_running_loop()
    last: list[float] = []

    def keep_asking(authenticator: BlockingAuthenticator) -> None:
        while True:
            asked_at = time.monotonic()
            try:
                authenticator.authenticate(created.token)
            except Unauthenticated:
                return
            last.append(asked_at)

    def work(authenticator: BlockingAuthenticator) -> float:
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(keep_asking, authenticator) for _ in range(4)]
            revoking = service.admin.revoke_key(created.key.name)
            asyncio.run_coroutine_threadsafe(revoking, loop).result()
            returned_at = time.monotonic()
            with pytest.raises(Unauthenticated):
                authenticator.authenticate(created.token)
            for each in asking:
                each.result()
        return returned_at

    assert max(last, default=0) < await blocking(service, work)


async def test_a_closed_one_leaves_no_thread_and_is_of_no_use(service: Service) -> None:
    before = set(threading.enumerate())

    def work() -> BlockingAuthenticator:
        with BlockingAuthenticator(service.uri, service.admin_token) as authenticator:
            authenticator.authenticate(service.admin_token)
        authenticator.close()
        return authenticator

    authenticator = await asyncio.to_thread(work)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert "keywright-authenticator" not in left
    with pytest.raises(Unavailable, match="closed"):
        authenticator.authenticate(service.admin_token)
    assert not authenticator.is_leased


# --- fork ----------------------------------------------------------------------------------------

_FORKING = """
import os, sys
from datetime import timedelta
from keywright import BlockingAuthenticator
from keywright.sdk import KeywrightError

authenticator = BlockingAuthenticator()
token = os.environ["KEYWRIGHT_API_KEY"]
if sys.argv[1] == "used":
    authenticator.leased(timedelta(seconds=30))
    authenticator.authenticate(token)
child = os.fork()
try:
    said = authenticator.authenticate(token).user.email
except KeywrightError as error:
    said = error.reason
os.write(1, f"{'parent' if child else 'child'} {said}\\n".encode())  # in one piece
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


async def forked(running: Service, how: str, **environ: str) -> set[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKING, how),
        env={
            **os.environ,
            "KEYWRIGHT_URI": running.uri,
            "KEYWRIGHT_API_KEY": running.admin_token,
            **environ,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    return set(out.decode().splitlines())


async def test_what_was_made_before_a_fork_and_not_used_works_in_both(service: Service) -> None:
    assert await forked(service, "unused") == {"child admin@localhost", "parent admin@localhost"}


async def test_what_was_used_before_a_fork_says_so_in_the_child_and_answers_nothing(
    service: Service,
) -> None:
    assert await forked(service, "used") == {"child FORKED", "parent admin@localhost"}


async def test_a_build_whose_child_answers_what_nobody_keeps_true_is_found_out(
    service: Service, tmp_path: Path
) -> None:
    guard = "os.register_at_fork(after_in_child=_abandon_all)"
    build(Bug("sdk/authenticating/authenticator.py", guard, "pass", revoked_in_mid_run), tmp_path)
    said = await forked(service, "used", PYTHONPATH=str(tmp_path))
    assert "child admin@localhost" in said
