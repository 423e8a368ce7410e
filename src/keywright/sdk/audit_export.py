"""Exports of the audit trail: JSON lines, oldest first, that can be checked without a server.

Each event is its record, the very text that its seal covers; after the events of a seal comes a
line about the seal, with its content. docs/audit-trail/README.md has the form.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from keywright.sdk.calls.audit import Audit
from keywright.sdk.connection.flow import Blocking
from keywright.sdk.values.audit_results import AuditSeal

_FIRST_PREVIOUS = bytes(32).hex()
_PAGE_SIZE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def export(audit: Audit[Blocking], *, after_seal: str | None = None) -> Iterator[str]:
    """The lines of an export; to go on with one, those after its last seal.

    Example: for line in export(client.audit): print(line)
    """
    for seal in audit.seals(after_seal=after_seal, page_size=_PAGE_SIZE):
        events = audit.list(seal=seal.name, include_records=True, page_size=_PAGE_SIZE)
        yield from (each.record for each in sorted(events, key=lambda each: int(each.id)))
        yield json.dumps(
            {
                "seal": seal.name,
                "content": seal.content,
                "digest": seal.digest.hex(),
                "signature": seal.signature.hex(),
                "public_key": seal.public_key.hex(),
            }
        )


class ExportError(ValueError):
    """An export is not as it was written; the message says where."""


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """What is in an export that is whole."""

    event_count: int
    seal_count: int
    last_seal: AuditSeal


def check_export(lines: Iterable[str]) -> CheckedExport:
    """Compute all hashes of an export anew.

    Whether its last seal is the trail's says the server: `client.audit.verify(known_seal=...)`.
    That is all that is trusted: whoever could forge the file could not forge that.

    Example: client.audit.verify(known_seal=check_export(open("audit.jsonl")).last_seal)

    Raises:
        ExportError: at the first line that does not fit, or because something is missing.
    """
    check = _Check()
    for number, line in enumerate(lines, 1):
        try:
            check.take(line.rstrip("\n"))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            told = str(error) if isinstance(error, ExportError) else "is no line of an export"
            raise ExportError(f"line {number} {told}") from None
    return check.result()


@dataclass(slots=True)
class _Check:
    """Where a check has come to: the events since the last seal, and the chain."""

    event_count: int = 0
    seals: list[AuditSeal] = field(default_factory=list)
    removed_before: str = ""  # which month
    empty: dict[int, str] = field(default_factory=dict)  # seals without events: their months
    _ids: list[int] = field(default_factory=list)
    _leaves: list[bytes] = field(default_factory=list)

    def take(self, line: str) -> None:
        value = json.loads(line)
        if "seal" in value:
            self._take_seal(value)
            return
        self._ids.append(int(value["id"]))
        self._leaves.append(hashlib.sha256(line.encode()).digest())
        if value["action"] == "RemoveAuditEvents":
            said = date.fromisoformat(value["change"]["after"]["removed_before"])
            made = _EPOCH + timedelta(microseconds=value["create_time"])
            # No month can be removed before it is over.
            self.removed_before = min(f"{said:%Y-%m}", f"{made:%Y-%m}")

    def _take_seal(self, value: dict[str, Any]) -> None:
        text = value["content"]
        digest, content = hashlib.sha256(text.encode()).digest(), json.loads(text)
        number = content["number"]
        if digest.hex() != value["digest"]:
            raise ExportError(f"is a seal whose digest is not that of its content: {number}")
        if value["seal"] != f"workspaces/{content['workspace']}/auditSeals/{number}":
            raise ExportError(f"has another name than the seal in it: {number}")
        self._follows(number, content["previous"])
        if not self._ids:
            self.empty[number] = content["month"]
        elif len(self._ids) != content["events"] or self._root() != content["root"]:
            raise ExportError(f"is a seal of other events than those before it: {number}")
        self.event_count += len(self._ids)
        self._ids, self._leaves = [], []
        self.seals.append(
            AuditSeal(
                name=value["seal"],
                create_time=None,
                previous="",
                event_count=content["events"],
                digest=digest,
                signature=bytes.fromhex(value["signature"]),
                public_key=bytes.fromhex(value["public_key"]),
                content=text,
            )
        )

    def _follows(self, number: int, previous: str) -> None:
        if self.seals:
            last = self.seals[-1]
            expected = (last.number + 1, last.digest.hex())
        else:  # an export may go on where another one ended
            expected = (number, _FIRST_PREVIOUS if number == 1 else previous)
        if (number, previous) != expected:
            raise ExportError(f"is a seal that does not follow the one before it: {number}")

    def _root(self) -> str:
        digest = hashlib.sha256()
        for event_id, leaf in zip(self._ids, self._leaves, strict=True):
            digest.update(struct.pack(">q", event_id) + leaf)
        return digest.hexdigest()

    def result(self) -> CheckedExport:
        if not self.seals:
            raise ExportError("the export has no seal")
        if self._ids:
            raise ExportError("the export ends with events whose seal is missing")
        for number, month in self.empty.items():
            if not month < self.removed_before:
                raise ExportError(f"the events of seal {number} are missing")
        return CheckedExport(self.event_count, len(self.seals), self.seals[-1])
