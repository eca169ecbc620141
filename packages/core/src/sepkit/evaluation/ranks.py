"""Which entries of a table can be compared with each other, and their ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .metric_facts import higher_is_better
from .statistics import Comparison, Interval, Place, Ranking, difference_interval, rank
from .summary import Entry


@dataclass(frozen=True)
class RankedEntries:
    """Entries that were scored on the same stems of the same mixture, best mean first, and their ranking."""

    stems: tuple[str, ...]
    entries: tuple[Entry, ...]
    names: tuple[str, ...]  # of the entries, in the ranking
    ranking: Ranking

    def name(self, entry: Entry) -> str:
        """The entry's name in the ranking: its method's, with the view where a method has several here."""
        return self.names[next(index for index, one in enumerate(self.entries) if one is entry)]

    def place(self, entry: Entry) -> Place | None:
        """The entry's rank or range of ranks; None where it is alone and so has nothing to be ranked with."""
        return self.ranking.places[self.name(entry)] if len(self.entries) > 1 else None

    def notes(self) -> list[str]:
        """How the ranks came about, and which pairs could not have been told apart with so few tracks."""
        return self.ranking.notes()

    def compare(self, first: Entry, second: Entry) -> tuple[Comparison, Interval | None]:
        """First against second: the test's verdict, and the paired interval of first minus second on common tracks."""
        comparison = self.ranking.compare(self.name(first), self.name(second))
        if not comparison.tracks:
            return comparison, None
        tracks = _all_tracks((first, second), self.stems)
        (a, a_weights), (b, b_weights) = (entry.track_scores.table(self.stems, tracks) for entry in (first, second))
        return comparison, difference_interval(a, b, (a_weights + b_weights) / 2, first.over_tracks)


def ranked_groups(entries: Sequence[Entry], metric: str) -> list[RankedEntries]:
    """The groups of `comparable`, each ranked for itself; reference points are ranked among the methods."""
    return [_ranked(group, metric) for group in comparable(entries)]


def comparable(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries grouped by what their mean is over; those without any score are in no group.

    Means over different stems, or over stems of different mixtures, are different quantities: no test orders them.
    """
    groups: dict[tuple[frozenset[str], frozenset[str]], list[Entry]] = {}
    for entry in entries:
        if entry.scores:
            own = frozenset() if entry.mixture == "full" else frozenset(entry.view)
            groups.setdefault((frozenset(entry.parts), own), []).append(entry)
    return list(groups.values())


def _ranked(entries: list[Entry], metric: str) -> RankedEntries:
    stems = entries[0].parts
    tracks = _all_tracks(entries, stems)
    methods = [entry.method for entry in entries]
    names = [
        entry.method if methods.count(entry.method) == 1 else f"{entry.method} ({', '.join(entry.view)})"
        for entry in entries
    ]
    tables = {name: entry.track_scores.table(stems, tracks) for name, entry in zip(names, entries, strict=True)}
    ranking = rank(
        {name: values for name, (values, _) in tables.items()},
        entries[0].over_tracks,
        weights={name: weights for name, (_, weights) in tables.items()},
        higher_is_better=higher_is_better(metric),
    )
    return RankedEntries(stems, tuple(entries), tuple(names), ranking)


def _all_tracks(entries: Sequence[Entry], stems: Sequence[str]) -> list[str]:
    return sorted({track for entry in entries for track in entry.track_scores.tracks(stems)})
