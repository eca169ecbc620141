"""Music as all its stems at once: what `sepkit generate` and `sepkit arrange` wrote, or one file that was separated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...errors import DatasetError
from .listening import Group, Source, TrackSound
from .media import Media
from .spectrogram import RANGE_DB, frequency_range
from .track_data import map_places

SECTION = "Generated music"
MIXTURE = "mixture"
WORDS = {"total": "made of nothing", "arrangement": "arranged", "inpainting": "a stretch of time made anew"}
SHOWN = ("method", "generation", "given", "generated", "start_seconds", "end_seconds", "quality", "seed")


@dataclass(frozen=True)
class Take:
    """One piece of music as stems: where they lie, and how they were made.

    `separated`: not generated, but parts of the given `mixture`, of which `uncertainty` may have maps.
    """

    name: str
    folder: Path
    files: Mapping[str, str]  # stem, and `mixture` for their sum, -> file name
    given: Sequence[str]
    facts: Mapping[str, Any]
    separated: bool = False
    uncertainty: Path | None = None


def is_take(folder: str | Path) -> bool:
    """Whether a folder holds generated music and not a run."""
    return not (Path(folder) / "scores.jsonl").exists() and "generation" in _record(Path(folder))


def load_take(folder: str | Path) -> Take:
    """Read a folder's provenance.json; raises DatasetError where it is no record of generated music."""
    folder = Path(folder)
    record = _record(folder)
    try:
        files = {str(stem): str(one["file"]) for stem, one in record["files"].items()}
        given = [str(stem) for stem in record["given"]]
        facts = {key: record[key] for key in SHOWN if record.get(key) not in (None, [], "")}
    except (LookupError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{folder} holds no generated music: its provenance.json lacks {error}. Give the --out folder of sepkit "
            "generate or sepkit arrange."
        ) from error
    return Take(folder.resolve().name or str(folder), folder, files, given, facts)


def take_sound(take: Take) -> TrackSound:
    """The stems; their sum is what the player makes of them. What was separated has its mixture too, as a file."""
    sound = TrackSound(take.name)
    sound.sources.append(Source("stems", "reference"))  # in whose liveliest seconds the excerpt lies
    for stem, name in take.files.items():
        clip = None if stem == MIXTURE else sound.add(take.folder / name, stem)
        if clip is not None:
            sound.groups.append(Group(stem, stem, stem, {0: clip}))
            if take.uncertainty is not None:
                sound.groups[-1].maps[0] = len(sound.maps)
                sound.maps.append((take.uncertainty, stem))
    if take.separated:
        clip = sound.add(take.folder / take.files[MIXTURE], "the mixture")
        sound.sources.append(Source(MIXTURE, "mixture", clip=clip))
    return sound


def take_data(sound: TrackSound, take: Take, media: Media | None, first_clip: int) -> dict[str, Any]:
    """What the page's scripts are told of a take; clips and pictures are counted on from `first_clip`."""
    notes = list(sound.notes)
    if media is None and sound.files:
        notes.append("No sound and no pictures of this take are on the page; why, is said on the overview.")
    rows = _rows(sound, take, map_places(media, first_clip) if media is not None else [])
    data: dict[str, Any] = {
        "kind": "take",
        "name": sound.name,
        "dataset": SECTION,
        "seconds": round(sound.seconds, 4),
        "sampleRate": sound.sample_rate,
        "rows": rows,
        "groups": [],  # of stems that have sources, as tracks have them
        "facts": [_words(key, value) for key, value in take.facts.items()],
        "notes": notes,
        "files": [],
        "audible": False,
    }
    if media is not None:
        low, high = frequency_range(sound.sample_rate)
        data |= {
            "start": media.excerpt.start_samples / sound.sample_rate,
            "length": media.excerpt.length_samples / sound.sample_rate,
            "gainDb": None if media.gain == 1.0 else round(20 * log10(media.gain), 2),
            "files": [first_clip + place for place in media.places],
            "audible": bool(media.clips),
            "picture": {"lowHz": low, "highHz": high, "rangeDb": RANGE_DB},
        }
    return data


def _rows(sound: TrackSound, take: Take, maps: Sequence[int | None]) -> list[dict[str, Any]]:
    """What is shown of each stem; `whole` is what they are all parts of, and `map` the tag of the draws' spread."""
    made = "separated" if take.separated else "generated"
    rows: list[dict[str, Any]] = [
        {"name": source.name, "role": "as given", "given": True, "whole": True, "clip": source.clip}
        for source in sound.sources
        if source.clip is not None
    ]
    for group in sound.groups:
        given = group.stem in take.given
        row = {"name": group.label, "role": "given" if given else made, "given": given}
        spread = maps[group.maps[0]] if group.maps and maps else None
        rows.append({**row, "clip": next(iter(group.clips.values())), "map": spread})
    return rows


def takes_html(takes: Sequence[tuple[Take, str]]) -> str:
    """The list of takes, each with its address, for the overview; empty without any."""
    if not takes:
        return ""
    lines = [
        f'<tr><th scope="row"><a href="#track/{quote(key, safe="")}">{escape(take.name)}</a></th>'
        f"<td>{escape(', '.join(take.given)) or 'nothing'}</td>"
        f"<td>{escape(', '.join(take.facts.get('generated', [])))}</td>"
        f"<td>{escape(str(take.facts.get('method', '')))}</td><td>{escape(str(take.facts.get('seed', '')))}</td></tr>"
        for take, key in takes
    ]
    head = "".join(f"<th>{name}</th>" for name in ("take", "given", "generated", "method", "seed"))
    return (
        f'<section class="takes"><h2>{SECTION}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _words(key: str, value: Any) -> str:
    if key == "generation":
        return WORDS.get(str(value), str(value))
    text = (
        ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else value
    )
    return f"{key.replace('_', ' ')}: {text}"


def _record(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
