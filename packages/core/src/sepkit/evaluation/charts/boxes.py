"""Box plots of track scores: what one number over all tracks hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .axes import LETTER, Scale, line, number, opening, palette, scale_of, shortened, tooltip, words

WIDTH, ROW, HEADING, BOX, BOTTOM, RIGHT = 720, 19, 22, 10, 34, 12  # pixels
LETTER_SHARE = 25.7  # pixels of the chart's width for each letter of a method's name
FEWEST = 5  # tracks that a box stands for; fewer are dots
DOTS = 40  # with more tracks only those beyond the whiskers are dots
REACH = 1.5  # of the box's width, Tukey's whiskers
JITTER = (0.0, 3.2, -3.2, 1.6, -1.6)  # pixels, so that dots of equal value are not one


class Tracks(NamedTuple):
    """One method's scores of the tracks, track -> value for each group; muted ones are grey."""

    name: str
    scores: Sequence[Mapping[str, float]]
    muted: bool = False


def box_plot(
    groups: Sequence[str],
    methods: Sequence[Tracks],
    unit: str,
    *,
    label: str = "Track scores by stem and method",
    colours: Mapping[str, str] | None = None,
    width: int = WIDTH,
) -> str:
    """A lying box for each method under the heading of each group, on one axis in `unit`; "" where there is no score.

    The box spans the quartiles, its line is the median, the whiskers reach the last track within 1.5 times the box's
    width. Up to 40 tracks are all dots, with more only those beyond the whiskers; fewer than 5 have no box.
    `label` is read out in place of the picture; `colours` go by the methods' names; `width` in pixels, 360 for a phone.
    """
    values = [value for one in methods for scores in one.scores for value in scores.values()]
    if not values:
        return ""
    scale, letters = scale_of(values), round(width / LETTER_SHARE)
    own = palette([one.muted for one in methods])
    chosen = [(colours or {}).get(one.name, colour) for one, colour in zip(methods, own, strict=True)]
    left = 16 + LETTER * max(len(shortened(one.name, letters)) for one in methods)
    axis = _Axis(scale, left, width - RIGHT)
    parts, y = [], 4.0
    for g, group in enumerate(groups):
        parts.append(words(4, y + 15, group, bold=True))
        y += HEADING
        for one, colour in zip(methods, chosen, strict=True):
            if one.scores[g]:
                parts.append(words(left - 8, y + ROW / 2 + 4, shortened(one.name, letters), anchor="end"))
                parts.append(_box(axis, y + ROW / 2, one, g, group, unit, colour))
                y += ROW
    lines = []
    for level in scale.levels():
        x = axis.x(level)
        lines.append(line(x, HEADING, x, y + 4, strong=abs(level) < scale.step / 2))
        lines.append(words(x, y + 18, f"{level:.6g}", anchor="middle"))
    lines.append(words(width - RIGHT, y + 31, unit, anchor="end"))
    return "".join([opening(width, y + BOTTOM, label), *lines, *parts, "</svg>"])


def _box(axis: _Axis, middle: float, one: Tracks, place: int, group: str, unit: str, colour: str) -> str:
    scores = one.scores[place]
    values = np.array(list(scores.values()))
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    reach = REACH * (upper - lower)
    inside = values[(values >= lower - reach) & (values <= upper + reach)]
    said = f"{one.name}, {group}: median {number(median, unit)}, {len(values)} track(s)"
    parts = []
    if len(values) >= FEWEST:
        said += f", quartiles {lower:.2f} and {upper:.2f}"
        a, b, c, d = (axis.x(value) for value in (inside.min(), lower, upper, inside.max()))
        whiskers = f"M{a:.1f} {middle - 3:.1f}v6m0 -3H{b:.1f}M{c:.1f} {middle:.1f}H{d:.1f}m0 -3v6"
        parts.append(f'<path d="{whiskers}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        parts.append(
            f'<rect x="{b:.1f}" y="{middle - BOX / 2:.1f}" width="{max(c - b, 0.8):.1f}" height="{BOX}" '
            f'fill="{colour}" fill-opacity="0.3" stroke="{colour}" stroke-width="1.3"/>'
        )
    x = axis.x(float(median))
    parts.append(f'<path d="M{x:.1f} {middle - BOX / 2:.1f}v{BOX}" stroke="{colour}" stroke-width="3"/>')
    few = len(values) <= DOTS
    shown = [name for name, value in sorted(scores.items()) if few or value < inside.min() or value > inside.max()]
    parts += [_dot(axis, middle, index, name, scores[name], unit, colour) for index, name in enumerate(shown)]
    return f"<g>{tooltip(said)}{''.join(parts)}</g>"


def _dot(axis: _Axis, middle: float, index: int, track: str, value: float, unit: str, colour: str) -> str:
    y = middle + JITTER[index % len(JITTER)]
    return (
        f'<circle cx="{axis.x(value):.1f}" cy="{y:.1f}" r="2.2" fill="{colour}" fill-opacity="0.75">'
        f"{tooltip(f'{track}: {number(value, unit)}')}</circle>"
    )


class _Axis(NamedTuple):
    """Where values stand between two ends in pixels."""

    scale: Scale
    left: float
    right: float

    def x(self, value: float) -> float:
        return self.left + self.scale.share(float(value)) * (self.right - self.left)
