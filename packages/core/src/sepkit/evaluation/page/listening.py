"""What can be heard of a track: which file is which stem of whom, found in the folders of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...errors import SepkitError
from ...uncertainty import FILE_NAME
from ..out_folder import file_name
from ..recipe import split_overlapping
from ..reference_points import REFERENCE_POINTS
from ..summary import STEM_ORDER
from .runs import ReportRun, Section, SectionRow
from .sound import SoundFile, look_at

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aiff", ".aif")
ORDER = (*STEM_ORDER, "accompaniment")


@dataclass
class Source:
    """One thing to listen to: a mixture, the truth, or a method. `mixture` is the source that it was given."""

    name: str
    kind: Literal["mixture", "reference", "method"]
    mixture: int | None = None
    clip: int | None = None  # a mixture's file
    parts: list[int] = field(default_factory=list)  # groups whose sum should be the mixture
    muted: bool = False  # a reference point, not a method
    folder: tuple[ReportRun, str] | None = None  # a method's run, and the name of its folder in stems/ and windows/
    stems: dict[str, int] = field(default_factory=dict)  # a method's stem -> its group
    method: str = ""  # its name in the tables


@dataclass
class Group:
    """One sound that can be asked for: a stem, and which of the track's stems its truth is the sum of."""

    stem: str
    truth: str
    label: str  # the stem, with what is in it where two groups are of one name
    clips: dict[int, int] = field(default_factory=dict)  # source -> file
    maps: dict[int, int] = field(default_factory=dict)  # source -> map of its uncertainty


@dataclass
class TrackSound:
    """A track's files, one sample rate and length; what is missing or does not fit is in `notes`."""

    name: str
    sources: list[Source] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    files: list[SoundFile] = field(default_factory=list)
    maps: list[tuple[Path, str]] = field(default_factory=list)  # of uncertainty: file, and the stem in it
    notes: list[str] = field(default_factory=list)
    sample_rate: int = 0
    length_samples: int = 0

    @property
    def seconds(self) -> float:
        """Length of the whole track."""
        return self.length_samples / self.sample_rate if self.sample_rate else 0.0

    @property
    def references(self) -> list[Path]:
        """The true stems' files, each once."""
        clips = [
            clip
            for group in self.groups
            for source, clip in group.clips.items()
            if self.sources[source].kind == "reference"
        ]
        return [self.files[clip].path for clip in dict.fromkeys(clips)]

    def add(self, path: Path | None, what: str) -> int | None:
        """The index of this file, looked at once; None, with a note if it does not fit, where it cannot be used."""
        if path is None:
            return None
        for index, known in enumerate(self.files):
            if known.path == path:
                return index
        try:
            found = look_at(path)
        except (SepkitError, OSError) as error:
            self.notes.append(f"{what} cannot be heard: {error}")
            return None
        if not self.files:
            self.sample_rate, self.length_samples = found.sample_rate, found.length_samples
        if (found.sample_rate, found.length_samples) != (self.sample_rate, self.length_samples):
            self.notes.append(
                f"{what} cannot be heard: it has {found.length_samples} samples at {found.sample_rate} Hz and the "
                f"track {self.length_samples} at {self.sample_rate} Hz"
            )
            return None
        self.files.append(found)
        return len(self.files) - 1


def track_sound(section: Section, track: str) -> TrackSound:
    """Find a track's files: every mixture that a method was given, every truth, every estimate."""
    sound = TrackSound(track)
    every = [one for one in section.rows if one.row.track == track and not one.row.failed and _is_there(one)]
    rows = list({(*one.folder, one.row.stem): one for one in every}.values())
    pairs = list(dict.fromkeys(map(_pair, rows)))
    for stem, truth in pairs:
        several = [pair[0] for pair in pairs].count(stem) > 1
        sound.groups.append(Group(stem, truth, f"{stem} ({truth.replace('+', ', ')})" if several else stem))
    sound.groups.sort(key=lambda group: ORDER.index(group.stem) if group.stem in ORDER else len(ORDER))
    _add_mixtures(sound, rows)
    _add_references(sound, rows)
    for folder in dict.fromkeys(one.folder for one in rows):
        _add_method(sound, [one for one in rows if one.folder == folder])
    _let_references_add_up(sound)
    if not sound.files:
        sound.notes = ["No sound was kept of this track, so there is nothing to listen to; run with --save-stems."]
    return sound


def _pair(one: SectionRow) -> tuple[str, str]:
    """Stem and truth; a stem without a reference stands for itself."""
    return one.row.stem, one.row.truth or one.row.stem


def _is_there(one: SectionRow) -> bool:
    """Whether the track has this stem's truth, or the method at least returned one."""
    return bool(one.row.truth) or _estimate(one) is not None


def _estimate(one: SectionRow) -> Path | None:
    folder = one.run.folder / "stems" / one.folder[1] / file_name(one.row.track)
    return _sound_file(folder, one.row.stem)


def _add_mixtures(sound: TrackSound, rows: Sequence[SectionRow]) -> None:
    """A source for each mixture: the track's own, and sums of only some stems where a method was given that."""
    for one in sorted(rows, key=lambda one: one.row.mixture == "own"):
        path = _mixture_path(one, rows, sound.name)
        if path is None:
            continue
        name = "mixture" if one.row.mixture == "full" else f"mixture of {path.stem.replace('+', ', ')}"
        if any(source.name == name for source in sound.sources):
            continue  # known, or another run's copy of the same
        clip = sound.add(path, f"the {name}")
        if clip is not None:
            sound.sources.append(Source(name, "mixture", mixture=len(sound.sources), clip=clip))


def _add_references(sound: TrackSound, rows: Sequence[SectionRow]) -> None:
    sound.sources.append(Source("reference", "reference"))
    place = len(sound.sources) - 1
    full = next((i for i, source in enumerate(sound.sources) if source.name == "mixture"), None)
    sound.sources[place].mixture = full
    for group in sound.groups:
        for run in _runs(rows):
            clip = sound.add(_sound_file(_references(run, sound.name), group.truth), f"the true {group.label}")
            if clip is not None:
                group.clips[place] = clip
                break
    if not any(group.clips for group in sound.groups):
        sound.sources.pop(place)


def _add_method(sound: TrackSound, rows: Sequence[SectionRow]) -> None:
    """A method's estimates in one folder; as a source also where none was kept, since it has curves and scores."""
    first = rows[0]
    _, folder = first.folder
    name = first.row.method if first.row.mixture == "full" else f"{first.row.method} (own mixture)"
    if any(source.name == name and source.kind == "method" for source in sound.sources):
        name = f"{name} ({', '.join(first.row.view)})"
    if name == "mixture":
        name = "mixture, as the estimate"  # the reference point, which stands beside the mixture itself
    source = Source(name, "method", _mixture_of(sound, first, rows), folder=(first.run, folder))
    source.muted, source.method = first.method in REFERENCE_POINTS, first.row.method
    sound.sources.append(source)
    place, heard = len(sound.sources) - 1, []
    for one in rows:
        index = next(i for i, group in enumerate(sound.groups) if (group.stem, group.truth) == _pair(one))
        source.stems[one.row.stem] = index
        clip = sound.add(_estimate(one), f"{name}: {one.row.stem}")
        if clip is not None:
            sound.groups[index].clips[place] = clip
            heard.append(one.row.stem)
            _add_map(sound, one, sound.groups[index], place)
    if len(heard) == len(rows):
        source.parts = [source.stems[stem] for stem in split_overlapping(heard)[0]]
    if sound.files and not heard:
        sound.notes.append(f"{name}: no stems were kept")


def _add_map(sound: TrackSound, one: SectionRow, group: Group, place: int) -> None:
    """The spread of a random method's draws, where the run kept it."""
    path = one.run.folder / "stems" / one.folder[1] / file_name(one.row.track) / FILE_NAME
    if path.is_file():
        group.maps[place] = len(sound.maps)
        sound.maps.append((path, one.row.stem))


def _let_references_add_up(sound: TrackSound) -> None:
    """The truths of a method of the full mixture sum to it."""
    for place, source in enumerate(sound.sources):
        if source.kind == "reference":
            full = [other.parts for other in sound.sources if other.parts and other.mixture == source.mixture]
            whole = [parts for parts in full if all(place in sound.groups[index].clips for index in parts)]
            source.parts = max(whole, key=len, default=[]) if source.mixture is not None else []


def _mixture_of(sound: TrackSound, one: SectionRow, rows: Sequence[SectionRow]) -> int | None:
    """The source that this method was given; another run's full mixture is as good as its own."""
    path = _mixture_path(one, rows, sound.name)
    for index, source in enumerate(sound.sources):
        if source.clip is not None and path is not None:
            if one.row.mixture == "full" and source.name == "mixture":
                return index
            if one.row.mixture == "own" and sound.files[source.clip].path.stem == path.stem:
                return index
    return None


def _mixture_path(one: SectionRow, rows: Sequence[SectionRow], track: str) -> Path | None:
    folder = _references(one.run, track)
    if one.row.mixture == "full":
        return _sound_file(folder, "mixture")
    own = {name for other in rows if other.folder == one.folder for name in other.row.truth.split("+")}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.suffix.lower() in SUFFIXES and set(path.stem.split("+")) == own:
            return path
    return None


def _references(run: ReportRun, track: str) -> Path:
    return run.folder / "references" / file_name(track)


def _sound_file(folder: Path, name: str) -> Path | None:
    return next((path for s in SUFFIXES if (path := folder / f"{name}{s}").is_file()), None)


def _runs(rows: Sequence[SectionRow]) -> list[ReportRun]:
    return list({one.run.name: one.run for one in rows}.values())
