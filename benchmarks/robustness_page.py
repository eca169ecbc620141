"""The report on degraded songs: tables in Markdown, and a plot of small multiples for each degradation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .robustness_points import Point
from .score_points import drawn_stems, interval_text
from .small_multiples import Line, draw_panels

Curve = tuple[str, str, str, str]  # method, songs, truth, stem


def markdown(
    points: Sequence[Point],
    degradations: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str],
    drawn: Mapping[str, str],
    command: str,
    settings: Mapping[str, Any],
) -> str:
    """The page: a section for each degradation, and what has no score."""
    songs = settings["songs"]
    lines = [
        "# Scores of degraded mixtures",
        "",
        f"`{settings['recipe']}` in dB over {len(songs)} song(s) ({settings['dataset']}), with 95 % intervals over "
        f"songs where there are three or more; quality {settings['quality']}, "
        f"seed {settings['seed']}. Made by `{command}`.",
        "",
    ]
    for name, facts in degradations.items():
        own = [point for point in points if point.degradation == name]
        lines += [f"## {name}: {facts['title']}", "", f"In {facts['unit']}. Truth: {facts['truth']}.", ""]
        lines += _table(own, facts["unit"]) if own else ["No method has a score.", ""]
        if name in drawn:
            lines += [f"![score over severity]({drawn[name]})", ""]
    if notes:
        lines += ["## Without a score", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def curves_of(points: Sequence[Point]) -> dict[Curve, list[Point]]:
    """Points by curve, each in the order of severity, the clean one first."""
    curves: dict[Curve, list[Point]] = {}
    for point in points:
        curves.setdefault((point.method, point.songs, point.truth, point.stem), []).append(point)
    return curves


def _table(points: Sequence[Point], unit: str) -> list[str]:
    severities = list(dict.fromkeys(point.severity for point in points))
    shown = ["clean" if severity is None else f"{severity:g}" for severity in severities]
    lines = [f"| method | truth | stem | {' | '.join(shown)} |", "|---|---|---|" + "---:|" * len(shown)]
    mixed = len({point.songs for point in points}) > 1
    for (method, songs, truth, stem), curve in curves_of(points).items():
        cells = {point.severity: interval_text(point.score, point.low, point.high) for point in curve}
        name = f"{method} ({songs})" if mixed else method
        lines.append(f"| {name} | {truth} | {stem} | {' | '.join(cells.get(s, '–') for s in severities)} |")
    return [*lines, ""]


def draw(points: Sequence[Point], name: str, facts: Mapping[str, Any], path: Path) -> None:
    """Score over severity, a panel for each stem, a line for each method; dashed where the truth is the original.

    Needs matplotlib: raises ImportError without it.
    """
    own = [point for point in points if point.degradation == name]
    severities = list(dict.fromkeys(point.severity for point in own))
    methods = list(dict.fromkeys((point.method, point.songs) for point in own))
    two_truths = len({point.truth for point in own}) > 1
    panels: dict[str, list[Line]] = {stem: [] for stem in drawn_stems(own)}
    for (method, songs, truth, stem), curve in curves_of(own).items():
        label = f"{method}, {truth}" if two_truths else method
        places = [severities.index(point.severity) for point in curve]
        dashed = two_truths and truth == "original"
        line = Line(label, methods.index((method, songs)), dashed, places, curve)
        if stem in panels:
            panels[stem].append(line)
    ticks = ["clean" if severity is None else f"{severity:g}" for severity in severities]
    draw_panels(panels, ticks, f"{facts['title']}, {facts['unit']}", path)
