"""Times and lengths of time, as people say them."""

import re
from datetime import UTC, datetime, timedelta

from markupsafe import Markup, escape

_UNITS = (
    ("week", timedelta(weeks=1)),
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
)
# As the server's messages tell them: `2027-02-27T08:31:00.957078+00:00`.
_IN_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_SOON = timedelta(days=14)


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def exactly(moment: datetime) -> str:
    """`29 Nov 2026, 08:13 UTC`: what is shown until a script tells it in the viewer's zone."""
    return f"{moment:%-d %b %Y, %H:%M} UTC"


def on_day(moment: datetime) -> str:
    """`29 Nov 2026`."""
    return f"{moment:%-d %b %Y}"


def machine(moment: datetime) -> str:
    """As the attribute `datetime` has it (RFC 3339)."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def within(text: str) -> Markup:
    """A text, in which the times are elements that show in the viewer's zone."""

    def element(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0])
        return f'<time datetime="{machine(moment)}">{exactly(moment)}</time>'

    return Markup(_IN_TEXT.sub(element, str(escape(text))))  # noqa: S704  all else is escaped


def length(span: timedelta) -> str:
    """`2 weeks`, `36 hours`: in the largest unit that it is a whole number of."""
    return _counted(*counted(span))


def counted(span: timedelta) -> tuple[int, str]:
    """`(2, "week")`: the same in two parts."""
    for name, unit in _UNITS:
        if span >= unit and not span % unit:
            return span // unit, name
    return round(span.total_seconds()), "second"


def roughly(span: timedelta) -> str:
    """`5 days`: in the largest unit that it is more than one of."""
    for name, unit in _UNITS[1:]:
        if span >= unit:
            return _counted(span // unit, name)
    return "less than a second"


def is_near(moment: datetime | None) -> bool:
    """Whether it comes within two weeks."""
    return moment is not None and now() < moment <= now() + _SOON


def remaining(moment: datetime) -> str:
    """How long until then, roughly."""
    return roughly(moment - now())


def is_older(moment: datetime | None, than: timedelta | None) -> bool:
    """Whether it is longer ago; what has no bound never is."""
    return moment is not None and than is not None and now() - moment > than


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
