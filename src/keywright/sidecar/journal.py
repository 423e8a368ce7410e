"""Tells of decisions and faults, in the log and in metrics.

A line of the access log names the rule and not the path: paths and queries have tokens in them
more often than anybody wishes.
"""

import json
import time
from functools import lru_cache

from keywright.sdk.errors import KeywrightError
from keywright.sidecar.by_identity import ByIdentity
from keywright.sidecar.config import AccessLog
from keywright.sidecar.counting import Counts
from keywright.sidecar.decisions import Decision
from keywright.sidecar.log import Log

_SAME_FAULT_SECONDS = 1.0


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

    def decided(self, transport: str, label: str, decision: Decision, seconds: float) -> None:
        """Count a decision, and log it."""
        self._counts.count(transport, decision.status, decision.reason, seconds)
        if self._off or (decision.allowed and not self._all):
            return
        told = self._allowed(decision) if decision.allowed else _told(decision)
        line = f'{_begun(transport, label)}{told}, "duration_ms": {seconds * 1000:.3f}}}\n'
        if not self._log.soon(line):
            self._counts.dropped_lines += 1

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
    return f'"event": "decided", "transport": "{transport}", "rule": {json.dumps(label)}, '


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
