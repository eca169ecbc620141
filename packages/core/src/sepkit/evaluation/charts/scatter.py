"""Quality against compute: what a decibel costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from .axes import Scale, line, number, opening, palette, scale_of, shortened, tooltip, words
from .labels import Spot, place_labels

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 48, 18, 26, 46  # pixels
LETTER_SHARE = 25.7  # pixels of the chart's width for each letter of a method's name
RADIUS = 5.0


class Point(NamedTuple):
    """One method: seconds of compute per second of audio, its score, and the score's interval where there is one.

    Muted ones are grey and never on the front, as oracles must not be. Without a time above zero it is left out.
    """

    name: str
    seconds_per_second: float | None
    quality: float | None
    interval: tuple[float, float] | None = None
    muted: bool = False


def quality_compute_plot(
    points: Sequence[Point],
    metric: str,
    unit: str,
    *,
    higher_is_better: bool = True,
    label: str = "Quality against compute",
    colours: Mapping[str, str] | None = None,
    width: int = WIDTH,
) -> str:
    """Methods by compute (logarithmic) and score, and the front that no other is both better and cheaper than.

    "" where no point has both. `label` is read out in place of the picture; `colours` go by the points' names; `width`
    in pixels, 360 for a phone.
    """
    own = palette([point.muted for point in points])
    coloured = [((colours or {}).get(point.name, colour), point) for point, colour in zip(points, own, strict=True)]
    shown = [(c, p) for c, p in coloured if p.quality is not None and (p.seconds_per_second or 0.0) > 0]
    if not shown:
        return ""
    kept = [point for _, point in shown]
    ends = [end for point in kept if point.interval is not None for end in point.interval]
    vertical = scale_of([_quality(point) for point in kept] + ends)
    horizontal = _decades([_seconds(point) for point in kept], width - RIGHT)
    places = [(horizontal.x(_seconds(point)), _y(vertical, _quality(point))) for point in kept]
    less = "" if higher_is_better else ", less is better"
    parts = [
        opening(width, TOP + HEIGHT + BOTTOM, label),
        *_axes(horizontal, vertical),
        words(LEFT - 30, TOP - 12, f"{metric}{f', {unit}' if unit else ''}{less}"),
        words(width - RIGHT, TOP + HEIGHT + 36, "seconds of compute per second of audio", anchor="end"),
        _front(kept, horizontal, vertical, higher_is_better),
    ]
    parts += [_mark(point, place, vertical, unit, colour) for (colour, point), place in zip(shown, places, strict=True)]
    names = [shortened(point.name, round(width / LETTER_SHARE)) for point in kept]
    bounds = (LEFT + 2, TOP, width - 2, TOP + HEIGHT)
    parts += [_name(spot, name) for spot, name in zip(place_labels(places, names, bounds), names, strict=True)]
    return "".join([*parts, "</svg>"])


def front(points: Sequence[Point], *, higher_is_better: bool = True) -> list[Point]:
    """The points that no other one beats at the same or less compute, cheapest first; muted ones don't count."""
    sign = 1.0 if higher_is_better else -1.0
    able = [point for point in points if not point.muted and point.quality is not None and point.seconds_per_second]
    found: list[Point] = []
    for point in sorted(able, key=lambda point: (_seconds(point), -sign * _quality(point))):
        if not found or sign * _quality(point) > sign * _quality(found[-1]):
            found.append(point)
    return found


def _front(points: Sequence[Point], horizontal: _Across, vertical: Scale, higher_is_better: bool) -> str:
    """Steps: what can be had for so much compute stays the same until the next point."""
    ahead = front(points, higher_is_better=higher_is_better)
    if len(ahead) < 2:
        return ""
    x, y = horizontal.x(_seconds(ahead[0])), _y(vertical, _quality(ahead[0]))
    path = f"M{x:.1f} {y:.1f}" + "".join(
        f"H{horizontal.x(_seconds(point)):.1f}V{_y(vertical, _quality(point)):.1f}" for point in ahead[1:]
    )
    said = tooltip("the best that can be had for so much compute: " + ", ".join(point.name for point in ahead))
    style = 'fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="6 4" opacity="0.55"'
    return f'<path class="front" d="{path}" {style}>{said}</path>'


def _axes(horizontal: _Across, vertical: Scale) -> list[str]:
    parts = []
    for level in vertical.levels():
        y = _y(vertical, level)
        parts.append(line(LEFT, y, horizontal.right, y, strong=abs(level) < vertical.step / 2))
        parts.append(words(LEFT - 6, y + 4, f"{level:.6g}", anchor="end"))
    decade_pixels = (horizontal.right - LEFT) / (horizontal.high - horizontal.low)
    marks = (1, 2, 5) if decade_pixels >= 150 else (1,)
    for decade in range(floor(horizontal.low), ceil(horizontal.high) + 1):
        for mark in marks:
            if horizontal.low - 1e-9 <= decade + log10(mark) <= horizontal.high + 1e-9:
                seconds = mark * 10.0**decade
                x = horizontal.x(seconds)
                parts.append(line(x, TOP, x, TOP + HEIGHT, strong=seconds == 1.0))
                roomy = decade_pixels >= 200 or len(marks) == 1
                said = "1 (real time)" if seconds == 1.0 and roomy else f"{seconds:.6g}"
                parts.append(words(x, TOP + HEIGHT + 17, said, anchor="middle"))
    return parts


def _mark(point: Point, place: tuple[float, float], vertical: Scale, unit: str, colour: str) -> str:
    x, y = place
    said = f"{point.name}: {number(_quality(point), unit)}"
    whisker = ""
    if point.interval is not None:
        low, high = (_y(vertical, end) for end in point.interval)
        said += f" [{point.interval[0]:.2f}, {point.interval[1]:.2f}]"
        path = f"M{x - 4:.1f} {high:.1f}h8m-4 0V{low:.1f}m-4 0h8"
        whisker = f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
    said += f", {_seconds(point):.3g} s per s"
    mark = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" fill="{colour}"/>'
    return f"<g>{tooltip(said)}{whisker}{mark}</g>"


def _name(spot: Spot, name: str) -> str:
    leader = ""
    if spot.leader is not None:
        (x1, y1), (x2, y2) = spot.leader
        leader = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" opacity="0.4"/>'
    return leader + words(spot.x, spot.y, name, anchor=spot.anchor)


class _Across(NamedTuple):
    """The axis of compute: exponents of ten at its ends, and where it ends in pixels."""

    low: float
    high: float
    right: float

    def x(self, seconds: float) -> float:
        return LEFT + (log10(seconds) - self.low) / (self.high - self.low) * (self.right - LEFT)


def _decades(seconds: Sequence[float], right: float) -> _Across:
    """Exponents of ten that hold all points with room for their names at the sides."""
    low, high = log10(min(seconds)), log10(max(seconds))
    room = max(0.12 * (high - low), 0.25)
    return _Across(low - room, high + room, right)


def _seconds(point: Point) -> float:
    return float(point.seconds_per_second or 0.0)


def _quality(point: Point) -> float:
    return float(point.quality or 0.0)


def _y(scale: Scale, value: float) -> float:
    return TOP + (1 - scale.share(value)) * HEIGHT
