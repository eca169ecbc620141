"""What is compared with what: folders of estimates against references, matched by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.opening import KINDS, open_dataset
from ..data.stem_names import parts_of
from ..data.track import Track
from ..errors import DatasetError, OptionError, UnknownNameError
from .name_matching import Matching, match_names, near
from .reference_points import REFERENCE_POINTS
from .stem_folders import TrackFiles, find_tracks, in_order

UNCLEAR = "could be each other's"
Reference = TrackFiles | Track
"""The truth of one track: files, or a song that is made when it is asked for."""


@dataclass(frozen=True)
class Pair:
    """One track of one method to be scored: its estimates, its truth, and the stems that a row is wanted for."""

    method: str
    track: str
    estimates: TrackFiles
    reference: Reference
    stems: tuple[str, ...]


@dataclass(frozen=True)
class FolderPlan:
    """What can be scored, which references nobody estimated (method, track, reason), and what else is wrong or odd."""

    pairs: tuple[Pair, ...]
    missing: tuple[tuple[str, str, str], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([pair.method for pair in self.pairs] + [method for method, _, _ in self.missing]))


def open_references(
    references: str, split: str | None, names: Sequence[str], limit: int | None, *, skip: Path | None = None
) -> dict[str, Reference]:
    """The references by track name: of a folder (a path) or of a dataset (`musdb:PATH`, `demo`), perhaps only some.

    Raises DatasetError where nothing can be read or two tracks have one name, UnknownNameError for a name that is not
    there.
    """
    found: dict[str, Reference]
    if not Path(references).is_dir() and references.partition(":")[0] in KINDS:
        found = {track.name: _as_files(track) for track in open_dataset(references, split)}
    elif not Path(references).is_dir():
        raise DatasetError(
            f"{references} is neither a folder nor a dataset; give a folder of <track>/<stem>.wav, or one of "
            f"{', '.join(f'{kind}:PATH' if kind in ('folder', 'musdb') else kind for kind in KINDS)}."
        )
    else:
        tracks = find_tracks(Path(references), split, skip=skip)
        refuse_namesakes(tracks)
        found = {track.name: _without_overlap(track) for track in tracks}
    for name in names:
        if name not in found:
            raise UnknownNameError(f"The references have no track {name!r}: {near(name, list(found))}")
    chosen = names or list(found)
    return {name: found[name] for name in chosen[: limit or len(chosen)]}


def plan_folders(
    estimates: Sequence[TrackFiles],
    references: Mapping[str, Reference],
    *,
    folder_name: str,
    method_name: str | None = None,
    stems: Sequence[str] = (),
    whole: bool = True,
) -> FolderPlan:
    """Match every method's estimates with the references, track by track and stem by stem.

    Each group of the estimates (`separated/<model>`) is a method. Without groups there is one, named by `method_name`,
    by the record that `sepkit separate` leaves, or else `folder_name`. Two folders of single tracks belong together
    whatever their names. `stems` asks for these only. `whole` says that the references are all of their folder, so
    that estimates of other tracks are a problem.
    Raises DatasetError where two estimates have one name or nothing matches, OptionError for a name that does not fit.
    """
    methods = _by_method(estimates, method_name, folder_name)
    pairs, missing, problems, notes = [], [], [], []
    for method, tracks in methods.items():
        refuse_namesakes(tracks)
        by_name = {track.name: track for track in tracks}
        matching = _match(by_name, references)
        problems += [f"{method}: {_ambiguity(*group)}" for group in matching.ambiguous]
        if whole:
            problems += [
                f"{method}: {n}: no reference of this track. {near(n, matching.rights)}" for n in matching.lefts
            ]
        missing += [
            (method, name, f"no estimates of this track. {near(name, matching.lefts)}") for name in matching.rights
        ]
        missing += [(method, name, _ambiguity(*group)) for group in matching.ambiguous for name in group[1]]
        matched = {references_name: by_name[own] for own, references_name in matching.pairs.items()}
        wanted = tuple(stems) or in_order({stem for track in matched.values() for stem in track.stems})
        ordered = [name for name in references if name in matched]
        pairs += [Pair(method, name, matched[name], references[name], wanted) for name in ordered]
        problems += _stem_problems(method, matched, references, wanted)
        notes += _stem_notes(method, [references[name] for name in matched], wanted)
        notes += [note for track in matched.values() for note in track.aside]
    if not pairs:
        unclear = [problem for problem in problems if UNCLEAR in problem]
        raise DatasetError(f"{'; '.join(unclear)}." if unclear else _nothing(methods, references))
    return FolderPlan(tuple(pairs), tuple(missing), tuple(problems), tuple(dict.fromkeys(notes)))


def refuse_namesakes(tracks: Sequence[TrackFiles]) -> None:
    """Raise DatasetError that names both folders where two tracks of one group have the same name."""
    seen: dict[tuple[str, str], TrackFiles] = {}
    for track in tracks:
        other = seen.setdefault((track.group, track.name), track)
        if other is not track:
            raise DatasetError(
                f"Two tracks are called {track.name!r}: {other.folder} and {track.folder}; "
                "give one split (--split), or a folder further down."
            )


def stems_of(reference: Reference) -> tuple[str, ...]:
    """The stems that a reference has."""
    return tuple(reference.stems)


def _as_files(track: Track) -> Reference:
    """The files of a track that is read from files as they are; their rates and lengths are compared later."""
    files = getattr(track.source, "files", None)
    if not isinstance(files, dict):
        return track
    stems = {stem: path for stem, path in files.items() if stem in track.stems}
    folder = next(iter(stems.values())).parent
    return TrackFiles(track.name, folder, "", stems, files.get("mixture"), complete=track.complete)


def _without_overlap(track: TrackFiles) -> TrackFiles:
    """Without the accompaniment where the track has its parts: one truth for one sound, as datasets read it too."""
    if "accompaniment" not in track.stems or not track.stems.keys() - {"vocals", "accompaniment"}:
        return track
    return replace(track, stems={stem: path for stem, path in track.stems.items() if stem != "accompaniment"})


def _by_method(
    estimates: Sequence[TrackFiles], method_name: str | None, folder_name: str
) -> dict[str, list[TrackFiles]]:
    groups: dict[str, list[TrackFiles]] = {}
    for track in estimates:
        groups.setdefault(track.group, []).append(track)
    if method_name is not None and len(groups) > 1:
        raise OptionError(
            f"--method-name {method_name!r} is one name, and the estimates hold {len(groups)} methods "
            f"({', '.join(group or '(the folder itself)' for group in groups)}); give one of their folders."
        )
    methods = {
        method_name or group or _recorded_method(tracks[0]) or folder_name: tracks for group, tracks in groups.items()
    }
    for name in methods.keys() & REFERENCE_POINTS.keys():
        raise OptionError(f"The method name {name!r} is that of a reference point; give another with --method-name.")
    return methods


def _recorded_method(track: TrackFiles) -> str | None:
    """What made the stems, by the record that `sepkit separate` leaves beside them."""
    try:
        name = json.loads((track.folder / "provenance.json").read_text(encoding="utf-8"))["method"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return name if isinstance(name, str) and name else None


def _match(estimates: Mapping[str, TrackFiles], references: Mapping[str, Reference]) -> Matching:
    alone = [*estimates.values(), *references.values()]
    if len(estimates) == len(references) == 1 and all(isinstance(t, TrackFiles) and t.is_root for t in alone):
        return Matching({next(iter(estimates)): next(iter(references))}, (), (), ())
    return match_names(estimates, references)


def _ambiguity(lefts: Sequence[str], rights: Sequence[str]) -> str:
    left, right = (" and ".join(repr(name) for name in names) for names in (lefts, rights))
    return f"the estimates {left} and the references {right} {UNCLEAR}; rename them alike"


def _stem_problems(
    method: str, matched: Mapping[str, TrackFiles], references: Mapping[str, Reference], wanted: Sequence[str]
) -> list[str]:
    """Stems that no reference has at all, and those that a track lacks though others of the method have them."""
    known = list(dict.fromkeys(stem for name in matched for stem in stems_of(references[name])))
    derived = {"accompaniment", "other"} if known else set()
    problems = [
        f"{method}: no reference has the stem {stem!r}: {near(stem, known)}"
        for stem in wanted
        if stem not in known and stem not in derived
    ]
    for name, track in matched.items():
        present = stems_of(references[name])
        lacking = [stem for stem in wanted if stem not in track.stems and parts_of(stem, wanted, present)]
        problems += [f"{method}: {name}: {no_estimate(stem, track)}" for stem in lacking if track.problem is None]
    return problems


def no_estimate(stem: str, track: TrackFiles) -> str:
    """The reason of a stem that a track's estimates lack."""
    return f"no estimate of {stem} in {track.folder}. {near(stem, [path.name for path in track.stems.values()])}"


def _stem_notes(method: str, references: Sequence[Reference], wanted: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(stem for reference in references for stem in stems_of(reference)))
    idle = [stem for stem in known if stem not in wanted]
    notes = []
    if idle and not {"accompaniment", "other"} & set(wanted):
        notes.append(
            f"{method}: estimates of {', '.join(wanted)} only, references also of {', '.join(idle)}: what leaks from "
            "those counts as an artefact, not as interference."
        )
    finer = [stem for stem in wanted if stem not in known and stem not in ("accompaniment", "other")]
    if "other" in wanted and "other" in known and finer:
        notes.append(
            f"{method}: {', '.join(finer)} has no reference, and the references' other contains it where it sounds; "
            "the score of other is then too low."
        )
    return notes


def _nothing(methods: Mapping[str, Sequence[TrackFiles]], references: Mapping[str, Reference]) -> str:
    names = sorted({track.name for tracks in methods.values() for track in tracks})
    first = near(next(iter(references), ""), names)
    return (
        f"No estimate matches a reference by name. References: {', '.join(list(references)[:8]) or 'none'}. "
        f"Estimates for {next(iter(references), '')!r}: {first} Name the folders of tracks alike, or give two folders "
        "of one track each."
    )
