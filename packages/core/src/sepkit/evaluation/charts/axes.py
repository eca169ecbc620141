"""What all charts share: colours, round steps, and the pieces of SVG that lines, words and marks are."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#b2182b")
"""Okabe and Ito's, told apart by colour-blind readers too; then two more."""
GREYS = ("#8a8a8a", "#6f6f6f", "#a6a6a6", "#7c7c7c", "#989898")
"""For reference points: none so dark or so light that it is lost on a page of that kind."""

LETTER = 6.1  # pixels, the width of an average letter at the size below; SVG has no way to ask
FONT = 'font-size="11" font-family="system-ui, sans-serif" fill="currentColor"'


class Scale(NamedTuple):
    """The round numbers that an axis runs between, and the distance of its lines."""

    low: float
    high: float
    step: float

    def levels(self) -> list[float]:
        """Where the lines are, exact zeros included."""
        return [index * self.step for index in range(round(self.low / self.step), round(self.high / self.step) + 1)]

    def share(self, value: float) -> float:
        """Where a value stands between the ends, 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def scale_of(values: Sequence[float]) -> Scale:
    """The axis that holds all values with some four to nine lines; one value has room on both sides."""
    low, high = min(values), max(values)
    step = round_step(high - low)
    low, high = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
    return Scale(low, high, step) if high > low else Scale(low - step, high + step, step)


def round_step(span: float) -> float:
    """A round distance between lines of the axis: one, two or five times a power of ten."""
    power = 10.0 ** floor(log10(span / 8)) if span > 0 else 0.1
    return next((power * m for m in (1, 2, 5) if span / (power * m) <= 8), power * 10)


def opening(width: float, height: float, label: str) -> str:
    """The start of a chart that shrinks with its page, and is read out as `label`."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="max-width:{width * 1.3:.0f}px" aria-label="{escape(label)}">'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, strong: bool = False) -> str:
    """A line of the axes; the weak ones are there to be looked through."""
    name, opacity = ("axis", 0.7) if strong else ("line", 0.15)
    return (
        f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'opacity="{opacity}"/>'
    )


def words(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    """Text whose baseline begins, ends or is centred at a point."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT}{weight}>{escape(text)}</text>'


def tooltip(text: str) -> str:
    """What a mark says when it is pointed at."""
    return f"<title>{escape(text)}</title>"


def shortened(name: str, letters: int) -> str:
    """A name that fits; its end is kept too, where versions differ."""
    if len(name) <= letters:
        return name
    head = (letters - 1 + 1) // 2
    return f"{name[:head]}…{name[len(name) - (letters - 1 - head) :]}"


def number(value: float, unit: str) -> str:
    """A value for a tooltip."""
    return f"{value:.2f} {unit}".rstrip()


def palette(muted: Sequence[bool]) -> list[str]:
    """A colour for each, in order; grey for the muted ones. Colours come again where there are more than eight."""
    counts = {True: 0, False: 0}
    colours = []
    for grey in muted:
        chosen = GREYS if grey else COLOURS
        colours.append(chosen[counts[grey] % len(chosen)])
        counts[grey] += 1
    return colours
