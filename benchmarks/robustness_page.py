"""The report on degraded songs: tables in Markdown, and a plot of small multiples for each degradation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .robustness_points import Point

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
        cells = {point.severity: _cell(point) for point in curve}
        name = f"{method} ({songs})" if mixed else method
        lines.append(f"| {name} | {truth} | {stem} | {' | '.join(cells.get(s, '–') for s in severities)} |")
    return [*lines, ""]


def _cell(point: Point) -> str:
    if point.low is None or point.high is None:
        return f"{point.score:.2f}"
    return f"{point.score:.2f} ({point.low:.2f} to {point.high:.2f})"


def draw(points: Sequence[Point], name: str, facts: Mapping[str, Any], path: Path) -> None:
    """Score over severity, a panel for each stem, a line for each method; dashed where the truth is the original.

    Needs matplotlib: raises ImportError without it.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    own = [point for point in points if point.degradation == name]
    stems = list(dict.fromkeys(point.stem for point in own)) or ["no score"]
    figure = Figure(figsize=(2.3 * len(stems) + 0.8, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(1, len(stems), sharey=True, squeeze=False)[0]
    severities = list(dict.fromkeys(point.severity for point in own))
    two_truths = len({point.truth for point in own}) > 1
    methods = list(dict.fromkeys((point.method, point.songs) for point in own))
    for panel, stem in zip(panels, stems, strict=True):
        panel.set_title(stem)
        panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        panel.set_xticks(range(len(severities)), ["clean" if s is None else f"{s:g}" for s in severities], rotation=45)
        for (method, songs, truth, its_stem), curve in curves_of(own).items():
            if its_stem == stem:
                dashed = two_truths and truth == "original"
                label = f"{method}, {truth}" if two_truths else method
                style = {"color": f"C{methods.index((method, songs))}", "linestyle": "--" if dashed else "-"}
                _line(panel, curve, [severities.index(point.severity) for point in curve], label, style)
    panels[0].set_ylabel("score, dB")
    figure.supxlabel(f"{facts['title']}, {facts['unit']}", fontsize="medium")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)), frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _line(panel: Any, curve: Sequence[Point], places: Sequence[int], label: str, style: Mapping[str, str]) -> None:
    scores = [point.score for point in curve]
    spread = [
        [score - (score if point.low is None else point.low) for point, score in zip(curve, scores, strict=True)],
        [(score if point.high is None else point.high) - score for point, score in zip(curve, scores, strict=True)],
    ]
    panel.errorbar(places, scores, spread, label=label, marker="o", markersize=3, capsize=2, linewidth=1.2, **style)
