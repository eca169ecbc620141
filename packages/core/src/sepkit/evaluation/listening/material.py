"""What a run offers to listen to: for one stem, the tracks with their truth, mixture and every method's estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple

from ...errors import DatasetError, OptionError, UnknownNameError, nearest
from ...readers import Reader
from ...soundfiles import open_reader
from ..out_folder import file_name, stems_folder
from ..reference_points import REFERENCE_POINTS
from ..score import Score, read_scores


class SourceTrack(NamedTuple):
    """One track's files: the stem's truth, the mixture (None where the run kept none), the estimates by method."""

    name: str
    reference: Path
    mixture: Path | None
    estimates: Mapping[str, Path]
    sample_rate: int
    channels: int


class Material(NamedTuple):
    """Tracks on which every one of `methods` can be heard, and notes on what was left out and why."""

    methods: tuple[str, ...]
    tracks: tuple[SourceTrack, ...]
    notes: tuple[str, ...]


def find_material(
    run: Path, stem: str, methods: Sequence[str] | None = None, tracks: Sequence[str] | None = None
) -> Material:
    """The tracks of the folder `run` on which all `methods` have `stem`; None takes every method but reference points.

    Methods that were given the mixture of their own stems only are left out: they solved an easier task. Raises
    DatasetError for a folder that is no run or kept no stems, UnknownNameError for a stem, method or track that is not
    in it, OptionError where the methods were compared with different truths.
    """
    rows = _rows(run, stem)
    own = {row.method for row in rows if row.mixture == "own"}
    chosen = _chosen_methods(rows, own, methods)
    truth = _truth([row for row in rows if row.method in chosen and row.mixture == "full"], stem)
    wanted = _chosen_tracks(rows, tracks)
    found, notes = [], [f"{name} was given the mixture of its own stems only" for name in sorted(own - set(chosen))]
    for name in wanted:
        track, missing = _track(run, rows, name, stem, truth, chosen)
        if track is None:
            notes.append(f"track {name!r} was left out: {missing}")
        else:
            found.append(track)
    if not found:
        reasons = "; ".join(notes)
        raise DatasetError(
            f"{run} has no track on which {', '.join(chosen)} can all be heard ({reasons}): repeat the run with its "
            "stems kept, or name fewer methods."
        )
    return Material(tuple(chosen), tuple(found), tuple(notes))


def _rows(run: Path, stem: str) -> list[Score]:
    if not (run / "scores.jsonl").is_file():
        raise DatasetError(f"{run} has no scores.jsonl: give the output folder of a run of the benchmark or evaluator.")
    rows = [row for row in read_scores(run / "scores.jsonl") if not row.failed]
    stems = {row.stem for row in rows}
    if not stems:
        raise DatasetError(f"{run} has no score yet: give a run in which some method has separated something.")
    if stem not in stems:
        raise UnknownNameError(f"no method of this run has the stem {stem!r}: {nearest(stem, stems)}")
    return [row for row in rows if row.stem == stem]


def _chosen_methods(rows: Sequence[Score], own: set[str], names: Sequence[str] | None) -> list[str]:
    known = {row.method: row.facts.kind for row in rows}
    for name in names or ():
        if name not in known:
            raise UnknownNameError(f"no method {name!r} in this run has the stem: {nearest(name, known)}")
        if name in own and all(row.mixture == "own" for row in rows if row.method == name):
            raise OptionError(f"{name} was given the mixture of its own stems only: name methods of the full mixture.")
    if names:
        return list(dict.fromkeys(names))
    chosen = sorted(name for name, kind in known.items() if kind != "reference" and name not in own)
    if not chosen:
        raise DatasetError(f"this run has no method but reference points ({', '.join(sorted(known))}): name some.")
    return chosen


def _chosen_tracks(rows: Sequence[Score], names: Sequence[str] | None) -> list[str]:
    known = {row.track for row in rows}
    for name in names or ():
        if name not in known:
            raise UnknownNameError(f"there is no track {name!r} in this run: {nearest(name, known)}")
    return sorted(set(names) if names else known)


def _truth(rows: Sequence[Score], stem: str) -> str:
    """The one truth that all were compared with; reference points have several views, of which one must fit."""
    truths: dict[str, set[str]] = {}
    for row in rows:
        truths.setdefault(row.method, set()).add(row.truth or stem)
    common = set.intersection(*truths.values())
    if not common:
        listed = "; ".join(f"{name}: {', '.join(sorted(found))}" for name, found in sorted(truths.items()))
        raise OptionError(
            f"the methods mean different things by {stem!r} ({listed}): name methods of one kind with --methods."
        )
    return stem if stem in common else sorted(common)[0]


def _track(
    run: Path, rows: Sequence[Score], name: str, stem: str, truth: str, methods: Sequence[str]
) -> tuple[SourceTrack | None, str]:
    """The track's files, or the reason why it has not got them."""
    references = run / "references" / file_name(name)
    reference = _file(references, truth)
    if reference is None:
        return None, f"references/{references.name} has no {truth}"
    estimates = {}
    for method in methods:
        own = [row for row in rows if (row.method, row.track, row.truth or stem) == (method, name, truth)]
        folders = [stems_folder(method, row.view, method in REFERENCE_POINTS) for row in own]
        files = [_file(run / "stems" / folder / file_name(name), stem) for folder in dict.fromkeys(folders)]
        kept = [file for file in files if file is not None]
        if not kept:
            return None, f"no {stem} of {method} was kept"
        estimates[method] = kept[0]
    with open_reader(reference) as reader:
        rate, channels = reader.sample_rate, reader.channels
        for method, path in estimates.items():
            with open_reader(path) as other:
                if (other.sample_rate, _length(other)) != (rate, _length(reader)):
                    return None, f"{method}'s estimate differs from the truth in rate or length"
    return SourceTrack(name, reference, _file(references, "mixture"), estimates, rate, channels), ""


def _length(reader: Reader) -> int | None:
    return reader.length_samples


def _file(folder: Path, name: str) -> Path | None:
    """`name` with whatever suffix it has in `folder`, wav first; None where it is not there."""
    wav = folder / f"{name}.wav"
    found = [wav] if wav.exists() else sorted(folder.glob(f"{escape(name)}.*"))
    return found[0] if found else None
