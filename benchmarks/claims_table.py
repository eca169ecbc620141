"""Findings as tables, for a terminal and for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sepkit.cli import exit_codes
from sepkit.cli.terminal import print_note
from sepkit.evaluation.command import MethodRun, interrupted, print_grids
from sepkit.evaluation.grid import NOTHING, Cell, Grid

from .claims import Finding, run_claims

COLUMNS = ("claim", "what", "published", "ours", "95 % interval", "difference", "tracks", "verdict")


def print_claims(names: str, data: Sequence[str], run: MethodRun) -> int:
    """Test claims with `--out`, `--seed`, `--device` and the like of a run, print them; the exit code.

    A claim that does not hold is a result and no failure. Raises SepkitError for names and data that are not known.
    """
    out = run.out or Path("runs", "claims")
    try:
        findings = run_claims(names, data, out, run.settings, checkpoints=run.checkpoints, limit=run.limit)
    except KeyboardInterrupt:
        return interrupted()
    print_grids(grids(findings))
    print_note(f"{len(findings)} claims: {summary_line(findings)}. Results: {out / 'claims.md'}, {out / 'claims.json'}")
    return exit_codes.OK


def grids(findings: Sequence[Finding]) -> list[Grid]:
    """A table for each published table, then one of differences and one of statements; reasons are its notes."""
    groups: dict[str, list[Finding]] = {}
    for one in findings:
        title = {"number": one.id.partition("/")[0], "difference": "differences", "statement": "statements"}[one.kind]
        groups.setdefault(title, []).append(one)
    return [_grid(title, group) for title, group in groups.items()]


def summary_line(findings: Sequence[Finding]) -> str:
    """How many claims got which verdict."""
    counts = Counter(str(one.verdict) for one in findings)
    known = ("held", "not held", "underpowered", "data missing")
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in known)


def markdown(findings: Sequence[Finding]) -> str:
    """The page."""
    lines = [
        "# Published claims against ours",
        "",
        f"{len(findings)} claims: {summary_line(findings)}. What the verdicts mean: docs/claims.md.",
        "",
    ]
    return "\n".join(lines) + "\n" + "\n".join(grid.markdown() for grid in grids(findings))


def _grid(title: str, group: Sequence[Finding]) -> Grid:
    """One row for each claim; an id of a table's cell says what it is, a claim without one is said in words."""
    in_words = group[0].kind != "number"
    rows = []
    for one in group:
        interval = NOTHING if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}"
        cells = [Cell(one.id.partition("/")[2] or one.id), *([Cell(one.what)] if in_words else [])]
        cells += [_number(one.published, one.unit), _number(one.ours, one.unit), Cell(interval)]
        cells += [
            Cell(NOTHING if one.difference is None else f"{one.difference:+.2f}"),
            Cell(str(one.tracks or NOTHING)),
        ]
        rows.append((*cells, Cell(one.verdict)))
    columns = tuple(name for name in COLUMNS if in_words or name != "what")
    muted = tuple(one.verdict == "data missing" for one in group)
    return Grid(title, columns, tuple(rows), tuple(_notes(group)), muted)


def _notes(group: Sequence[Finding]) -> list[str]:
    """One line for each reason, data and caveat, with what it concerns."""
    notes: dict[str, list[str]] = {}
    for one in group:
        parts = [f"{one.verdict}: {one.reason}", f"data: {one.data}" if one.data else ""]
        for text in (*parts, f"weights: {one.weights}" if one.weights else ""):
            if text:
                notes.setdefault(text, []).append(one.id.partition("/")[2] or one.id)
    lines = [f"{text} ({_some(ids)})" for text, ids in notes.items()]
    return lines + [f"caveat: {caveat}" for caveat in dict.fromkeys(c for one in group for c in one.caveats)]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= 4 else f"{ids[0]} and {len(ids) - 1} more"


def _number(value: float | None, unit: str) -> Cell:
    return (
        Cell(NOTHING) if value is None else Cell(f"{value:g} {unit}" if unit == "M" else f"{value:.2f} {unit}", value)
    )
