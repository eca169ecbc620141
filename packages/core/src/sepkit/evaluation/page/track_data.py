"""What the page's scripts are told of a track: sources, stems, scores, curves, and where its sound lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import cycle
from math import log10
from typing import Any

from ..charts import COLOURS, GREYS
from ..metric_facts import unit
from ..reference_points import REFERENCE_POINTS
from .curves import track_curves
from .listening import TrackSound
from .media import Media
from .runs import Section
from .spectrogram import RANGE_DB, frequency_range

DASHES = ("7 3", "2 3", "10 3 2 3", "4 2", "1 2")


def track_data(
    sound: TrackSound, section: Section, media: Media | None, first_clip: int, colours: Mapping[str, str]
) -> dict[str, Any]:
    """Plain values for one track; clips and pictures are counted on from `first_clip`, as the tags of the page are."""
    notes = list(sound.notes)
    if media is None and sound.files:
        notes.append("No sound and no pictures of this track are on the page; why, is said on the overview.")
    curves = track_curves(sound, section, notes)
    data: dict[str, Any] = {
        "name": sound.name,
        "dataset": section.title,
        "seconds": round(sound.seconds, 4),
        "sampleRate": sound.sample_rate,
        "sources": _sources(sound, colours),
        "groups": [asdict(group) for group in sound.groups],
        "scores": _scores(sound, section),
        "curves": curves,
        "notes": notes,
        "files": [],
        "maps": [],
        "audible": False,
    }
    if media is not None:
        low, high = frequency_range(sound.sample_rate)
        data |= {
            "start": media.excerpt.start_samples / sound.sample_rate,
            "length": media.excerpt.length_samples / sound.sample_rate,
            "gainDb": None if media.gain == 1.0 else round(20 * log10(media.gain), 2),
            "files": [first_clip + place for place in media.places],
            "maps": map_places(media, first_clip),
            "audible": bool(media.clips),
            "picture": {"lowHz": low, "highHz": high, "rangeDb": RANGE_DB},
        }
    return data


def map_places(media: Media, first_clip: int) -> list[int | None]:
    """The tags of the maps' pictures, which follow those of the files; None where a map does not fit."""
    places, count = [], first_clip + len(media.pictures)
    for picture in media.maps:
        places.append(None if picture is None else count)
        count += picture is not None
    return places


def source_colours(section: Section, known: dict[str, str]) -> dict[str, str]:
    """One colour for each method wherever it appears on the page; grey for reference points. Extends `known`."""
    for one in section.rows:
        name = one.row.method
        if name not in known:
            greys = sum(colour in GREYS for colour in known.values())
            muted = one.method in REFERENCE_POINTS
            palette, count = (GREYS, greys) if muted else (COLOURS, len(known) - greys)
            known[name] = palette[count % len(palette)]
    return known


def _sources(sound: TrackSound, colours: Mapping[str, str]) -> list[dict[str, Any]]:
    dashes = iter(cycle(DASHES))
    return [
        {
            "name": source.name,
            "kind": source.kind,
            "mixture": source.mixture,
            "clip": source.clip,
            "parts": source.parts,
            "colour": colours.get(source.method),
            "dash": next(dashes) if source.muted else None,  # greys alone are hard to tell apart
        }
        for source in sound.sources
    ]


def _scores(sound: TrackSound, section: Section) -> list[dict[str, Any]]:
    """For every recipe and metric: group -> source -> the number, or the reason why there is none."""
    places = {(s.folder[0].name, s.folder[1]): i for i, s in enumerate(sound.sources) if s.folder is not None}
    tables: dict[tuple[str, str], dict[int, dict[int, Any]]] = {}
    for one in section.rows:
        row = one.row
        place = places.get(one.folder)
        if row.track != sound.name or row.failed or place is None:
            continue
        group = sound.sources[place].stems.get(row.stem)
        if group is not None:
            value = row.reason if row.value is None else round(row.value, 4)
            tables.setdefault((row.recipe, row.metric), {}).setdefault(group, {})[place] = value
    return [
        {"recipe": recipe, "metric": metric, "unit": unit(metric), "values": values}
        for (recipe, metric), values in tables.items()
    ]


def track_keys(tracks: Sequence[tuple[str, str]]) -> list[str]:
    """A name for the address of each (section title, track): the track's own, with its dataset where two share it."""
    names = [name for _, name in tracks]
    return [name if names.count(name) == 1 else f"{name} · {title}" for title, name in tracks]
