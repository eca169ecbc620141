"""MoisesDB: songs with the tracks of a session, which sum to eleven stems; data.json says what is what.

root/[moisesdb_v0.1/]ID/{data.json, vocals/TRACK.wav, guitar/TRACK.wav, other_keys/TRACK.wav, ...}
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .metadata_files import read_json
from .own_split import check_split, own_split
from .part_files import BadTrack, Part, built_tracks, track_of_parts
from .stem_names import STEMS
from .track import Dataset, Track

STEM_NAMES = (
    "vocals",
    "drums",
    "bass",
    "guitar",
    "piano",
    "other_keys",
    "other_plucked",
    "bowed_strings",
    "wind",
    "percussion",
    "other",
)
"""Its own stems, with underscores as its folders have."""
SIX = ("vocals", "drums", "bass", "guitar", "piano", "other")
FOUR = ("vocals", "drums", "bass", "other")
"""As its own package maps them: percussion is part of `other`, not of the drums."""


def moisesdb_dataset(
    root: str | Path,
    split: str | None = None,
    *,
    every_stem: bool = False,
    sample_rate: int | None = None,
    bad: list[BadTrack] | None = None,
) -> Dataset:
    """MoisesDB's songs in six stems (`SIX`), of which `track.view(FOUR)` makes four; `every_stem` for its own eleven.

    Each stem is the sum of its tracks and the mixture that of the stems: the dataset has no file of it. Shorter tracks
    end in silence. MoisesDB has no splits: train, valid and test are sepkit's own, by artist (`own_split`).
    Raises DatasetError where there is no song, or, unless `bad` is given, one that cannot be read.
    """
    root = Path(root).expanduser()
    check_split(split, "MoisesDB")
    notes: list[str] = []
    songs = list(_songs(root, bad))
    names = [_name(facts, path) for path, facts in songs]
    builds = []
    for (path, facts), name in zip(songs, names, strict=True):
        if split in (None, own_split(str(facts.get("artist") or path.parent.name))):
            unique = name if names.count(name) == 1 else f"{name} ({path.parent.name})"
            builds.append((unique, partial(_track, path.parent, facts, unique, every_stem, sample_rate, notes)))
    tracks = built_tracks(builds, bad)
    if not tracks and not bad:
        raise DatasetError(
            f"{root} has no song of MoisesDB's split {split or 'any'}: wanted folders with data.json and a folder for "
            "each stem, such as moisesdb_v0.1/ID/vocals/TRACK.wav."
        )
    return Dataset(f"moisesdb:{root}", tracks, split, notes)


def _songs(root: Path, bad: list[BadTrack] | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    for depth in ("data.json", "*/data.json", "*/*/data.json"):
        for path in sorted(root.glob(depth)):
            try:
                yield path, read_json(path)
            except DatasetError as error:
                if bad is None:
                    raise
                bad.append(BadTrack(path.parent.name, str(error)))


def _name(facts: dict[str, Any], path: Path) -> str:
    words = [str(facts[key]) for key in ("artist", "song") if facts.get(key)]
    return " - ".join(words).replace("/", "_") or path.parent.name


def _track(
    folder: Path,
    facts: dict[str, Any],
    name: str,
    every_stem: bool,
    sample_rate: int | None,
    notes: list[str],
) -> Track:
    wanted = STEM_NAMES if every_stem else SIX
    parts: dict[str, list[Part]] = {stem: [] for stem in wanted}
    bleeding = []
    for stem in facts.get("stems") or []:
        given = str(stem.get("stemName"))
        own = given.replace(" ", "_")
        for track in stem.get("tracks") or []:
            path = folder / given / f"{track.get('id')}.{track.get('extension', 'wav')}"
            path = path if path.is_file() or given == own else folder / own / path.name
            if not path.is_file():
                raise DatasetError(f"track {name!r}: {path} is not there: get the song's folder again.")
            parts[own if own in wanted else "other"].append(Part(path))
            if track.get("has_bleed"):
                bleeding.append(own)
    if bleeding:
        notes.append(f"{name}: other instruments bleed into {', '.join(dict.fromkeys(bleeding))}")
    return track_of_parts(
        name,
        parts,
        sample_rate=sample_rate,
        known=(*STEMS, *(stem for stem in wanted if stem not in STEMS)),
        complete=True,
        facts={key: facts[key] for key in ("artist", "song", "genre") if facts.get(key)},
    )
