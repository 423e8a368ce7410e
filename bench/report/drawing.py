"""Plots as SVG, by matplotlib: the same bytes for the same values, readable on light and dark."""

import io
from collections.abc import Sequence
from typing import Any

from bench.report.shown import Bars, Lines, Plot

_WIDTH = 8.0  # inches
_BAR_HEIGHT = 0.32
_COLOURS = ("#8a8f98", "#2f6db5", "#c4572c", "#3d8b5f", "#7a52a6")
_SETTINGS: Any = {
    "svg.hashsalt": "keywright",  # else ids are random
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "grid.color": "#dddddd",
}


def svg(plot: Plot) -> bytes:
    """An SVG document on a white ground."""
    import matplotlib as mpl  # noqa: PLC0415  needed by who draws, and slow to import
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, _height(plot)), facecolor="white", layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if isinstance(plot, Bars):
            _draw_bars(axes, plot)
        else:
            _draw_lines(axes, plot)
        figure.suptitle(
            plot.title, x=0.01, horizontalalignment="left", fontsize=10, fontweight="bold"
        )
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    lines = written.getvalue().splitlines()
    return b"\n".join(line.rstrip() for line in lines) + b"\n"


def _height(plot: Plot) -> float:
    if isinstance(plot, Lines):
        return 3.6
    return 1.2 + _BAR_HEIGHT * (sum(map(len, plot.groups.values())) + 0.6 * len(plot.groups))


def _draw_bars(axes: Any, plot: Bars) -> None:
    """Bars from left to right, since their labels are long; each label has its colour."""
    labels = list(dict.fromkeys(label for bars in plot.groups.values() for label in bars))
    place, ticks, most = 0.0, [], max(max(bars.values()) for bars in plot.groups.values())
    for group, bars in plot.groups.items():
        for label, value in bars.items():
            colour = _COLOURS[labels.index(label) % len(_COLOURS)]
            axes.barh(place, value, height=0.8, color=colour)
            axes.annotate(
                _number(value),
                (value, place),
                xytext=(4, 0),
                textcoords="offset points",
                verticalalignment="center",
            )
            ticks.append((place, f"{label}, {group}" if group else label))
            place += 1
        place += 0.6
    axes.set_yticks([where for where, _ in ticks], [label for _, label in ticks])
    axes.set_ylim(place - 0.9, -0.7)  # the first one on top
    axes.set_xlim(0, most * 1.12)
    axes.set_xlabel(plot.unit)
    axes.xaxis.set_major_formatter(lambda value, _: _number(value))
    axes.grid(axis="x")


def _draw_lines(axes: Any, plot: Lines) -> None:
    for colour, (name, points) in zip(_colours(len(plot.series)), plot.series.items(), strict=True):
        ordered = sorted(points.items())
        axes.plot([x for x, _ in ordered], [y for _, y in ordered], "o-", color=colour, label=name)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: _number(value))
    axes.grid()
    if len(plot.series) > 1:
        axes.legend(frameon=False)


def _colours(count: int) -> Sequence[str]:
    return [_COLOURS[(index + 1) % len(_COLOURS)] for index in range(count)]


def _number(value: float) -> str:
    return (
        f"{value:,.0f}"
        if value == 0 or abs(value) >= 10
        else f"{value:.2f}".rstrip("0").rstrip(".")
    )
