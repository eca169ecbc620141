"""The report on domains: which there are, scores, drops, and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .domains import Domain
from .score_points import drawn_stems, interval_text
from .small_multiples import Line, draw_panels

if TYPE_CHECKING:
    from .generalisation import DomainPoint


def markdown(
    points: Sequence[DomainPoint],
    domains: Sequence[Domain],
    notes: Sequence[str],
    plot: str | None,
    command: str,
    settings: Mapping[str, Any],
) -> str:
    """The page."""
    lines = ["# Scores from domain to domain", "", "| domain | songs | what |", "|---|---:|---|"]
    for domain in domains:
        what = domain.title if domain.reason is None else f"{domain.title}: **missing**, {domain.reason}"
        lines.append(f"| {domain.name} | {domain.songs or '–'} | {what.replace('|', '/')} |")
    cut = f" of the middle {settings['seconds']:g} s" if settings["seconds"] else ""
    lines += [
        "",
        f"`{settings['recipe']}` in dB{cut}, with 95 % intervals over songs where there are three or more; quality "
        f"{settings['quality']}, seed {settings['seed']}. Made by `{command}`.",
        "",
        "## Scores",
        "",
        *_table(points, domains, drops=False),
        "## Difference from the first domain",
        "",
        "The songs of two domains have nothing to do with each other, so the intervals are of an unpaired bootstrap.",
        "",
        *_table(points, domains, drops=True),
    ]
    if plot:
        lines += [f"![scores over domains]({plot})", ""]
    if notes:
        lines += ["## Without a score", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def _table(points: Sequence[DomainPoint], domains: Sequence[Domain], *, drops: bool) -> list[str]:
    names = [domain.name for domain in domains]
    lines = [f"| method | stem | {' | '.join(names)} |", "|---|---|" + "---:|" * len(names)]
    for (method, mixture, stem), row in _by_row(points).items():
        shown = []
        for name in names:
            point = row.get(name)
            if point is None:
                shown.append("–")
            elif drops:
                first = point is next(iter(row.values()))
                text = interval_text(point.drop, point.drop_low, point.drop_high, signed=True)
                shown.append("first" if first else text)
            else:
                shown.append(interval_text(point.score, point.low, point.high))
        named = method if mixture == "full" else f"{method} (mixture of its own stems)"
        lines.append(f"| {named} | {stem} | {' | '.join(shown)} |")
    return [*lines, ""]


def _by_row(points: Sequence[DomainPoint]) -> dict[tuple[str, str, str], dict[str, DomainPoint]]:
    rows: dict[tuple[str, str, str], dict[str, DomainPoint]] = {}
    for point in points:
        rows.setdefault((point.method, point.mixture, point.stem), {})[point.domain] = point
    return rows


def draw(points: Sequence[DomainPoint], domains: Sequence[str], path: Path) -> None:
    """Score over domains, a panel for each stem, a line for each method; raises ImportError without matplotlib."""
    used = [name for name in domains if any(point.domain == name for point in points)]
    methods = list(dict.fromkeys((point.method, point.mixture) for point in points))
    panels: dict[str, list[Line]] = {stem: [] for stem in drawn_stems(points)}
    for (method, mixture, stem), row in _by_row(points).items():
        places = [used.index(name) for name in row]
        label = method if mixture == "full" else f"{method} (own mixture)"
        if stem in panels:
            line = Line(label, methods.index((method, mixture)), False, places, list(row.values()))
            panels[stem].append(line)
    draw_panels(panels, used, "domain", path)
