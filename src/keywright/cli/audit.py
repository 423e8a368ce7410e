"""`keywright audit ...`."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from keywright.cli import values
from keywright.cli.command import Session, command
from keywright.cli.exits import ExitCode
from keywright.cli.output import exactly, last_part
from keywright.sdk import AuditEvent, AuditEventFilter, AuditOutcome

if TYPE_CHECKING:
    from keywright.sdk.audit_export import CheckedExport

app = typer.Typer(help="The audit trail: list, get, seals, verify, export.", no_args_is_help=True)

# What a new resource has before anybody gives it something.
_EMPTY = {"", "null", '""', "[]", "{}"}
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help=f"At or after: {values.MOMENT_HELP}")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help=f"Before: {values.MOMENT_HELP}")]
AfterSeal = Annotated[str | None, typer.Option(metavar="NUMBER", help="Those after this seal.")]


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Which events are meant."""

    actor: Annotated[
        str | None, typer.Option(metavar="USER", help="By this user: an id or an e-mail address.")
    ] = None
    credential: Annotated[
        str | None, typer.Option(metavar="KEY", help="With this key: an id, or a full name.")
    ] = None
    resource: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="To this or something below it: keys/ci-deploy, users/ann@acme.example.",
        ),
    ] = None
    action: Annotated[
        list[str] | None, typer.Option(metavar="ACTION", help="RevokeKey; repeatable.")
    ] = None
    outcome: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help="done, denied or noticed; repeatable."),
    ] = None
    since: Since = None
    until: Until = None
    client_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="From this address.")
    ] = None
    request_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the calls with this request id.")
    ] = None
    seal: Annotated[str | None, typer.Option(metavar="NUMBER", help="Covered by this seal.")] = None

    def matching(self) -> AuditEventFilter:
        """What the SDK takes."""
        now = datetime.now(UTC)
        return AuditEventFilter(
            actor=values.not_empty(self.actor, "--actor"),
            credential=values.not_empty(self.credential, "--credential"),
            resource=values.not_empty(self.resource, "--resource"),
            actions=self.action or (),
            outcomes=[
                values.choice(AuditOutcome, each, "--outcome") for each in self.outcome or ()
            ],
            start_time=values.ago(self.since, now, "--since"),
            end_time=values.ago(self.until, now, "--until"),
            client_address=values.not_empty(self.client_address, "--client-address") or "",
            request_id=values.not_empty(self.request_id, "--request-id") or "",
            seal=values.not_empty(self.seal, "--seal"),
        )


@app.command("list")
@command
def list_(
    session: Session,
    events: EventOptions,
    limit: Annotated[int, typer.Option(metavar="COUNT", min=1, help="How many at most.")] = 1000,
) -> None:
    """List events, newest first.

    Example: keywright audit list --resource keys/ci-deploy --since 7d
    """
    with session.client() as client:
        found = client.audit.list(page_size=min(limit + 1, 1000), **events.matching())
        session.out.records(
            "events",
            islice(found, limit),
            {
                "TIME": lambda event: exactly(event.create_time),
                "ID": lambda event: event.id,
                "ACTION": lambda event: event.action,
                "OUTCOME": _outcome,
                "RESOURCE": _resource,
                "ACTOR": lambda event: event.actor_email or last_part(event.actor),
                "CREDENTIAL": lambda event: last_part(event.credential),
                "ADDRESS": lambda event: event.client_address,
                "COUNT": lambda event: event.count if event.count > 1 else "",
            },
            unfolded={"TIME", "ID"},
            hide_empty=True,
        )
        if next(found, None) is not None:
            session.out.note(f"There are more than these {limit}: give --limit, or --until.")


@app.command()
@command
def get(
    session: Session,
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="An id, or a full name.", show_default=False)
    ],
) -> None:
    """Show an event, with what changed.

    Example: keywright audit get 4711
    """
    with session.client() as client:
        found = client.audit.get(event)
    if not session.out.is_json:
        changes = tuple(each for each in found.changes if not {each.before, each.after} <= _EMPTY)
        found = replace(found, changes=changes)
    session.out.record(found)


@app.command()
@command
def seals(
    session: Session, after_seal: AfterSeal = None, since: Since = None, until: Until = None
) -> None:
    """List seals, oldest first.

    Example: keywright audit seals --since 1h -o json
    """
    now = datetime.now(UTC)
    with session.client() as client:
        session.out.records(
            "seals",
            client.audit.seals(
                after_seal=after_seal,
                start_time=values.ago(since, now, "--since"),
                end_time=values.ago(until, now, "--until"),
                page_size=1000,
            ),
            {
                "NUMBER": lambda seal: seal.number,
                "TIME": lambda seal: exactly(seal.create_time),
                "EVENTS": lambda seal: seal.event_count,
                "DIGEST": lambda seal: seal.digest,
            },
        )


@app.command()
@command
def verify(
    session: Session,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Check this export, too, and that its last seal is in the trail."
        ),
    ] = None,
) -> None:
    """Verify the trail; exit with 10 and show the first break if it is not as it was sealed.

    With --export the hashes of the file are computed here, and the trail must have its last seal:
    so nothing up to there was cut off since.

    Example: keywright audit verify --export audit.jsonl
    """
    known = None if export is None else _checked(session, export).last_seal
    with session.client() as client:
        verified = client.audit.verify(known_seal=known)
    last = "no seal" if verified.last_seal is None else f"seal {verified.last_seal.number}"
    if verified.intact:
        session.out.answer(verified, f"Intact: {verified.event_count} events, up to {last}.")
        return
    assert verified.first_break is not None, "it is broken"  # noqa: S101
    told = f"BROKEN after {last}: {verified.first_break.kind}: {verified.first_break.message}."
    session.out.answer(verified, told)
    raise typer.Exit(ExitCode.TRAIL_BROKEN)


@app.command()
@command
def export(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Else stdout.", show_default=False),
    ] = None,
    after_seal: AfterSeal = None,
) -> None:
    """Write sealed events and their seals as JSON lines, oldest first, to a new file.

    To go on with an export, give the number of its last seal and append what comes.

    Example: keywright audit export audit.jsonl
    """
    from keywright.sdk.audit_export import export as lines  # noqa: PLC0415  imports gRPC

    with session.client() as client, nullcontext() if file is None else _new(file) as new:
        for line in lines(client.audit, after_seal=after_seal):
            if new is None:
                session.out.line(line)
            else:
                new.write(f"{line}\n")


def _outcome(event: AuditEvent) -> str:
    return ": ".join(filter(None, (event.outcome.lower(), event.reason)))


def _resource(event: AuditEvent) -> str:
    """As it may be typed: without the workspace whose trail it is."""
    return event.resource.removeprefix(event.name.partition("auditEvents/")[0])


def _new(file: Path) -> TextIO:
    try:
        return file.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:  # it is somebody's evidence
        raise typer.BadParameter(f"{file} is there already", param_hint="FILE") from None
    except OSError as error:
        told = f"{file} cannot be written: {error.strerror}"
        raise typer.BadParameter(told, param_hint="FILE") from None


def _checked(session: Session, file: Path) -> "CheckedExport":
    from keywright.sdk.audit_export import ExportError, check_export  # noqa: PLC0415  imports gRPC

    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            return check_export(lines)
    except ExportError as error:
        session.out.answer({"intact": False, "message": str(error)}, f"BROKEN: {file}: {error}.")
        raise typer.Exit(ExitCode.TRAIL_BROKEN) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        told = f"{file} cannot be read: {why}"
        raise typer.BadParameter(told, param_hint="--export") from None
