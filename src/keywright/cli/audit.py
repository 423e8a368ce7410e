"""`keywright audit ...`."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from keywright.cli import values
from keywright.cli.command import Session, command
from keywright.cli.exits import ExitCode
from keywright.cli.output import last_part
from keywright.sdk import AuditEventFilter, AuditOutcome

if TYPE_CHECKING:
    from keywright.sdk.audit_export import CheckedExport

app = typer.Typer(help="The audit trail: list, get, seals, verify, export.", no_args_is_help=True)

_MOMENT = "2026-12-31T00:00:00Z or how long ago: 30m, 12h, 7d."
Since = Annotated[str | None, typer.Option(metavar="TIME", help=f"At or after: {_MOMENT}")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help=f"Before: {_MOMENT}")]
AfterSeal = Annotated[str | None, typer.Option(metavar="NUMBER", help="Those after this seal.")]


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Which events are meant."""

    actor: Annotated[
        str | None, typer.Option(metavar="USER", help="By this user: an id or an e-mail address.")
    ] = None
    credential: Annotated[
        str | None, typer.Option(metavar="NAME", help="With this credential: keys/ci-deploy.")
    ] = None
    resource: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="To this or something below it: keys/ci-deploy."),
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
        found = client.audit.list(page_size=min(limit, 1000), **events.matching())
        session.out.records(
            "events",
            (event for event, _ in zip(found, range(limit), strict=False)),
            {
                "TIME": lambda event: event.create_time,
                "ID": lambda event: event.id,
                "ACTION": lambda event: event.action,
                "OUTCOME": lambda event: event.reason or event.outcome.lower(),
                "RESOURCE": lambda event: event.resource,
                "ACTOR": lambda event: event.actor_email or last_part(event.actor),
                "CREDENTIAL": lambda event: last_part(event.credential),
                "ADDRESS": lambda event: event.client_address,
                "COUNT": lambda event: event.count,
            },
        )


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
        session.out.record(client.audit.get(event))


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
                "TIME": lambda seal: seal.create_time,
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


def _new(file: Path) -> TextIO:
    try:
        return file.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:  # it is somebody's evidence
        raise typer.BadParameter("is there already", param_hint="FILE") from None


def _checked(session: Session, file: Path) -> "CheckedExport":
    from keywright.sdk.audit_export import ExportError, check_export  # noqa: PLC0415  imports gRPC

    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            return check_export(lines)
    except ExportError as error:
        session.out.answer({"intact": False, "message": str(error)}, f"BROKEN: {file}: {error}.")
        raise typer.Exit(ExitCode.TRAIL_BROKEN) from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot be read: {error}", param_hint="--export") from None
