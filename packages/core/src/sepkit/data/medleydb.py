"""MedleyDB: songs with a sound file for each instrument and a YAML file that says which; none that MUSDB18 knows.

root/Audio/TITLE/{TITLE_MIX.wav, TITLE_STEMS/TITLE_STEM_01.wav}, TITLE_METADATA.yaml beside them or in a folder
`Metadata` of the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .medleydb_lists import BY_MUSDB_ARTISTS, IN_MUSDB
from .metadata_files import read_yaml
from .own_split import check_split, own_split
from .part_files import BadTrack, Part, built_tracks, track_of_parts
from .track import Dataset, Track

# Vocals, drums and bass as the conversion of MedleyDB for MUSDB18 has them (sigsep-mus-mdbconvert).
INSTRUMENTS = {
    "vocals": (
        "male singer|female singer|male speaker|female speaker|male rapper|female rapper|beatboxing|vocalists|choir"
    ),
    "drums": (
        "timpani|toms|snare drum|kick drum|bass drum|bongo|conga|tambourine|darbuka|doumbek|tabla|auxiliary percussion|"
        "drum set|sleigh bells|cowbell|cabasa|high hat|gong|guiro|gu|cymbal|chimes|castanet|claps|rattle|shaker|"
        "maracas|snaps|drum machine"
    ),
    "bass": "double bass|electric bass",
    "guitar": ("acoustic guitar|clean electric guitar|distorted electric guitar|lap steel guitar|slide guitar"),
    "piano": "piano|tack piano|electric piano",
}
STEM_OF = {instrument: stem for stem, names in INSTRUMENTS.items() for instrument in names.split("|")}
ORDER = ("vocals", "drums", "bass", "guitar", "piano", "other")
METADATA = "_METADATA.yaml"
METADATA_FOLDERS = ("Metadata", "METADATA", "medleydb/data/Metadata")
MIX = "_MIX.wav"


def medleydb_dataset(
    root: str | Path,
    split: str | None = None,
    *,
    with_musdb: bool = False,
    sample_rate: int | None = None,
    bad: list[BadTrack] | None = None,
) -> Dataset:
    """MedleyDB's songs as vocals, drums, bass, guitar, piano and other, without those that MUSDB18 has or knows.

    Left out are the songs of `IN_MUSDB` and, for a voice and a studio are heard again in the next song,
    `BY_MUSDB_ARTISTS`; `with_musdb` keeps both. The mixture is the song's own mix, which is not quite the sum of its
    stems. MedleyDB has no splits: train, valid and test are sepkit's own, by artist (`own_split`).
    Raises DatasetError where no song is left, or, unless `bad` is given, one cannot be read.
    """
    root = Path(root).expanduser()
    check_split(split, "MedleyDB")
    notes: list[str] = []
    builds = []
    songs = dict(_songs(root))
    left_out = [] if with_musdb else [title for title in songs if title in {*IN_MUSDB, *BY_MUSDB_ARTISTS}]
    if left_out:
        notes.append(f"left aside, in MUSDB18 or by its artists: {', '.join(left_out)}")
    for title, folder in songs.items():
        if title not in left_out and split in (None, own_split(artist_of(title))):
            builds.append((title, partial(_track, root, folder, title, sample_rate, notes)))
    tracks = built_tracks(builds, bad)
    if not tracks and not bad:
        raise DatasetError(
            f"{root} has no song of MedleyDB's split {split or 'any'}"
            + (f" but {len(left_out)} that MUSDB18 has or whose artists it has" if left_out else "")
            + ": wanted Audio/TITLE/TITLE_MIX.wav with TITLE_STEMS and TITLE_METADATA.yaml."
        )
    return Dataset(f"medleydb:{root}", tracks, split, notes)


def artist_of(title: str) -> str:
    """`LizNelson_Rainfall` is by LizNelson."""
    return title.partition("_")[0]


def _songs(root: Path) -> Iterator[tuple[str, Path]]:
    for pattern in (f"*{MIX}", f"*/*{MIX}", f"*/*/*{MIX}"):
        for path in sorted(root.glob(pattern)):
            yield path.name.removesuffix(MIX), path.parent


def _track(root: Path, folder: Path, title: str, sample_rate: int | None, notes: list[str]) -> Track:
    metadata = read_yaml(_metadata_file(root, folder, title))
    stem_folder = folder / str(metadata.get("stem_dir") or f"{title}_STEMS")
    parts: dict[str, list[Part]] = {stem: [] for stem in ORDER}
    missing = []
    for number, facts in sorted((metadata.get("stems") or {}).items()):
        path = stem_folder / str(facts.get("filename") or f"{title}_STEM_{number[1:]}.wav")
        if path.is_file():
            parts[_stem_of(facts)].append(Part(path))
        else:
            missing.append(path.name)
    if missing:
        raise DatasetError(f"track {title!r}: {', '.join(missing)} is not in {stem_folder}: get the song again.")
    if str(metadata.get("has_bleed", "no")).lower() in ("yes", "true"):
        notes.append(f"{title}: instruments bleed into each other's stems")
    return track_of_parts(
        title,
        parts,
        mixture=Part(folder / f"{title}{MIX}"),
        sample_rate=sample_rate,
        facts={
            **{key: metadata[key] for key in ("artist", "title", "genre", "has_bleed") if key in metadata},
            "mixed_anew": True,  # by the makers of the song, each stem with a gain of its own
        },
    )


def _stem_of(facts: Mapping[str, Any]) -> str:
    """By the instrument; a synthesizer, say, that plays the bass (`component: bass`) is bass."""
    instrument = facts.get("instrument")
    first = instrument[0] if isinstance(instrument, list) and instrument else instrument
    found = STEM_OF.get(str(first).strip().lower())
    return found or ("bass" if facts.get("component") == "bass" else "other")


def _metadata_file(root: Path, folder: Path, title: str) -> Path:
    places = [folder, *(base / name for base in (root, root.parent) for name in METADATA_FOLDERS)]
    found = next((place / f"{title}{METADATA}" for place in places if (place / f"{title}{METADATA}").is_file()), None)
    if found is None:
        raise DatasetError(
            f"track {title!r} has no {title}{METADATA}, neither in {folder} nor in {root / METADATA_FOLDERS[0]}: "
            "it comes with the medleydb repository (medleydb/data/Metadata)."
        )
    return found
