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
        str, typer.Option(metavar="TIME", help="From then on: 7d ago, or a moment.")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until then: 1d ago, or a moment. Else now.")
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
        session.out.records(
            "usage",
            client.usage.query(
                start_time=begin,
                end_time=values.ago(until, now, "--until"),
                keys=keys or (),
                user=values.not_empty(user, "--user"),
                interval=values.choice(UsageInterval, interval, "--interval"),
                total=total,
                page_size=1000,
            ),
            {
                "BEGINS": lambda point: point.start_time,
                **({} if total else {"KEY": lambda point: last_part(point.key)}),
                "ALLOWED": lambda point: point.allowed_count,
                "DENIED": _denied,
            },
        )


def _denied(point: UsagePoint) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in point.denials.items())
