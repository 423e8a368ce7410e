"""The metrics endpoint: what the interceptors count, and how full the pools are."""

from collections.abc import Callable, Iterator

import structlog
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keywright.app.composition import Parts
from keywright.app.listen import ListenError, TcpAddress
from keywright.service.sealing import Sealer

_log = structlog.get_logger("keywright.server")


class PoolMetrics(Collector):
    """How full the bounded pools are, and how often a full one turned somebody away."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Read the counters, whenever somebody scrapes."""
        hashes = self._parts.hasher.pool
        now = hashes.stats()
        yield _gauge("keywright_argon2_in_flight", "Hashes being computed.", now.in_flight)
        yield _gauge("keywright_argon2_threads", "How many can be at once.", hashes.threads)
        yield _gauge("keywright_argon2_waiting", "Hashes that wait for a thread.", now.waiting)
        yield _gauge("keywright_argon2_max_waiting", "How many can wait.", hashes.max_waiting)
        yield _counter("keywright_argon2_started", "Hashes that were begun.", now.started)
        yield _counter("keywright_argon2_rejected", "Hashes refused: too many wait.", now.rejected)
        imported = self._parts.imported
        slow, limit = imported.hasher.slow.stats(), imported.hasher.limit
        flights = len(imported.hasher.flights)
        yield _gauge(
            "keywright_imported_shapes", "Shapes of imported tokens.", len(imported.shapes)
        )
        yield _gauge("keywright_imported_waiting", "Slow hashes that wait.", slow.waiting)
        yield _gauge("keywright_imported_flights", "Slow hashes asked for, by source.", flights)
        yield _counter("keywright_imported_started", "Slow hashes begun.", slow.started)
        yield _counter("keywright_imported_rejected", "Refused: too many wait.", slow.rejected)
        yield _counter("keywright_imported_limited", "Refused by source.", limit.refused)
        yield _gauge("keywright_imported_sources", "Sources that are counted.", len(limit))
        pool = self._parts.database.pool
        open_, idle, most = pool.get_size(), pool.get_idle_size(), pool.get_max_size()
        yield _gauge("keywright_database_connections", "Connections that are open.", open_)
        yield _gauge("keywright_database_connections_idle", "Those that nobody uses.", idle)
        yield _gauge("keywright_database_connections_max", "How many there can be.", most)
        usage, notices = self._parts.usage, self._parts.notices
        yield _gauge("keywright_usage_waiting", "Usage counters to be written.", usage.waiting)
        yield _counter("keywright_usage_dropped", "Uses of keys not counted.", usage.dropped)
        yield _gauge("keywright_notices_waiting", "What is counted together.", notices.waiting)
        yield _counter("keywright_notices_dropped", "Denials not noticed.", notices.dropped)
        yield from _of_the_sealer(self._parts.sealer)


def serve(address: TcpAddress | None, parts: Parts) -> Callable[[], None]:
    """Serve metrics on `address`, if there is one; returns what stops it.

    Raises:
        ListenError: the address cannot be listened on.
    """
    if address is None:
        return lambda: None
    try:
        server, thread = start_http_server(address.port, address.host)
    except OSError as error:
        raise ListenError(
            f"{address} cannot be listened on for metrics ({error.strerror}); choose another with "
            "KEYWRIGHT_METRICS_LISTEN, or leave it empty"
        ) from error
    pools = PoolMetrics(parts)
    REGISTRY.register(pools)
    _log.info("serving metrics", listen=str(TcpAddress(address.host, server.server_port)))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()
        REGISTRY.unregister(pools)

    return stop


def _of_the_sealer(sealer: Sealer) -> Iterator[Metric]:
    yield _counter("keywright_audit_seals", "Seals made.", sealer.seal_count)
    yield _counter("keywright_audit_sealed_events", "Events sealed.", sealer.event_count)
    waited = sealer.waited.total_seconds()
    yield _gauge(
        "keywright_audit_seal_wait_seconds", "How long the first unsealed has waited.", waited
    )
    broken = len(sealer.broken)
    yield _gauge("keywright_audit_broken_chains", "Workspaces that are not sealed.", broken)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)
