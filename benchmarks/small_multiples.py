"""A row of panels with one line for each method, as SVG; needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .score_points import ScorePoint

SIDE_STEP = 0.08  # between the bars of two methods at one place


class Line(NamedTuple):
    """One curve: points at places of the shared axis; lines of one `colour` number belong together."""

    label: str
    colour: int
    dashed: bool
    places: Sequence[int]
    points: Sequence[ScorePoint]


def draw_panels(panels: Mapping[str, Sequence[Line]], ticks: Sequence[str], below: str, path: Path) -> None:
    """Write a figure: title -> lines, all panels with the same ticks and scale, intervals as bars.

    Raises ImportError without matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    panels = panels or {"no score": []}
    figure = Figure(figsize=(2.3 * len(panels) + 0.8, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        panel.set_title(title)
        panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        panel.set_xticks(range(len(ticks)), ticks, rotation=45)
        panel.set_xlim(-0.4, max(len(ticks) - 0.6, 0.4))
        colours = sorted({line.colour for line in lines})
        for line in lines:
            _draw(panel, line, aside=SIDE_STEP * (colours.index(line.colour) - (len(colours) - 1) / 2))
    axes[0].set_ylabel("score, dB")
    figure.supxlabel(below, fontsize="medium")
    named = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    if named:
        columns = max(1, min(len(named), len(panels)))
        figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=columns, frameon=False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sepkit"}):  # text as text, and the same file every time
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw(panel: Any, line: Line, *, aside: float) -> None:
    scores = [point.score for point in line.points]
    spread = [
        [0.0 if point.low is None else point.score - point.low for point in line.points],
        [0.0 if point.high is None else point.high - point.score for point in line.points],
    ]
    style = "--" if line.dashed else "-"
    panel.errorbar(
        [place + aside for place in line.places],
        scores,
        spread,
        label=line.label,
        color=f"C{line.colour}",
        linestyle=style,
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=1.2,
    )
