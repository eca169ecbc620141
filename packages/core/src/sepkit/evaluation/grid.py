"""Tables as plain text cells, written once and shown on a terminal, in Markdown and on a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ..errors import UnknownNameError, nearest
from .metric_facts import higher_is_better, unit
from .ranks import RankedEntries, comparable, ranked_groups
from .recipe import Recipe
from .score import Score
from .statistics import LEVEL, Interval
from .summary import Entry, entries_of, runnable, stem_columns, undefined_notes
from .value_notes import value_notes

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
            table.add_row(*(escape(_narrow(cell.text)) for cell in row), style="dim" if muted else None)
        return table

    def briefly(self, columns: Sequence[str]) -> Grid:
        """Only these columns, no reference points, and the first note: what a terminal has room for."""
        kept = [index for index, column in enumerate(self.columns) if column in columns]
        rows = [row for row, muted in zip(self.rows, self.muted, strict=True) if not muted]
        return Grid(
            self.title,
            tuple(self.columns[index] for index in kept),
            tuple(tuple(row[index] for index in kept) for row in rows),
            self.notes[:1],
            (False,) * len(rows),
        )

    def markdown(self) -> str:
        """For a file, notes included."""
        lines = [f"## {self.title}", "", _markdown_row(self.columns)]
        lines.append("|" + "|".join(["---", *["---:"] * (len(self.columns) - 1)]) + "|")
        lines += [_markdown_row([cell.text for cell in row]) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def score_grid(rows: Sequence[Score], recipe: Recipe, metric: str) -> Grid:
    """Per-stem scores over all tracks with their 95 % intervals, ranks, the mixture used and the tracks scored."""
    entries = entries_of(rows, recipe, metric)
    stems, digits = stem_columns(entries), _digits(entries)
    groups = ranked_groups(entries, metric)
    places = {id(entry): group.place(entry) for group in groups for entry in group.entries}
    lines = []
    for entry in entries:
        mixture = entry.mixture if entry.mixture == "full" else f"own: {', '.join(entry.view)}"
        scores = [_ranged(entry.scores.get(stem), entry.intervals.get(stem), digits) for stem in stems]
        place = places.get(id(entry))
        line = [
            Cell(entry.method),
            *scores,
            _ranged(entry.mean, entry.mean_interval, digits),
            Cell(NOTHING) if place is None else Cell(str(place), place.first),
            Cell(mixture),
            Cell(f"{entry.tracks_scored}/{entry.tracks}", entry.tracks_scored),
        ]
        lines.append(tuple(line))
    return Grid(
        title=_title(recipe, metric),
        columns=("method", *stems, "mean", "rank", "mixture", "tracks"),
        rows=tuple(lines),
        notes=(
            *_interval_notes(entries),
            *_rank_notes(groups),
            *_failures(entries),
            *undefined_notes(rows, recipe, metric),
            *value_notes(rows, recipe, metric),
        ),
        muted=tuple(entry.is_reference for entry in entries),
    )


def compare_grid(rows: Sequence[Score], recipe: Recipe, metric: str, against: str | None = None) -> Grid:
    """Every method against the best of its group that is no reference point, or against the one named, by track.

    The difference of the means over stems has a paired interval; p is corrected for all pairs of the ranking, so the
    best may be picked after the fact. Raises UnknownNameError where no entry is named `against`.
    """
    entries = entries_of(rows, recipe, metric)
    names = {entry.method for entry in entries}
    if against is not None and against not in names:
        raise UnknownNameError(f"No method with scores is named {against!r}: {nearest(against, names)}")
    groups = [group for group in ranked_groups(entries, metric) if len(group.entries) > 1]
    lines, muted = [], []
    for group in groups:
        named = [entry for entry in group.entries if entry.method == against]
        ours = [entry for entry in group.entries if not entry.is_reference]
        pivot = next(iter(named or (() if against else ours or group.entries)), None)
        for entry in group.entries:
            if pivot is not None and entry is not pivot:
                lines.append(_compared(group, entry, pivot))
                muted.append(entry.is_reference)
    columns = ("method", "against", "difference", "p Holm", "p sign flip", "p Wilcoxon", "tracks", "verdict")
    wanted = "" if higher_is_better(metric) else "; less is better"
    return Grid(
        title=f"Differences in {_title(recipe, metric)}",
        columns=columns,
        rows=tuple(lines),
        notes=(
            f"difference: the method less the one it is held against, mean over stems, with a paired bootstrap "
            f"interval of {100 * LEVEL:g} %, on the tracks and stems that both have{wanted}",
            *_rank_notes(groups),
        ),
        muted=tuple(muted),
    )


def has_rivals(rows: Sequence[Score], recipe: Recipe, metric: str) -> bool:
    """Whether there are two methods, reference points aside, that differences can be shown of."""
    groups = comparable(entries_of(rows, recipe, metric))
    return any(sum(not entry.is_reference for entry in group) > 1 for group in groups)


def costs_known(rows: Sequence[Score]) -> bool:
    """Whether anything is known of what the methods took or are: of stems that were only given, nothing is."""
    return any(
        row.cost.compute_seconds is not None or row.cost.over_budget or row.facts.parameters is not None for row in rows
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


def _narrow(text: str) -> str:
    """An interval as one word, so that a narrow terminal breaks the line before it, not within."""
    return re.sub(r"(?<=\d), (?=[-+]?\d)", ",", text)


def _title(recipe: Recipe, metric: str) -> str:
    over = {"mean": "mean over tracks", "median": "median over tracks", "window_mean": "mean over all windows"}
    parts = [metric, unit(metric), over[recipe.over_tracks], "" if higher_is_better(metric) else "less is better"]
    return ", ".join(part for part in parts if part)


def _compared(group: RankedEntries, entry: Entry, pivot: Entry) -> tuple[Cell, ...]:
    comparison, interval = group.compare(entry, pivot)
    return (
        Cell(group.name(entry)),
        Cell(group.name(pivot)),
        _ranged(None if interval is None else interval.estimate, interval, sign="+"),
        *(
            Cell(f"{p:.2g}", p) if comparison.tracks else Cell(NOTHING)
            for p in (comparison.corrected_p, comparison.sign_flip_p, comparison.wilcoxon_p)
        ),
        Cell(f"{comparison.tracks}", comparison.tracks),
        Cell(comparison.explanation),
    )


def _interval_notes(entries: Sequence[Entry]) -> list[str]:
    found = [interval for entry in entries for interval in entry.intervals.values()]
    lines = []
    if any(interval.low is not None for interval in found):
        lines.append(f"[low, high]: {100 * LEVEL:g} % bootstrap interval over tracks")
    if without := sorted({interval.tracks for interval in found if interval.low is None}):
        lines.append(f"no interval for numbers over {', '.join(map(str, without))} track(s): 3 are needed")
    return lines


def _rank_notes(groups: Sequence[RankedEntries]) -> list[str]:
    """How ranks came about; each group says whom it holds where there are several."""
    if len(groups) == 1:
        return groups[0].notes()
    several = [group for group in groups if len(group.entries) > 1]
    lines = [f"{', '.join(group.names)}: {note}" for group in several for note in group.notes()]
    if len(groups) > 1:
        lines.append("ranks are among methods whose means are over the same stems of the same mixture")
    return lines


def _ranged(value: float | None, interval: Interval | None, digits: int = 2, sign: str = "") -> Cell:
    """A number and its interval, `digits` decimals at the interval's ends."""
    if value is None:
        return Cell(NOTHING)
    if interval is None or interval.low is None or interval.high is None:
        return Cell(f"{value:{sign}.2f}", value)
    return Cell(f"{value:{sign}.2f} [{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]", value)


def _digits(entries: Sequence[Entry]) -> int:
    """One decimal at the ends of a table's intervals, two where one would not tell the narrowest's ends apart."""
    every = [interval for entry in entries for interval in (*entry.intervals.values(), entry.mean_interval)]
    widths = [one.high - one.low for one in every if one is not None and one.low is not None and one.high is not None]
    return 1 if min(widths, default=0.0) >= 0.5 else 2


def _number(value: float | None, digits: int) -> Cell:
    return Cell("?") if value is None else Cell(f"{value:,.{digits}f}", value)


def _counted(value: int | None) -> Cell:
    if value is None:
        return Cell("?")
    return Cell(f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:,}", value)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
