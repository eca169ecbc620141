"""Slakh2100: songs rendered from MIDI, one sound file for each instrument; its classes summed to stems.

root/{train,validation,test}/Track00001/{metadata.yaml, mix.flac, stems/S00.flac}, or the tracks in root itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .metadata_files import read_yaml
from .own_split import check_split
from .part_files import BadTrack, Part, built_tracks, track_of_parts
from .stem_names import STEMS
from .track import Dataset, Track

BAND = ("bass", "drums", "guitar", "piano")
VIEWS = ("rest", "band", "classes")
SPLIT_FOLDERS = {"train": "train", "valid": "validation", "test": "test"}
LEFT_OUT = "omitted"
"""The folder into which Slakh2100-redux puts songs whose MIDI another song has too."""
LAST_TRAIN, LAST_VALID = 1500, 1875
"""Slakh2100-orig: tracks 1 to 1500 train, up to 1875 validation, up to 2100 test; for trees without split folders."""
SUFFIXES = (".flac", ".wav")
_TRACK = re.compile(r"Track(\d+)$")


def slakh_dataset(
    root: str | Path,
    split: str | None = None,
    *,
    view: str = "rest",
    sample_rate: int | None = None,
    bad: list[BadTrack] | None = None,
) -> Dataset:
    """Slakh's songs of a split (None: of all), instruments summed to stems by their class in metadata.yaml.

    View "rest": bass, drums, guitar, piano, and the others summed as `other`, with the song's own mixture. "band": the
    four alone, and the mixture is their sum; a song with none of them is left out. "classes": a stem for every class
    (`strings`, `synth_lead`, ...). An instrument that was not rendered (`audio_rendered: false`) is silent, and so is
    one whose file is missing, which the dataset's `notes` say.
    Raises DatasetError where there is no track, or, unless `bad` is given, one that cannot be read.
    """
    root = Path(root).expanduser()
    check_split(split, "Slakh")
    if view not in VIEWS:
        raise DatasetError(f"Slakh has no view {view!r}: ask for one of {', '.join(VIEWS)}.")
    folders = _track_folders(root, split)
    notes: list[str] = []
    if (root / LEFT_OUT).is_dir():
        notes.append(f"{root / LEFT_OUT}: left aside, its songs have the MIDI of others (Slakh2100-redux)")
    builds = [(folder.name, partial(_track, folder, view, sample_rate, notes)) for folder in folders]
    tracks = [track for track in built_tracks(builds, bad) if track.stems]
    if not tracks and not bad:
        raise DatasetError(
            f"{root} has no Slakh track of the split {split or 'any'}: wanted {root}/train/Track00001/metadata.yaml "
            "with stems/S00.flac, or Track00001 in the folder itself."
        )
    return Dataset(f"slakh:{root}", tracks, split, notes)


def _track_folders(root: Path, split: str | None) -> list[Path]:
    splits = SPLIT_FOLDERS if split is None else {split: SPLIT_FOLDERS[split]}
    found = [folder for name in splits.values() for folder in _tracks_in(root / name)]
    flat = [folder for folder in _tracks_in(root) if split in (None, _split_of(folder.name))]
    return found + flat


def _tracks_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if _TRACK.match(p.name) and (p / "metadata.yaml").is_file())


def _split_of(name: str) -> str:
    match = _TRACK.match(name)
    number = int(match[1]) if match else 0
    return "train" if number <= LAST_TRAIN else "valid" if number <= LAST_VALID else "test"


def _track(folder: Path, view: str, sample_rate: int | None, notes: list[str]) -> Track:
    metadata = read_yaml(folder / "metadata.yaml")
    parts: dict[str, list[Part]] = {stem: [] for stem in (*BAND, "other")}
    missing = 0
    for number, facts in sorted((metadata.get("stems") or {}).items()):
        stem = _stem_of(facts, view)
        file = _sound_file(folder / "stems" / number)
        if file is None and facts.get("audio_rendered", True):
            missing += 1
            notes.append(f"{folder.name}: stems/{number} ({facts.get('inst_class')}) has no file, so it is silent")
        elif file is None:
            notes.append(f"{folder.name}: {number} ({facts.get('inst_class')}) was not rendered, so it is silent")
        elif stem is not None:
            parts.setdefault(stem, []).append(Part(file))
    mixture = None if view == "band" else _sound_file(folder / "mix")
    known = (*STEMS, *(stem for stem in parts if stem not in STEMS))
    return track_of_parts(
        folder.name,
        parts,
        mixture=Part(mixture) if mixture else None,
        sample_rate=sample_rate,
        known=known,
        complete=None if missing and mixture else True,  # what has no file may sound in the mixture all the same
        facts={"midi": metadata.get("UUID")},
    )


def _stem_of(facts: Mapping[str, Any], view: str) -> str | None:
    """The stem that an instrument belongs to; None where the view leaves it out."""
    name = "drums" if facts.get("is_drum") else str(facts.get("inst_class") or "other").lower()
    name = re.sub(r"[^a-z]+", "_", name.replace("(continued)", "")).strip("_") or "other"
    if name in BAND or view == "classes":
        return name
    return "other" if view == "rest" else None


def _sound_file(path: Path) -> Path | None:
    return next((file for suffix in SUFFIXES if (file := path.with_name(path.name + suffix)).is_file()), None)
