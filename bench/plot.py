"""Plots of what a benchmark has seen; they are drawn where it is written into the documentation."""

from collections.abc import Mapping

from bench.report import shown


def bars(
    name: str,
    title: str,
    unit: str,
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
) -> None:
    """Show values by label, or by label in groups, as bars.

    `name` is that of the file, and no other plot's.
    """
    plain = {label: value for label, value in values.items() if not isinstance(value, Mapping)}
    groups = {label: value for label, value in values.items() if isinstance(value, Mapping)}
    shown.add(shown.Bars(name, title, unit, groups or {"": plain}))


def lines(
    name: str, title: str, x: str, y: str, series: Mapping[str, Mapping[float, float]]
) -> None:
    """Show y by x as a line, for each of the series; both axes begin at 0 and have their units."""
    shown.add(shown.Lines(name, title, x, y, series))
