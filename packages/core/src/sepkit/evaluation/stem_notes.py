"""What a reader must know of the stems that are compared: which are missing, and what stands in for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from .score import Score
from .stem_folders import TrackFiles

if TYPE_CHECKING:
    from .folders import FolderPlan

SILENT_REFERENCE = "the reference is silent"
DERIVED = ("accompaniment", "other")


class HasStems(Protocol):
    """A track, of files or of samples."""

    @property
    def stems(self) -> Mapping[str, object] | tuple[str, ...]: ...


def idle_notes(method: str, references: Sequence[HasStems], stems: Sequence[str]) -> list[str]:
    """That only some sources have estimates, which leaves metrics undefined that need them all."""
    known = _known(references)
    idle, used = [stem for stem in known if stem not in stems], [stem for stem in stems if stem in known]
    if not idle or not used or set(DERIVED) & set(stems):
        return []
    return [
        f"{method}: estimates of {', '.join(used)} only, references also of {', '.join(idle)}: the SDR is a value, and "
        "ISR, SIR and SAR need an estimate of every source and are undefined."
    ]


def other_notes(method: str, references: Sequence[HasStems], stems: Sequence[str]) -> list[str]:
    """That `other` is more, or less, than the references' own `other`."""
    known = _known(references)
    if "other" not in stems or "other" not in known:
        return []
    more = [stem for stem in known if stem not in stems and stem not in ("other", "accompaniment")]
    finer = [stem for stem in stems if stem not in known and stem not in DERIVED]
    notes = []
    if more:
        notes.append(
            f"{method}: no estimate of {', '.join(more)}: other is compared with {' + '.join((*more, 'other'))}."
        )
    if finer:
        notes.append(
            f"{method}: {', '.join(finer)} has no reference, and the references' other contains it where it sounds; "
            "the score of other is then too low."
        )
    return notes


def mixture_notes(plan: FolderPlan) -> list[str]:
    """What stands in for mixtures that have no file."""
    without = {
        pair.track: pair.reference
        for pair in plan.pairs
        if isinstance(pair.reference, TrackFiles) and not pair.reference.mixture
    }
    alone = [track for track, reference in without.items() if len(reference.stems) == 1]
    start = "track(s) have no mixture file among the references"
    notes = []
    if len(without) > len(alone):
        notes.append(
            f"{len(without) - len(alone)} {start}: where a recipe compares with the mixture, it is the sum of the "
            "references."
        )
    if alone:
        [stem] = without[alone[0]].stems
        notes.append(
            f"{len(alone)} {start} and one reference only ({stem}): where a recipe compares with the mixture, that is "
            "this stem itself, and the comparison says nothing."
        )
    return notes


def undefined_notes(rows: Sequence[Score]) -> list[str]:
    """How many numbers have no value, and why; what has failed altogether says so itself."""
    counted = [row for row in rows if not row.failed]
    reasons = Counter(str(row.reason).split(". ")[0] for row in counted if row.value is None)
    if not reasons:
        return []
    why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    return [f"{reasons.total()} of {len(counted)} scores have no value: {why}."]


def scoreless_stems(rows: Sequence[Score]) -> list[str]:
    """A line for every estimate that has a sounding reference and no value under any recipe: a failure."""
    stems: dict[tuple[str, str, str], list[Score]] = {}
    for row in rows:
        if row.truth and not row.failed:
            stems.setdefault((row.method, row.track, row.stem), []).append(row)
    return [
        f"{method}: {track}: {stem} has no score under any recipe: {own[0].reason}."
        for (method, track, stem), own in stems.items()
        if all(row.value is None and not str(row.reason).startswith(SILENT_REFERENCE) for row in own)
    ]


def _known(references: Sequence[HasStems]) -> list[str]:
    return list(dict.fromkeys(stem for reference in references for stem in reference.stems))
