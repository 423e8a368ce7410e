"""`keywright bench`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keywright.cli import values
from keywright.cli.asking import presented_token
from keywright.cli.command import Session, command
from keywright.cli.exits import ExitCode
from keywright.sdk.connection.credentials import read_token
from keywright.sdk.errors import PermissionDenied, Unauthenticated

if TYPE_CHECKING:
    from keywright.sdk.calls.load import Seen

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(seconds=60)
_IN_FLIGHT = (1, 32)
_IN_FLIGHT_MAX = 256
_COUNTS_MAX = 8
_STDIN = Path("-")
_BUSY = 0.9  # of a core


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the result; durations are None if no call was answered OK.

    Attributes:
        of_no_op: calls a second, as a share of the no-op's; None beside none.
    """

    call: str
    in_flight: int
    count: int
    calls_per_second: float
    p50: timedelta | None
    p99: timedelta | None
    of_no_op: float | None
    errors: dict[str, int]


@command
def bench(
    session: Session,
    duration: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How long to measure with each number in flight: 1s to 60s."
        ),
    ] = "5s",
    in_flight: Annotated[
        list[int] | None,
        typer.Option(
            metavar="COUNT",
            help=f"Calls under way at a time: 1 to {_IN_FLIGHT_MAX}; repeatable. Else 1 and 32.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the token to ask about; - reads it from stdin or asks for it. Else "
            "your own.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure how many calls an installation answers, beside its own no-op.

    It calls the health check, which does nothing, and Authenticate in turn, as fast as they are
    answered: what the calls of others lack meanwhile. Each counts as a use of the key.

    Example: keywright bench --duration 10s --in-flight 1 --in-flight 64
    """
    length = _duration(duration)
    counts = _counts(in_flight)
    load = session.load()
    token = _token(session, token_file)
    try:
        result = load.run(token, duration=length, in_flight=counts)
    except (Unauthenticated, PermissionDenied) as denied:
        if token is None or denied.about_caller:
            raise
        session.out.error(denied)
        raise typer.Exit(ExitCode.TOKEN_DENIED) from None
    measured = _beside_the_no_op(result.seen)
    session.out.records(
        "measured",
        measured,
        {
            "CALL": lambda each: each.call,
            "IN FLIGHT": lambda each: each.in_flight,
            "CALLS/S": lambda each: f"{each.calls_per_second:,.0f}",
            "OF THE NO-OP'S": lambda each: _figure(each.of_no_op),
            "P50 MS": lambda each: _milliseconds(each.p50),
            "P99 MS": lambda each: _milliseconds(each.p99),
            "FAILED": _failed,
        },
    )
    if result.own_core_share > _BUSY:
        session.out.note(
            f"This program used {result.own_core_share:.0%} of a core: it may be what is slow."
        )
    if any(each.errors for each in measured):
        session.out.note("Not every call was answered OK.")
        raise typer.Exit(ExitCode.UNAVAILABLE)


def _duration(text: str) -> timedelta:
    length = values.duration(text, "--duration")
    assert length is not None, "there is always a text"  # noqa: S101
    if not _SHORTEST <= length <= _LONGEST:
        raise typer.BadParameter("is 1s at least and 60s at most", param_hint="--duration")
    return length


def _counts(given: Sequence[int] | None) -> Sequence[int]:
    counts = list(dict.fromkeys(given or _IN_FLIGHT))
    if not all(1 <= count <= _IN_FLIGHT_MAX for count in counts) or len(counts) > _COUNTS_MAX:
        raise typer.BadParameter(
            f"is 1 at least and {_IN_FLIGHT_MAX} at most, and given {_COUNTS_MAX} times at most",
            param_hint="--in-flight",
        )
    return counts


def _token(session: Session, file: Path | None) -> str | None:
    """The token to ask about; None: one's own.

    Raises:
        typer.BadParameter: there is none, or it is on the command line.
    """
    if session.ctx.args or file == _STDIN:
        return presented_token(session.ctx)
    if file is None:
        return None
    token = read_token(file)
    if not token:
        raise typer.BadParameter(f"there is none in {file}", param_hint="--token-file")
    return token


def _beside_the_no_op(seen: "Sequence[Seen]") -> list[Measured]:
    bases = {each.in_flight: each.rate for each in seen[::2]}
    return [
        Measured(
            call=each.call,
            in_flight=each.in_flight,
            count=len(each.latencies),
            calls_per_second=round(each.rate, 1),
            p50=each.quantile(0.5),
            p99=each.quantile(0.99),
            of_no_op=round(each.rate / base, 3) if (base := bases[each.in_flight]) else None,
            errors=dict(sorted(each.errors.items())),
        )
        for each in seen
    ]


def _failed(measured: Measured) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in measured.errors.items()) or "0"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _milliseconds(length: timedelta | None) -> str:
    return _figure(None if length is None else length / timedelta(milliseconds=1))
