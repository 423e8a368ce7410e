"""The form of records, seals and exports, held to the vectors that are published."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from keywright.domain.audit_trail import (
    BreakKind,
    Covering,
    Leaves,
    Link,
    Seal,
    first_of_month,
    sha256,
    verify,
)
from keywright.sdk.audit_export import ExportError, check_export
from keywright.security.audit_signing import AuditSigner, TrustedKeys

VECTORS = json.loads(
    (Path(__file__).parents[2] / "docs" / "audit-trail" / "vectors.json").read_text()
)
SIGNER = AuditSigner.of_seed(bytes.fromhex(VECTORS["signing_key_seed"]))
EXPORT: list[str] = VECTORS["export"]


def seals() -> list[Covering]:
    """The seals of the vectors, made by the program."""
    made: list[Covering] = []
    link = Link()
    for vector in VECTORS["seals"]:
        covered = Leaves(
            [json.loads(each)["id"] for each in vector["records"]],
            b"".join(map(sha256, vector["records"])),
        )
        seal = Seal(
            workspace_id="acme",
            number=link.number + 1,
            create_time=datetime.fromisoformat(vector["time"]),
            month=date.fromisoformat(vector["month"] + "-01"),
            previous=link.digest,
            event_count=len(vector["records"]),
            root=covered.root,
        )
        digest = sha256(seal.content)
        signature = SIGNER.sign(digest)
        seal = replace(seal, digest=digest, signature=signature, public_key=SIGNER.public_key)
        made.append(Covering(seal, covered))
        link = seal.link
    return made


def test_the_published_vectors_are_what_the_program_makes() -> None:
    assert SIGNER.public_key.hex() == VECTORS["public_key"]
    for covering, vector in zip(seals(), VECTORS["seals"], strict=True):
        seal = covering.seal
        assert seal.root.hex() == vector["root"]
        assert seal.content == vector["content"]
        assert seal.digest.hex() == vector["digest"]
        assert seal.signature.hex() == vector["signature"]
        assert TrustedKeys(frozenset([SIGNER.public_key])).have_signed(seal)


def test_a_run_of_seals_stands_and_tells_its_first_break() -> None:
    run = seals()
    found = {each.seal.number: list(each.covered.by_id().items()) for each in run}
    verifies = TrustedKeys(frozenset([SIGNER.public_key])).have_signed

    def verified(after: Link = Link(), **given: Any) -> Any:  # noqa: B008  it is frozen
        given = {"run": run, "found": found, "removed_before": None, **given}
        return verify(after, verifies=verifies, **given)

    whole = verified()
    assert (whole.last, whole.first_break) == (run[-1].seal, None)
    assert whole.event_count == sum(each.seal.event_count for each in run)
    assert verified(run[0].seal.link, run=run[1:]).last == run[-1].seal
    assert verified(run=run[1:]).first_break.kind is BreakKind.SEAL_MISSING
    gone = verified(found={run[0].seal.number: found[1]})
    assert gone.first_break.kind is BreakKind.EVENT_MISSING
    assert gone.last == run[0].seal
    (event_id, leaf), *others = found[1]
    for copies in ((leaf, sha256("x")), (sha256("x"), leaf)):
        twice = [*((event_id, each) for each in copies), *others]
        inserted = verified(found={**found, 1: twice}).first_break
        assert (inserted.kind, inserted.event_id) == (BreakKind.EVENT_INSERTED, event_id)
    late = date(2999, 1, 1)
    assert verified(found={}, removed_before=late).last == run[-1].seal
    assert verified(found={}, removed_before=run[0].seal.month).first_break.seal == 1


def test_a_month_is_told_in_utc() -> None:
    assert first_of_month(datetime.fromisoformat("2027-01-01T00:30:00+01:00")) == date(2026, 12, 1)
    assert first_of_month(datetime(2026, 2, 28, 23, 59, tzinfo=UTC)) == date(2026, 2, 1)


def test_a_whole_export_is_checked() -> None:
    checked = check_export(f"{line}\n" for line in EXPORT)
    assert checked.seal_count == len(VECTORS["seals"])
    assert checked.last_seal.digest.hex() == VECTORS["seals"][-1]["digest"]
    one = len(VECTORS["seals"][0]["records"]) + 1
    assert check_export(EXPORT[one:]).seal_count == checked.seal_count - 1


def _with(line: int, change: Callable[[str], str]) -> list[str]:
    return [change(each) if number == line else each for number, each in enumerate(EXPORT)]


_SEAL = len(VECTORS["seals"][0]["records"])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "has no seal"),
        (EXPORT[1:], "of other events"),
        (EXPORT[:-1], "whose seal is missing"),
        (EXPORT[:_SEAL] + EXPORT[_SEAL + 1 :], "does not follow|of other events"),
        (EXPORT[_SEAL:], "events of seal 1 are missing"),
        ([EXPORT[1], EXPORT[0], *EXPORT[2:]], "of other events"),
        ([EXPORT[0], *EXPORT], "of other events"),
        (_with(0, lambda line: line.replace("ann", "bea")), "of other events"),
        (_with(0, lambda line: f" {line}"), "of other events"),
        (_with(_SEAL, lambda line: line.replace("2026-11", "2026-10")), "digest"),
        (_with(_SEAL, lambda line: line.replace("auditSeals/1", "auditSeals/2")), "another name"),
        (_with(0, lambda _: "no JSON"), "line 1 is no line of an export"),
        (_with(0, lambda _: "[]"), "line 1 is no line of an export"),
    ],
)
def test_an_export_that_is_not_as_it_was_written_is_told(lines: list[str], told: str) -> None:
    with pytest.raises(ExportError, match=told):
        check_export(lines)


@pytest.mark.parametrize(("removed_in", "whole"), [("2026-12-01", True), ("2026-11-30", False)])
def test_an_export_may_lack_only_months_that_were_over_when_they_were_removed(
    removed_in: str, *, whole: bool
) -> None:
    """Whatever the removal says: here, that all up to 2999 were."""
    time = datetime.fromisoformat(f"{removed_in}T12:00Z")
    record = json.dumps(
        {
            "id": 5,
            "action": "RemoveAuditEvents",
            "create_time": int(time.timestamp()) * 1_000_000,
            "change": {"after": {"removed_before": "2999-01-01"}},
        }
    )
    first, covered = seals()[0].seal, Leaves([5], sha256(record))
    seal = Seal("acme", 2, time, first_of_month(time), first.digest, 1, covered.root)
    lines = [
        EXPORT[_SEAL],
        record,
        json.dumps(
            {
                "seal": "workspaces/acme/auditSeals/2",
                "content": seal.content,
                "digest": sha256(seal.content).hex(),
                "signature": "",
                "public_key": "",
            }
        ),
    ]
    if whole:
        assert check_export(lines).event_count == 1
    else:
        with pytest.raises(ExportError, match="events of seal 1 are missing"):
            check_export(lines)
