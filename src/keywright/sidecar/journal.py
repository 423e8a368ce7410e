"""Tells of decisions and faults, in the log and in metrics.

Decisions wait for a moment, and are counted and logged many at a time: one by one, in between
requests, it takes twice as long, as what it needs is out of the processor's caches then.

A line of the access log names the rule and not the path: paths and queries have tokens in them
more often than anybody wishes.
"""

import asyncio
import json
import time
from functools import lru_cache

from keywright.programs.log import Log
from keywright.sdk.errors import KeywrightError
from keywright.sidecar.by_identity import ByIdentity
from keywright.sidecar.config import AccessLog
from keywright.sidecar.counting import Counts
from keywright.sidecar.decisions import Decision

_SAME_FAULT_SECONDS = 1.0
_WAIT_SECONDS = 0.2
_WAITING_MAX_COUNT = 256  # less than a millisecond's work


class Journal:
    """Tells of decisions and faults.

    Args:
        log: where lines go.
        access_log: which decisions get one.
        counts: counts them all.
    """

    def __init__(self, log: Log, access_log: AccessLog, counts: Counts) -> None:
        self._log = log
        self._counts = counts
        self._all = access_log is AccessLog.ALL
        self._off = access_log is AccessLog.OFF
        self._allowed = ByIdentity(_told)
        self._faults: dict[tuple[str, str], float] = {}
        self._waiting: list[tuple[str, str, Decision, float]] = []
        self._settling: asyncio.TimerHandle | None = None

    def decided(self, transport: str, label: str, decision: Decision, seconds: float) -> None:
        """Count a decision, and log it, in a moment."""
        self._waiting.append((transport, label, decision, seconds))
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(_WAIT_SECONDS, self.settle)
        elif len(self._waiting) >= _WAITING_MAX_COUNT:
            self.settle()

    def settle(self) -> None:
        """Count and log what waits."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        waiting, self._waiting = self._waiting, []
        lines = []
        for transport, label, decision, seconds in waiting:
            self._counts.count(transport, decision.status, decision.reason, seconds)
            if self._off or (decision.allowed and not self._all):
                continue
            told = self._allowed(decision) if decision.allowed else _told(decision)
            duration = f'"duration_ms": {seconds * 1000:.3f}'
            lines.append(f"{_begun(transport, label)}, {told}, {duration}")
        self._log.write_fields(lines)

    def failed(self, error: Exception) -> None:
        """Log why something was not decided; the same not more than once a second."""
        reason = error.reason if isinstance(error, KeywrightError) else ""
        kind = (type(error).__name__, reason)
        now = time.monotonic()
        if now - self._faults.get(kind, -_SAME_FAULT_SECONDS) < _SAME_FAULT_SECONDS:
            return
        self._faults[kind] = now
        # Only our own errors are known to tell no secret.
        message = error.message if isinstance(error, KeywrightError) else ""
        self._log.write("not decided", error=kind[0], reason=reason, message=message)


@lru_cache(2_000)
def _begun(transport: str, label: str) -> str:
    return f'"event": "decided", "transport": "{transport}", "rule": {json.dumps(label)}'


def _told(decision: Decision) -> str:
    """The fields of a line that come from the decision, as JSON."""
    principal = decision.principal
    fields = {
        "status": int(decision.status),
        "reason": decision.reason,
        "user": principal.user.name if principal else "",
        "credential": principal.credential.name if principal else "",
    }
    return json.dumps(fields)[1:-1]
