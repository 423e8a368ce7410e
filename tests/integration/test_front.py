"""`keywright serve --front envoy`: the same answers at one port, from a process that ends whole."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2

from keywright.domain.errors import Reason
from keywright.v1 import auth_service_pb2 as pb
from tests.clients.raw_calls import raw_connection
from tests.integration.test_workers import IMPATIENT, MISSED_MOST, SILENT, ends
from tests.support.database import Cluster
from tests.support.planted import Bug, build, plant
from tests.support.service import (
    METHODS,
    Caller,
    RefusedError,
    Service,
    another,
    refusal,
    serve,
    service,
)
from tests.support.waiting import call_logged, held_key, lock_waited_for

ENVOY = {"front": "envoy", "shutdown_grace": "2s"}
AUTHENTICATE = METHODS["Authenticate"][0]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PRETENDED = "203.0.113.9"


@dataclass
class Fronts:
    """Two servers on one database, each with another front."""

    grpc: Service
    envoy: Service


@pytest.fixture(scope="module", name="fronts")
async def _fronts(cluster: Cluster) -> AsyncIterator[Fronts]:
    async with (
        service(await cluster.migrated(), **{**ENVOY, "front": "grpc"}) as by_grpc,
        another(by_grpc, **ENVOY) as by_envoy,
    ):
        yield Fronts(by_grpc, by_envoy)


def directory_of(running: Service) -> Path:
    """Its private directory."""
    arguments = running.answering.cmdline()
    return Path(arguments[arguments.index("--config-path") + 1]).parent


@dataclass
class Told:
    """How a call ended; of what is another for each call, such as its id, only that it is there."""

    code: grpc.StatusCode
    message: str
    details: list[Any]
    metadata: list[str]
    reply: bytes


async def told(to: Service, body: bytes, *metadata: tuple[str, str], path: str) -> Told:
    """What is answered to these bytes."""
    method: Any = to.channel.unary_unary(path)
    call = method(body, metadata=metadata, timeout=20)
    details, reply = [], b""
    try:
        reply = await call
    except grpc.aio.AioRpcError as error:
        packed = RefusedError(error).status.details
        details = [MessageToDict(each) for each in packed if "RequestInfo" not in each.type_url]
    if path == AUTHENTICATE:
        answer = pb.AuthenticateResponse.FromString(reply)
        answer.ClearField("revision")
        reply = answer.SerializeToString(deterministic=True)
    # HTTP's date is Envoy's to add, and with an error stands where trailers would.
    keys = sorted(key for key, _ in await call.trailing_metadata() if key != "date")
    return Told(await call.code(), await call.details() or "", details, keys, reply)


async def _tokens(admin: Caller) -> Mapping[str, str]:
    """Tokens of every fate."""
    made = {name: await admin.create_key() for name in ("stands", "revoked", "disabled", "narrow")}
    await admin.revoke_key(made["revoked"].key.name)
    await admin.do("DisableKey", name=made["disabled"].key.name)
    guest = await admin.create_user("a-guest", role="member")
    made["fallen"] = await admin.create_key(user=guest.name)
    await admin.disable_user(guest.name)
    found = {name: created.token for name, created in made.items()}
    last = found["stands"][-1]
    return {
        **found,
        "wrong secret": found["stands"][:-10] + found["revoked"][-10:],
        "mistyped": found["stands"][:-1] + ("0" if last != "0" else "1"),
        "nothing": "",
        "something else": "hello",
    }


ASKED: Mapping[str, Mapping[str, Any]] = {
    "only whether it stands": {},
    "what it may do": {"required_permissions": ["keys.own"]},
    "what it may not do": {"required_permissions": ["nobody.may", "keys.own"]},
    "no permission": {"required_permissions": ["*"]},
    "another environment": {"required_environment": "test"},
    "an address that is none": {"client_address": "nowhere"},
    "a revision of another installation": {"min_revision": "no-revision"},
}


async def test_every_outcome_of_authenticate_is_the_same_by_either_front(fronts: Fronts) -> None:
    tokens = await _tokens(fronts.grpc.admin)
    stranger = await fronts.grpc.person("stranger")
    bearers = {
        "admin": [("authorization", f"Bearer {fronts.grpc.admin_token}")],
        "with an id": [
            ("authorization", f"Bearer {fronts.grpc.admin_token}"),
            ("x-request-id", "an-id-of-the-callers"),
        ],
        "itself": None,
        "nobody": [],
        "without permission": [("authorization", f"Bearer {stranger.token}")],
        "one that has fallen": [("authorization", f"Bearer {tokens['revoked']}")],
        "two": [("authorization", "Bearer a"), ("authorization", "Bearer b")],
        "basic": [("authorization", "Basic eDp5")],
    }
    seen = set()
    for token in tokens.values():
        for asked in ASKED.values():
            body = pb.AuthenticateRequest(token=token, **asked).SerializeToString()
            for bearer in bearers.values():
                own = [("authorization", f"Bearer {token}")]
                metadata = own if bearer is None else bearer
                # Twice: looked up, and from memory.
                for _ in range(2):
                    by_grpc = await told(fronts.grpc, body, *metadata, path=AUTHENTICATE)
                    by_envoy = await told(fronts.envoy, body, *metadata, path=AUTHENTICATE)
                    assert by_envoy == by_grpc
                    seen.add(by_grpc.code)
    assert seen >= {
        grpc.StatusCode.OK,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
    }


async def test_batches_and_what_is_no_request_are_the_same_by_either_front(fronts: Fronts) -> None:
    bearer = ("authorization", f"Bearer {fronts.grpc.admin_token}")
    tokens = [fronts.grpc.admin_token, "hello", ""] * 20
    batch = METHODS["BatchAuthenticate"][0]
    items = [pb.AuthenticateRequest(token=token) for token in tokens]
    for path, body in (
        (batch, pb.BatchAuthenticateRequest(requests=items[1:3]).SerializeToString()),
        (batch, b""),
        (batch, bytes(5 * 2**20)),
        (AUTHENTICATE, b""),
        (AUTHENTICATE, b"\xff\xff\xff"),
        (AUTHENTICATE, b"\x0a\x02\xff\xfe"),
        (AUTHENTICATE, bytes(5 * 2**20)),
        ("/keywright.v1.AuthService/Nothing", b""),
        ("/keywright.v1.NoService/Nothing", b""),
    ):
        assert await told(fronts.envoy, body, bearer, path=path) == await told(
            fronts.grpc, body, bearer, path=path
        )
    reply = await fronts.envoy.admin.auth(
        "BatchAuthenticate", pb.BatchAuthenticateRequest(requests=items)
    )
    assert [each.WhichOneof("outcome") for each in reply.results] == [
        "allowed",
        "denied",
        "denied",
    ] * 20


async def test_the_other_methods_streams_health_and_reflection_are_at_the_same_port(
    fronts: Fronts,
) -> None:
    envoy = fronts.envoy
    created = await envoy.admin.create_key()
    assert (await envoy.admin.get_key(created.key.name)).name == created.key.name
    stream = envoy.admin.open("AuthenticateStream")
    request = pb.AuthenticateRequest(token=created.token)
    await stream.write(pb.AuthenticateStreamRequest(request=request))
    assert (await stream.read()).result.allowed.credential.name == created.key.name
    assert await envoy.health() == SERVING
    await envoy.admin.revoke_key(created.key.name)
    refused = await refusal(envoy.admin.authenticate(created.token))
    assert refused.reason == Reason.KEY_REVOKED


async def test_a_compressed_request_is_taken_where_it_can_be_inflated_within_a_bound(
    fronts: Fronts,
) -> None:
    bearer = (("authorization", f"Bearer {fronts.envoy.admin_token}"),)
    request = pb.AuthenticateRequest(
        token=fronts.envoy.admin_token, required_permissions=["keys.own"] * 50
    )
    for path, code in (
        (AUTHENTICATE, grpc.StatusCode.OK),
        (METHODS["ExplainAccess"][0], grpc.StatusCode.UNIMPLEMENTED),
    ):
        method: Any = fronts.envoy.channel.unary_unary(path)
        call = method(
            request.SerializeToString(),
            metadata=bearer,
            compression=grpc.Compression.Gzip,
            timeout=20,
        )
        assert await call.code() is code


async def test_a_call_may_have_as_many_headers_as_fit(fronts: Fronts) -> None:
    many = tuple((f"x-{each}", "value") for each in range(300))
    for front in (fronts.grpc, fronts.envoy):
        caller = front.as_caller(front.admin_token, *many)
        await caller.authenticate(front.admin_token)
        await caller.list_keys()


async def test_what_envoy_says_to_a_client_of_grpc_is_said_in_words(fronts: Fronts) -> None:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": AUTHENTICATE,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-timeout": "300m",
    }
    async with raw_connection(fronts.envoy.uri) as connection:
        stream = connection.begin(list(fields.items()), ends=False)  # and nothing more
        await connection.flush()
        answer = await connection.answer(stream)
    assert str(answer) == "DEADLINE_EXCEEDED"
    assert answer.fields["grpc-message"] == "downstream duration timeout"


async def test_a_call_that_is_cancelled_ends_in_the_server_too(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **ENVOY) as running:
        created = await running.admin.create_key()
        await running.admin.authenticate(running.admin_token)
        async with running.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE keywright.key_secret IN ACCESS EXCLUSIVE MODE")
            bearer = (
                ("authorization", f"Bearer {running.admin_token}"),
                ("x-request-id", "given-up"),
            )
            method: Any = running.channel.unary_unary(AUTHENTICATE)
            body = pb.AuthenticateRequest(token=created.token).SerializeToString()
            call = method(body, metadata=bearer, timeout=20)
            await lock_waited_for(connection)
            call.cancel()
            line = await call_logged(running.process, "given-up")
        assert (line["code"], line["method"]) == ("CANCELLED", AUTHENTICATE)
        await running.admin.authenticate(created.token)


async def test_a_unix_socket_is_listened_on_and_has_no_address(
    cluster: Cluster, tmp_path: Path
) -> None:
    listen = f"unix:{tmp_path}/kw.sock"
    async with service(await cluster.migrated(), **ENVOY, listen=listen) as running:
        assert running.uri == listen
        created = await running.admin.create_key(allowed_networks=["127.0.0.0/8"])
        own = running.as_caller(created.token, ("x-keywright-peer", "127.0.0.1"))
        assert (await refusal(own.authenticate(created.token))).code is not grpc.StatusCode.OK
        assert (await refusal(own.get_key(created.key.name))).code is not grpc.StatusCode.OK
        assert await running.process.stop() == 0


async def test_all_addresses_of_a_machine_are_those_of_ipv4_as_well(cluster: Cluster) -> None:
    everywhere = {"listen": "[::]:0", "allow_plaintext": "true"}
    async with service(await cluster.migrated(), **{**ENVOY, **everywhere}) as running:
        for host, network in (("127.0.0.1", "127.0.0.0/8"), ("[::1]", "::1/128")):
            token = (await running.admin.create_key(allowed_networks=[network])).token
            target = f"{host}:{running.uri.rpartition(':')[2]}"
            async with grpc.aio.insecure_channel(target) as channel:
                caller = Caller(channel, token)
                await caller.authenticate(token)
                await caller.list_keys()


SPOOFS = (
    ("x-forwarded-for", PRETENDED),
    ("x-real-ip", PRETENDED),
    ("forwarded", f"for={PRETENDED}"),
    ("x-envoy-external-address", PRETENDED),
    ("true-client-ip", PRETENDED),
    ("x-keywright-peer", PRETENDED),
    ("x-keywright-certified", "true"),
)


async def the_address_is_that_of_the_connection(running: Service) -> None:
    here = await running.admin.create_key(allowed_networks=["127.0.0.0/8"])
    there = await running.admin.create_key(allowed_networks=[f"{PRETENDED}/32"])
    for spoof in ((), *((each,) for each in SPOOFS), (SPOOFS[5], SPOOFS[5]), SPOOFS):
        at_home = running.as_caller(here.token, *spoof)
        await at_home.authenticate(here.token)
        await at_home.get_key(here.key.name)
        abroad = running.as_caller(there.token, *spoof)
        denied = await refusal(abroad.authenticate(there.token))
        reason = denied.info.metadata.get("caller_reason", denied.reason)
        assert reason == Reason.ADDRESS_NOT_ALLOWED
        denied = await refusal(abroad.get_key(there.key.name))
        assert denied.info.metadata["caller_reason"] == Reason.ADDRESS_NOT_ALLOWED


async def test_nobody_chooses_the_address_that_it_calls_from(fronts: Fronts) -> None:
    await the_address_is_that_of_the_connection(fronts.envoy)


BELIEVED = {
    "a client says where it is": Bug(
        "app/front/calls.py",
        guard="            _overwritten(ADDRESS_KEY, _ADDRESS),\n",
        instead="",
        scenario=the_address_is_that_of_the_connection,
    ),
    "Envoy believes what headers say": Bug(
        "app/front/envoy.py",
        guard="use_remote_address=True",
        instead="use_remote_address=False",
        scenario=the_address_is_that_of_the_connection,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BELIEVED.values(), ids=BELIEVED)
async def test_a_planted_belief_is_noticed(
    cluster: Cluster, bug: Bug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(bug, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with service(await cluster.migrated(), **ENVOY) as running:
        with pytest.raises((AssertionError, RefusedError)):
            await the_address_is_that_of_the_connection(running)


async def test_health_is_not_serving_until_the_database_is_there(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    host = "127.0.0.1"
    with socket.create_server((host, 0)) as silent:  # a database that says nothing
        nowhere = f"postgresql://nobody:nothing@{host}:{silent.getsockname()[1]}/nothing"
        async with serve(nowhere, **ENVOY) as process:
            target = (await process.logged("listening"))["listen"]
            async with grpc.aio.insecure_channel(target) as channel:
                waiting = Service(process, dsn, target, "no token", channel)
                assert await waiting.health() == NOT_SERVING
                refused = await refusal(waiting.admin.authenticate("kw_live_x"))
                assert refused.code is grpc.StatusCode.UNAVAILABLE
            assert await process.stop() == 0


async def test_calls_of_both_halves_are_finished_before_the_end(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **{**ENVOY, "shutdown_grace": "20s"}) as running:
        created = await running.admin.create_key()
        directory, process = directory_of(running), running.answering
        async with held_key(running.dsn, created.key.name) as row:
            revoking = asyncio.create_task(running.admin.revoke_key(created.key.name))
            await row.waited_for()
            process.send_signal(signal.SIGTERM)  # as a whole service is told to stop
            running.process.process.send_signal(signal.SIGTERM)
            await running.becomes(NOT_SERVING)
            await row.let_go()
            assert (await revoking).key.name == created.key.name
        assert await asyncio.wait_for(running.process.process.wait(), 20) == 0
        assert not process.is_running()
        assert not directory.exists()
        assert [line for line in running.process.log if line["level"] == "error"] == []


async def test_when_envoy_is_killed_all_of_it_is_started_again(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **ENVOY) as running:
        await running.process.logged("a worker serves")
        first, seen = running.answering, len(running.process.log)
        first.kill()
        ended = await running.process.logged("a worker has ended, and is started again", seen)
        assert ended["exit_status"] == -signal.SIGKILL
        await running.process.logged("a worker serves", seen)
        async with grpc.aio.insecure_channel(running.uri) as channel:
            await Caller(channel, running.admin_token).authenticate(running.admin_token)
        assert running.answering != first


async def test_when_the_supervisor_is_killed_no_envoy_is_left(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **ENVOY) as running:
        left, directory = running.answering, directory_of(running)
        running.process.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, [left], 15)
        for each in alive:
            each.kill()
        assert alive == []
        assert not directory.exists()
        assert await running.quietly("SELECT FROM keywright.replica") == []  # it went in order


async def test_what_was_left_behind_is_removed_by_the_next_start(
    cluster: Cluster, fronts: Fronts
) -> None:
    async with service(await cluster.migrated(), **ENVOY) as running:
        left, directory = running.answering, directory_of(running)
        running.process.process.kill()
        left.kill()
        await running.process.ended()
        assert directory.exists()
        async with another(running, **ENVOY):
            assert not directory.exists()
            assert directory_of(fronts.envoy).exists()


async def test_without_its_directory_it_still_ends_in_order(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **ENVOY) as running:
        process = running.answering
        shutil.rmtree(directory_of(running))
        await running.admin.authenticate(running.admin_token)
        assert await running.process.stop() == 0
        assert not process.is_running()
        assert [line for line in running.process.log if line["level"] == "error"] == []


BLOCK = """
    import time
    from pathlib import Path
    async def _stuck():
        while not Path({flag!r}).exists():
            await asyncio.sleep(0.05)
        time.sleep(3600)
    stuck = asyncio.create_task(_stuck())
"""


@pytest.mark.slow
async def test_when_python_is_stuck_all_of_it_is_replaced(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MISSED_MOST < 10
    built, flag = tmp_path / "built", tmp_path / "flag"
    guard = "    beating = asyncio.create_task(control.beat())\n"
    block = BLOCK.format(flag=str(flag))
    build(Bug("app/workers/worker.py", guard, block + guard), built)
    plant(IMPATIENT, built)
    monkeypatch.setenv("PYTHONPATH", str(built))
    async with service(await cluster.migrated(), **ENVOY) as running:
        await running.process.logged("a worker serves")
        first, seen = running.answering, len(running.process.log)
        flag.touch()
        await running.process.logged(SILENT, seen)
        flag.unlink()
        await running.process.logged("a worker serves", seen)
        assert running.answering != first


async def test_a_port_in_use_is_told(fronts: Fronts) -> None:
    for taken in (fronts.grpc, fronts.envoy):
        status, said = await ends(taken.dsn, "--front", "envoy", listen=taken.uri)
        assert status == 1
        assert f"{taken.uri} cannot be listened on: it is in use" in said


async def test_a_front_that_is_none_is_told(cluster: Cluster) -> None:
    status, said = await ends(cluster.dsn, "--front", "nginx")
    assert status == 78
    assert "KEYWRIGHT_FRONT" in said
    assert "'grpc' or 'envoy'" in said


async def test_what_cannot_be_started_ends_with_what_python_says(cluster: Cluster) -> None:
    connections = {"database_pool_size": "300"}
    status, said = await ends(await cluster.migrated(), "--front", "envoy", **connections)
    assert status == 1
    assert "max_connections is 100" in said
    assert "the first worker has ended before it served" in said


async def test_several_fronts_share_the_port(cluster: Cluster) -> None:
    several = {**ENVOY, "workers": "2", "database_pool_size": "4"}
    async with service(await cluster.migrated(), **several) as running:
        await running.process.each_logged("a worker serves", "worker", range(2))
        created = await running.admin.create_key()
        await running.admin.revoke_key(created.key.name)
        for _ in range(16):
            local = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(running.uri, local) as channel:
                caller = Caller(channel, running.admin_token)
                await caller.authenticate(running.admin_token)
                refused = await refusal(caller.authenticate(created.token))
                assert refused.reason == Reason.KEY_REVOKED
