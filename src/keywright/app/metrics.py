"""The metrics of one process: beside what the interceptors count, how full the pools are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keywright.app.composition import Parts
from keywright.app.lines import STDERR
from keywright.service.authenticate import Authenticate
from keywright.service.sealing import Sealer
from keywright.wire.rpc import Backend

if TYPE_CHECKING:
    from keywright.security.cache import Cache


class PoolMetrics(Collector):
    """How full the bounded pools are, and how often a full one turned somebody away."""

    def __init__(self, parts: Parts, backend: Backend) -> None:
        self._parts = parts
        self._backend = backend

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
        yield _gauge("keywright_log_waiting", "Lines of calls to be written.", STDERR.waiting)
        yield _counter("keywright_log_dropped", "Lines of calls that are lost.", STDERR.dropped)
        yield from _of_the_sealer(self._parts.sealer)
        proofs = imported.hasher.proofs.cache
        yield from _of_a_cache("keywright_imported_proofs", "proofs of slow hashes", proofs)
        if self._backend.services is not None:
            services = self._backend.services
            yield from _of_authenticate(services.authenticate)
            yield _gauge(
                "keywright_warm_up_keys",
                "Keys that were looked up ahead after the start.",
                services.warm_up.keys,
            )


@contextmanager
def collected(parts: Parts, backend: Backend) -> Iterator[None]:
    """Have the pools among what is served, while the block runs."""
    pools = PoolMetrics(parts, backend)
    REGISTRY.register(pools)
    try:
        yield
    finally:
        REGISTRY.unregister(pools)


def _of_a_cache(name: str, what: str, cache: "Cache[Any]") -> Iterator[Metric]:
    yield _gauge(f"{name}_bytes", f"Memory for {what}, tables included.", cache.bytes)
    yield _gauge(f"{name}_count", f"How many {what} are remembered.", len(cache))
    yield _counter(f"{name}_evicted", f"How many {what} had to go.", cache.evicted)


def _of_authenticate(authenticate: Authenticate) -> Iterator[Metric]:
    yield from _of_a_cache("keywright_known_keys", "keys", authenticate.memory.cache)
    looked_up = authenticate.proving.look_ups
    yield _gauge(
        "keywright_look_ups_waiting",
        "Prefixes of tokens that wait for the database.",
        looked_up.waiting,
    )
    yield _counter(
        "keywright_look_ups_queries",
        "Queries that looked prefixes of tokens up.",
        looked_up.queries,
    )
    yield _counter(
        "keywright_look_ups_rejected",
        "Look-ups refused: too many waited.",
        looked_up.rejected + authenticate.proving.rejected,
    )
    admission = authenticate.admission
    for source, limit in (("address", admission.by_address), ("caller", admission.by_caller)):
        yield _counter(
            f"keywright_failures_limited_by_{source}",
            f"Look-ups refused: too many were in vain for that {source}.",
            limit.refused,
        )
        yield _gauge(
            f"keywright_failing_{source}_count", "Sources whose failures are counted.", len(limit)
        )
    replica, lease = authenticate.replica, authenticate.lease
    left = max(0, lease.until - lease.clock())
    yield _gauge(
        "keywright_lease_seconds", "Seconds for which this process may answer from memory.", left
    )
    yield _counter(
        "keywright_lease_renewals", "Renewals of this process's lease.", replica.renewals
    )
    yield _counter(
        "keywright_history_resets",
        "How often everything that was remembered was dropped.",
        replica.resets,
    )
    yield _gauge(
        "keywright_watchers", "Open Watch streams of client caches.", len(replica.watchers)
    )


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
