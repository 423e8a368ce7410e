"""What is answered from memory awaits nothing and touches no storage."""

import asyncio
import inspect
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.errors import Denied
from keywright.domain.keys import parse_address
from keywright.service.admission import Admission
from keywright.service.authenticate import NOTHING, Authenticate
from keywright.service.memory import Memory
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire.errors import DenialStatus
from keywright.wire.hot_path import Arrived, HotPath
from keywright.wire.methods import methods
from keywright.wire.rpc import Backend, Ended, Services, Settings
from tests.support.database import Cluster
from tests.support.service import Service, service

LONG = timedelta(seconds=60)
AUTHENTICATE = next(each for each in methods() if each.name == "Authenticate")
ON_A_HIT = (
    HotPath.answer,
    Authenticate.recall,
    Authenticate.recall_caller,
    Authenticate._decide,
    Authenticate._is_current,
    Authenticate._denied,
    Admission.refusal,
    Memory.of,
)


class _Forbidden:
    """Storage, for whoever must not touch it."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"storage was touched: {name}")


@pytest.mark.parametrize("function", ON_A_HIT, ids=lambda each: each.__qualname__)
def test_no_step_of_a_hit_can_await(function: Any) -> None:
    assert not inspect.iscoroutinefunction(function)
    assert not inspect.isasyncgenfunction(function)


async def remembered(running: Service, tokens: list[str]) -> Services:
    """The use cases of a process that has authenticated these tokens, without its storage."""
    parts = await Parts.open(Config(argon2_threads=1), running.dsn)
    services = parts.services(b"a signing key of the test's own....", LONG)
    authenticate = services.authenticate
    async with authenticate.replica.running():
        await authenticate.replica.leased()
        caller = await authenticate.asking(running.admin_token, None)
        for token in tokens:
            with suppress(Denied):
                await authenticate(token, NOTHING, caller)
        lease = authenticate.lease.until
    await parts.close()
    authenticate.lease.until = lease  # it was ended with the process's part in the history
    authenticate.proving = authenticate.memory.shapes = _Forbidden()  # type: ignore[assignment]
    return services


async def test_a_hit_needs_neither_storage_nor_an_event_loop(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), lease_length="60s") as running:
        stands, fell = [(await running.admin.create_key()) for _ in range(2)]
        await running.admin.revoke_key(fell.key.name)
        services = await remembered(running, [stands.token, fell.token])
        lines: list[Ended] = []
        path = HotPath.of(Backend(Settings(), services, lines.append), AUTHENTICATE)

        def answers(token: str) -> Any:
            body = pb.AuthenticateRequest(token=token).SerializeToString()
            bearer = ("authorization", f"Bearer {running.admin_token}")
            return path.answer(Arrived(body, (bearer,), parse_address("127.0.0.1"), False))

        # In a thread of its own there is no event loop that anything could be awaited on.
        allowed = await asyncio.to_thread(answers, stands.token)
        denied = await asyncio.to_thread(answers, fell.token)
    assert pb.AuthenticateResponse.FromString(allowed.answer).credential.name == stands.key.name
    assert isinstance(denied.answer, DenialStatus)
    assert [line.code for line in lines] == ["OK", "UNAUTHENTICATED"]
