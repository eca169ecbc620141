"""What is compared with what: folders of estimates against references, matched by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.opening import FOLDER_KINDS, KINDS, open_dataset
from ..data.stem_names import STEMS, parts_of
from ..data.track import Track
from ..errors import DatasetError, OptionError, UnknownNameError
from .name_matching import Matching, match_names, near, pick_names, with_near
from .reference_points import REFERENCE_POINTS
from .stem_folders import TrackFiles, find_tracks, in_order
from .stem_notes import idle_notes, other_notes

UNCLEAR = "could be each other's"
Reference = TrackFiles | Track
"""The truth of one track: files, or a song that is made when it is asked for."""


@dataclass(frozen=True)
class Pair:
    """One track of one method to be scored: its estimates, its truth, and the method's stems.

    Rows are wanted for `only` these stems, or for all of them where it is empty. The others count all the same:
    they say what `other` is, and what leaks.
    """

    method: str
    track: str
    estimates: TrackFiles
    reference: Reference
    stems: tuple[str, ...]
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderPlan:
    """What can be scored, which references nobody estimated (method, track, reason), and what else is wrong or odd.

    `uncovered` are notes on metrics that need an estimate of every source.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[tuple[str, str, str], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    uncovered: tuple[str, ...] = ()

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
            f"{', '.join(f'{kind}:PATH' if kind in FOLDER_KINDS else kind for kind in KINDS)}."
        )
    else:
        tracks = find_tracks(Path(references), split, skip=skip)
        refuse_namesakes(tracks)
        found = {track.name: _without_overlap(track) for track in tracks}
    chosen = pick_names(names, list(found)) if names else list(found)
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
    whatever their names. `stems` asks for rows of these only. `whole` says that the references are all of their
    folder, so that estimates of other tracks are a problem.
    Raises DatasetError where two estimates have one name or nothing matches, OptionError for a name that does not fit,
    UnknownNameError for a stem that neither side has.
    """
    methods = _by_method(estimates, method_name, folder_name)
    _refuse_unknown(stems, estimates, references)
    pairs, missing, problems, notes, uncovered = [], [], [], [], []
    for method, tracks in methods.items():
        refuse_namesakes(tracks)
        by_name = {track.name: track for track in tracks}
        matching = _match(by_name, references)
        problems += [f"{method}: {_ambiguity(*group)}" for group in matching.ambiguous]
        if whole:
            problems += [
                f"{method}: {n}: no reference of this track. {near(n, matching.rights)}".rstrip()
                for n in matching.lefts
            ]
        missing += [
            (method, name, f"no estimates of this track. {near(name, matching.lefts)}".rstrip())
            for name in matching.rights
        ]
        missing += [(method, name, _ambiguity(*group)) for group in matching.ambiguous for name in group[1]]
        matched = {references_name: by_name[own] for own, references_name in matching.pairs.items()}
        own_stems = _stems_of_method(matched.values(), tracks)
        ordered = [name for name in references if name in matched]
        pairs += [Pair(method, name, matched[name], references[name], own_stems, tuple(stems)) for name in ordered]
        problems += _stem_problems(method, matched, references, own_stems, tuple(stems) or own_stems)
        truths = [references[name] for name in matched]
        notes += other_notes(method, truths, own_stems)
        uncovered += idle_notes(method, truths, own_stems)
        notes += [note for track in (*matched.values(), *truths) for note in getattr(track, "aside", ())]
    if not pairs:
        unclear = [problem for problem in problems if UNCLEAR in problem]
        raise DatasetError(f"{'; '.join(unclear)}." if unclear else _nothing(methods, references))
    return FolderPlan(
        tuple(pairs), tuple(missing), tuple(problems), tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(uncovered))
    )


def _stems_of_method(matched: Iterable[TrackFiles], tracks: Sequence[TrackFiles]) -> tuple[str, ...]:
    """What the method outputs: every stem of a matched track, and known ones of its others, asked for or not."""
    others = {stem for track in tracks for stem in track.stems if stem in STEMS}
    return in_order(others.union(*(track.stems for track in matched)))


def _refuse_unknown(stems: Sequence[str], estimates: Sequence[TrackFiles], references: Mapping[str, Reference]) -> None:
    known = {stem for side in (*estimates, *references.values()) for stem in side.stems} | {"accompaniment", "other"}
    for stem in stems:
        if stem not in known:
            text = f"Neither the estimates nor the references have the stem {stem!r}"
            raise UnknownNameError(with_near(text, stem, in_order(known)))


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
    methods: dict[str, list[TrackFiles]] = {}
    for group, tracks in groups.items():
        name = method_name or group or _recorded_method(tracks[0]) or folder_name
        if name in methods:
            raise OptionError(
                f"Two folders would both be the method {name!r}, {methods[name][0].folder.parent} and "
                f"{tracks[0].folder.parent}: rename one of them, or give one of them alone."
            )
        methods[name] = tracks
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
    method: str,
    matched: Mapping[str, TrackFiles],
    references: Mapping[str, Reference],
    stems: Sequence[str],
    wanted: Sequence[str],
) -> list[str]:
    """Stems that no reference has at all, and those that a track lacks though others of the method have them."""
    known = list(dict.fromkeys(stem for name in matched for stem in references[name].stems))
    derived = {"accompaniment", "other"} if known else set()
    problems = [
        with_near(f"{method}: no reference has the stem {stem!r}", stem, known)
        for stem in wanted
        if stem not in known and stem not in derived
    ]
    for name, track in matched.items():
        present = references[name].stems
        asked = [stem for stem in wanted if stem not in track.stems]
        lacking = [stem for stem in asked if parts_of(stem, {*stems, stem}, tuple(present))]
        problems += [f"{method}: {name}: {no_estimate(stem, track)}" for stem in lacking if track.problem is None]
    return problems


def no_estimate(stem: str, track: TrackFiles) -> str:
    """The reason of a stem that a track's estimates lack."""
    return f"no estimate of {stem} in {track.folder}. {near(stem, [path.name for path in track.stems.values()])}"


def _nothing(methods: Mapping[str, Sequence[TrackFiles]], references: Mapping[str, Reference]) -> str:
    names = sorted({track.name for tracks in methods.values() for track in tracks})
    first = near(next(iter(references), ""), names)
    return (
        f"No estimate matches a reference by name. References: {', '.join(list(references)[:8]) or 'none'}. "
        f"Estimates for {next(iter(references), '')!r}: {first} Name the folders of tracks alike, or give two folders "
        "of one track each."
    )
