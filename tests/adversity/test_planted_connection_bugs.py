"""The guards of connections that are ours are honest: each test goes red on a build without one."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.adversity import test_http2_attacks as attacked
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

_SERVER = "app/grpc_server.py"
BUGS = {
    "a compressed request is inflated": (
        Bug(
            _SERVER,
            guard='        ("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED_ONLY),\n'
            '        ("grpc.per_message_decompression", 0),\n',
            instead="",
            scenario=attacked.a_compression_bomb_is_not_inflated,
        ),
        {},
    ),
    "a PING too many is kept as an error": (
        Bug(
            _SERVER,
            guard='("grpc.http2.max_ping_strikes", 0),',
            instead="",
            scenario=attacked.a_flood_of_pings_takes_no_memory,
        ),
        {},
    ),
    "a client may take its time for the first words": (
        Bug(
            _SERVER,
            guard='("grpc.server_handshake_timeout_ms", _milliseconds(config.handshake_timeout)),',
            instead="",
            scenario=attacked.slow_prefaces_are_ended,
        ),
        {"handshake_timeout": "1s"},
    ),
    "a connection may be idle as long as it likes": (
        Bug(
            _SERVER,
            guard='("grpc.max_connection_idle_ms", _milliseconds(config.max_connection_idle)),',
            instead="",
            scenario=attacked.idle_connections_are_closed,
        ),
        {"max_connection_idle": "1s"},
    ),
    "a client that has gone is waited for": (
        Bug(
            _SERVER,
            guard='("grpc.http2.ping_timeout_ms", _milliseconds(config.keepalive_timeout)),',
            instead="",
            scenario=attacked.a_silent_client_is_given_up,
        ),
        attacked.A_SHORT_KEEPALIVE,
    ),
    "calls on an old connection may go on for ever": (
        Bug(
            _SERVER,
            guard='("grpc.max_connection_age_grace_ms", '
            "_milliseconds(config.max_connection_age_grace)),",
            instead="",
            scenario=attacked.calls_without_a_message_end_with_the_connection,
        ),
        attacked.A_SHORT_LIFE,
    ),
    "any number of connections": (
        Bug(
            _SERVER,
            guard='("grpc.max_allowed_incoming_connections", descriptors.connections(config)),',
            instead="",
            scenario=attacked.connections_have_a_bound,
        ),
        attacked.A_BOUND_OF_CONNECTIONS,
    ),
    "the soft limit of descriptors is left as it is": (
        Bug(
            "app/descriptors.py",
            guard="if soft != hard:",
            instead="if False:",
            scenario=attacked.more_connections_than_the_soft_limit,
        ),
        {},
    ),
    "any number of calls on a connection": (
        Bug(
            _SERVER,
            guard='("grpc.max_concurrent_streams", config.max_concurrent_streams),',
            instead="",
            scenario=attacked.calls_of_one_connection_have_a_bound,
        ),
        {},
    ),
}


@pytest.mark.parametrize(("bug", "settings"), BUGS.values(), ids=BUGS)
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, settings: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    with ExitStack() as limits:
        if bug.scenario is attacked.more_connections_than_the_soft_limit:
            limits.enter_context(attacked.soft_limit_of_descriptors(attacked.LOW_SOFT_LIMIT))
        await assert_noticed(bug, cluster, tmp_path, **settings)
