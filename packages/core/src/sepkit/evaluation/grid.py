"""Tables as plain text cells, written once and shown on a terminal, in Markdown and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from .recipe import Recipe
from .score import Score
from .summary import Entry, entries_of, runnable, stem_columns, undefined_notes

NOTHING = "–"


class Cell(NamedTuple):
    """What is shown, and the number to sort by; None sorts last, and text without a number by itself."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Grid:
    """A titled table: the first column is text, the others are right-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    muted: tuple[bool, ...] = ()  # for each row: a reference point, not a method

    def rich(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
        for row, muted in zip(self.rows, self.muted, strict=True):
            table.add_row(*(escape(cell.text) for cell in row), style="dim" if muted else None)
        return table

    def markdown(self) -> str:
        """For a file, notes included."""
        lines = [f"## {self.title}", "", _markdown_row(self.columns)]
        lines.append("|" + "|".join(["---", *["---:"] * (len(self.columns) - 1)]) + "|")
        lines += [_markdown_row([cell.text for cell in row]) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def score_grid(rows: Sequence[Score], recipe: Recipe, metric: str) -> Grid:
    """Per-stem scores in dB over all tracks, with the mixture that was used and how many tracks were scored."""
    entries = entries_of(rows, recipe, metric)
    stems = stem_columns(entries)
    over = {"mean": "mean over tracks", "median": "median over tracks", "window_mean": "mean over all windows"}
    lines = []
    for entry in entries:
        mixture = entry.mixture if entry.mixture == "full" else f"own: {', '.join(entry.view)}"
        tracks = f"{entry.tracks_scored}/{entry.tracks}"
        scores = [_decibels(entry.scores.get(stem)) for stem in stems]
        lines.append(
            (Cell(entry.method), *scores, _decibels(entry.mean), Cell(mixture), Cell(tracks, entry.tracks_scored))
        )
    return Grid(
        title=f"{metric}, dB, {over[recipe.over_tracks]}",
        columns=("method", *stems, "mean", "mixture", "tracks"),
        rows=tuple(lines),
        notes=(*_failures(entries), *undefined_notes(rows, recipe)),
        muted=tuple(entry.is_reference for entry in entries),
    )


def cost_grid(rows: Sequence[Score], recipe: Recipe, budget_seconds: float | None) -> Grid:
    """What each method is and takes; with a budget also whether it can be run within it."""
    entries = [entry for entry in entries_of(rows, recipe, recipe.metrics[0]) if entry.mixture == "full" or entry.view]
    first = {entry.method: entry for entry in reversed(entries)}  # a reference point's views cost much the same
    lines, kept = [], [entry for entry in entries if first[entry.method] is entry]
    for entry in kept:
        facts = entry.facts
        line = [
            Cell(entry.method),
            Cell(_kind(entry)),
            _counted(facts.parameters),
            _number(facts.weights_megabytes, 1),
            _number(facts.network_calls, 0),
            Cell("?" if facts.extra_training_data is None else "yes" if facts.extra_training_data else "no"),
            _number(entry.seconds_per_second, 3),
            _number(entry.peak_megabytes, 0),
        ]
        if budget_seconds is not None:
            line.append(Cell(runnable(entry, budget_seconds)))
        lines.append(tuple(line))
    columns = ["method", "kind", "params", "weights MB", "network calls", "extra data", "s per s", "peak MB"]
    notes = (
        "network calls: evaluations of the network for each window, at the quality of the run",
        "s per s: seconds of compute per second of audio, separation alone, all tracks together",
        "peak MB: 10^6 bytes of resident memory above what the process held after its imports; a process per method",
    )
    if budget_seconds is not None:
        columns.append(f"Runnable? ({budget_seconds:g} s)")
    return Grid("Cost", tuple(columns), tuple(lines), notes, tuple(entry.is_reference for entry in kept))


def _kind(entry: Entry) -> str:
    untrained = entry.facts.trained is False and not entry.is_reference
    return f"{entry.facts.kind or '?'}{', untrained' if untrained else ''}"


def _failures(entries: Sequence[Entry]) -> list[str]:
    return [
        f"{entry.method} has no score on {count} of {entry.tracks} track(s): {reason}"
        for entry in entries
        for reason, count in entry.reasons.items()
    ]


def _decibels(value: float | None) -> Cell:
    return Cell(NOTHING) if value is None else Cell(f"{value:.2f}", value)


def _number(value: float | None, digits: int) -> Cell:
    return Cell("?") if value is None else Cell(f"{value:,.{digits}f}", value)


def _counted(value: int | None) -> Cell:
    if value is None:
        return Cell("?")
    return Cell(f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:,}", value)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
