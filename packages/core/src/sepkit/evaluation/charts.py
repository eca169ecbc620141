"""Charts as inline SVG text, for pages that must work without a network or a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor
from typing import NamedTuple

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#b2182b")
"""Okabe and Ito's, told apart by colour-blind readers too; then two more."""
GREYS = ("#5a5a5a", "#8a8a8a", "#b0b0b0", "#cfcfcf", "#747474")

BAR, GAP, HEIGHT, LEFT, TOP, BOTTOM = 14, 26, 220, 44, 12, 26  # pixels


class Series(NamedTuple):
    """One method's bars, one for each group; None leaves a gap. Muted ones are grey."""

    name: str
    values: Sequence[float | None]
    muted: bool = False


def grouped_bars(groups: Sequence[str], series: Sequence[Series], unit: str) -> str:
    """Bars side by side for each group, with an axis in `unit` and a legend; values may be negative."""
    values = [value for one in series for value in one.values if value is not None]
    if not values:
        return ""
    step = _step(max(0.0, *values) - min(0.0, *values))
    low, high = floor(min(0.0, *values) / step) * step, ceil(max(0.0, *values) / step) * step
    group_width = BAR * len(series) + GAP
    width = LEFT + group_width * len(groups) + 8

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * HEIGHT

    parts = [f'<svg viewBox="0 0 {width} {TOP + HEIGHT + BOTTOM}" style="max-width:{width * 1.4:.0f}px" role="img">']
    for index in range(round((high - low) / step) + 1):
        level = low + index * step
        weight = "axis" if abs(level) < step / 2 else "line"
        parts.append(f'<line class="{weight}" x1="{LEFT}" x2="{width}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>')
    parts.append(f'<text x="4" y="{TOP + 4}">{escape(unit)}</text>')
    for g, group in enumerate(groups):
        left = LEFT + g * group_width + GAP / 2
        middle = left + BAR * len(series) / 2
        parts.append(f'<text x="{middle:.0f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{escape(group)}</text>')
        for s, (one, colour) in enumerate(zip(series, colours_of(series), strict=True)):
            value = one.values[g]
            if value is not None:
                top, bottom = y(max(value, 0.0)), y(min(value, 0.0))
                parts.append(
                    f'<rect x="{left + s * BAR:.1f}" y="{top:.1f}" width="{BAR - 2}" '
                    f'height="{max(bottom - top, 0.8):.1f}" fill="{colour}">'
                    f"<title>{escape(one.name)}, {escape(group)}: {value:.2f} {escape(unit)}</title></rect>"
                )
    return "".join([*parts, "</svg>", _legend(series)])


def colours_of(series: Sequence[Series]) -> list[str]:
    """A colour for each series, in order; grey for the muted ones."""
    counts = {True: 0, False: 0}
    colours = []
    for one in series:
        palette = GREYS if one.muted else COLOURS
        colours.append(palette[counts[one.muted] % len(palette)])
        counts[one.muted] += 1
    return colours


def _legend(series: Sequence[Series]) -> str:
    items = [
        f'<span><i style="background:{colour}"></i>{escape(one.name)}</span>'
        for one, colour in zip(series, colours_of(series), strict=True)
    ]
    return f'<p class="legend">{"".join(items)}</p>'


def _step(span: float) -> float:
    """A round distance between lines of the axis, so that there are some four to nine of them."""
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0):
        if span / step <= 8:
            return step
    return 10.0 ** ceil(len(str(int(span))) - 1)
