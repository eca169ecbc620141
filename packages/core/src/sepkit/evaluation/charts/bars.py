"""Bars for the scores of several methods on several stems, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from .axes import Scale, line, number, opening, palette, scale_of, tooltip, words

BAR, GAP, HEIGHT, LEFT, TOP, BOTTOM = 14, 26, 220, 44, 22, 26  # pixels

Range = tuple[float, float] | None


class Series(NamedTuple):
    """One method's bars, one for each group; None leaves a gap. Muted ones are grey.

    `intervals` are the ends of the whiskers, one for each group or none at all.
    """

    name: str
    values: Sequence[float | None]
    muted: bool = False
    intervals: Sequence[Range] = ()


def grouped_bars(
    groups: Sequence[str],
    series: Sequence[Series],
    unit: str,
    *,
    label: str = "Scores by stem and method",
    colours: Mapping[str, str] | None = None,
) -> str:
    """Bars side by side for each group, with an axis in `unit`, whiskers and a legend; "" where there is no value.

    Values may be negative. `label` is read out in place of the picture; `colours` go by the series' names.
    """
    values = [value for one in series for value in one.values if value is not None]
    if not values:
        return ""
    values += [end for one in series for ends in one.intervals if ends is not None for end in ends]
    scale = scale_of([0.0, *values])
    group_width = BAR * len(series) + GAP
    width = LEFT + group_width * len(groups) + 8
    chosen = _colours(series, colours)
    parts = [opening(width, TOP + HEIGHT + BOTTOM, label)]
    for level in scale.levels():
        parts.append(line(LEFT, _y(scale, level), width, _y(scale, level), strong=abs(level) < scale.step / 2))
        parts.append(words(LEFT - 6, _y(scale, level) + 4, f"{level:.6g}", anchor="end"))
    parts.append(words(LEFT - 6, TOP - 10, unit, anchor="end"))
    for g, group in enumerate(groups):
        left = LEFT + g * group_width + GAP / 2
        parts.append(words(left + BAR * len(series) / 2, TOP + HEIGHT + 18, group, anchor="middle"))
        for s, (one, colour) in enumerate(zip(series, chosen, strict=True)):
            parts.append(_bar(scale, left + s * BAR, one, g, group, unit, colour))
    return "".join([*parts, "</svg>", _legend(series, chosen)])


def colours_of(series: Sequence[Series]) -> list[str]:
    """A colour for each series, in order; grey for the muted ones."""
    return palette([one.muted for one in series])


def _bar(scale: Scale, left: float, one: Series, place: int, group: str, unit: str, colour: str) -> str:
    value = one.values[place]
    if value is None:
        return ""
    top, bottom = _y(scale, max(value, 0.0)), _y(scale, min(value, 0.0))
    ends = one.intervals[place] if one.intervals else None
    between = "" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    bar = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{BAR - 2}" height="{max(bottom - top, 0.8):.1f}" fill="{colour}"/>'
    )
    said = tooltip(f"{one.name}, {group}: {number(value, unit)}{between}")
    return f"<g>{said}{bar}{'' if ends is None else _whisker(scale, left + BAR / 2 - 1, ends)}</g>"


def _whisker(scale: Scale, x: float, ends: tuple[float, float]) -> str:
    low, high = _y(scale, ends[0]), _y(scale, ends[1])
    path = f"M{x - 3:.1f} {high:.1f}h6m-3 0V{low:.1f}m-3 0h6"
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.2" opacity="0.85"/>'


def _y(scale: Scale, value: float) -> float:
    return TOP + (1 - scale.share(value)) * HEIGHT


def _colours(series: Sequence[Series], colours: Mapping[str, str] | None) -> list[str]:
    return [(colours or {}).get(one.name, own) for one, own in zip(series, colours_of(series), strict=True)]


def _legend(series: Sequence[Series], colours: Sequence[str]) -> str:
    items = [
        f'<span><i style="background:{colour}"></i>{escape(one.name)}</span>'
        for one, colour in zip(series, colours, strict=True)
    ]
    return f'<p class="legend">{"".join(items)}</p>'
