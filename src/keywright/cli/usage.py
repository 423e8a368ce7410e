"""`keywright usage`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.command import Session, command
from keywright.cli.output import last_part
from keywright.sdk import UsageInterval, UsagePoint

_INTERVALS = values.choices(UsageInterval)


@command
def usage(
    session: Session,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...", help="Ids or full names. Else of all.", show_default=False
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Of this user: an id or an e-mail address.")
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help=f"From then on: {values.MOMENT_HELP}")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Until then: {values.MOMENT_HELP} Else now.")
    ] = None,
    interval: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help=f"What a line is about: {' or '.join(_INTERVALS)}.",
            autocompletion=lambda: _INTERVALS,
        ),
    ] = "hour",
    total: Annotated[bool, typer.Option("--total", help="All keys together.")] = False,
) -> None:
    """Say how often keys were allowed, and denied by reason. Times are in UTC.

    Example: keywright usage ci-deploy --since 24h

    Example: keywright usage --user ann@acme.example --since 30d --interval day --total
    """
    now = datetime.now(UTC)
    begin = values.ago(since, now, "--since")
    assert begin is not None, "there is always a text"  # noqa: S101
    with session.client() as client:
        points = list(
            client.usage.query(
                start_time=begin,
                end_time=values.ago(until, now, "--until"),
                keys=keys or (),
                user=values.not_empty(user, "--user"),
                interval=values.choice(UsageInterval, interval, "--interval"),
                total=total,
                page_size=1000,
            )
        )
    session.out.records(
        "usage",
        points,
        {
            "BEGINS": lambda point: point.start_time,
            **({} if total else {"KEY": lambda point: last_part(point.key)}),
            "ALLOWED": lambda point: point.allowed_count,
            "DENIED": _denied,
        },
    )
    if not points:
        session.out.note("What was counted within the last minute may not be written yet.")


def _denied(point: UsagePoint) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in point.denials.items())
