"""A track's sound and pictures as bytes for the page, one file in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from ...uncertainty import SpreadMap, read_uncertainty
from .budget import SHORTEST_SECONDS, Share
from .listening import TrackSound
from .sound import AudioKind, Excerpt, common_gain, encoded, liveliest_excerpt, read_excerpt
from .spectrogram import Decibels, log_spectrogram, png, spread_picture

PICTURE_COLUMNS, PICTURE_ROWS = 600, 96
PICTURE_BYTES = 40_000  # of base64, for a dense one
PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class Media:
    """What the page holds of a track's files; no `clips` for a track without players.

    Files with the same sound (a mixture, and the method that returns it) share a clip and a picture: `places` has the
    index of each file's.
    """

    excerpt: Excerpt
    gain: float
    places: Sequence[int]
    clips: Sequence[bytes]
    pictures: Sequence[bytes]
    maps: Sequence[bytes | None] = ()  # pictures of the track's maps of uncertainty


def excerpt_of(sound: TrackSound, seconds: float) -> Excerpt:
    """At most so many seconds, where the most stems sound."""
    return liveliest_excerpt(sound.references, seconds, sound.sample_rate, sound.length_samples)


def base64_per_second(sound: TrackSound, excerpt: Excerpt, kind: Literal["flac", "ogg"]) -> float:
    """What a second of all of a track's files takes, by encoding a second from the middle of the excerpt."""
    length = min(excerpt.length_samples, round(PROBE_SECONDS * sound.sample_rate))
    probe = Excerpt(excerpt.start_samples + (excerpt.length_samples - length) // 2, length)
    sizes: dict[bytes, int] = {}
    for file in sound.files:
        samples = read_excerpt(file.path, probe)
        sizes[sha256(samples.tobytes()).digest()] = len(encoded(samples, file.sample_rate, 1.0, kind))
    count = sum(sizes.values())
    return count * 4 / 3 * sound.sample_rate / max(1, length)


def track_media(sound: TrackSound, excerpt: Excerpt, kind: AudioKind, share: Share) -> Media:
    """Encode a track's files; where they take more than their share, again with a shorter excerpt.

    Where even half of the shortest excerpt does not fit there are pictures and no clips.
    """
    if kind == "none":
        return _media(sound, excerpt, "none")
    excerpt = _shortened(sound, excerpt, share.seconds)
    while True:
        media = _media(sound, excerpt, kind)
        size = sum(base64_bytes(len(clip)) for clip in media.clips)
        if size <= share.bytes:
            return media
        seconds = excerpt.length_samples / sound.sample_rate
        shorter = 0.97 * seconds * share.bytes / size
        if shorter < min(SHORTEST_SECONDS, seconds) / 2:
            return _media(sound, excerpt, "none")
        excerpt = _shortened(sound, excerpt, shorter)


def base64_bytes(count: int) -> int:
    """The space that so many bytes take in the page."""
    return 4 * -(-count // 3)


def _shortened(sound: TrackSound, excerpt: Excerpt, seconds: float) -> Excerpt:
    """The liveliest `seconds`, looked for in the whole track again."""
    if seconds * sound.sample_rate >= excerpt.length_samples:
        return excerpt
    return excerpt_of(sound, seconds)


def _media(sound: TrackSound, excerpt: Excerpt, kind: AudioKind) -> Media:
    places, peaks, pictures = _seen(sound, excerpt)
    gain = common_gain(peaks)
    mixtures = [places[source.clip] for source in sound.sources if source.clip is not None]
    top = max(float(pictures[place].max()) for place in mixtures or range(len(pictures)))
    clips = []
    if kind != "none":
        firsts = [sound.files[places.index(place)] for place in range(len(pictures))]
        clips = [encoded(read_excerpt(f.path, excerpt), f.sample_rate, gain, kind) for f in firsts]
    return Media(excerpt, gain, places, clips, [png(picture, top) for picture in pictures], _maps(sound, excerpt, top))


def _maps(sound: TrackSound, excerpt: Excerpt, top_db: float) -> list[bytes | None]:
    """Pictures of the track's maps, in its colours; None for one that is not of this stem or rate."""
    found: list[bytes | None] = []
    known: dict[Path, dict[str, SpreadMap]] = {}
    for path, stem in sound.maps:
        if path not in known:
            known[path] = read_uncertainty(path)
        one = known[path].get(stem)
        fits = one is not None and one.sample_rate == sound.sample_rate
        found.append(png(spread_picture(one, excerpt, PICTURE_COLUMNS, PICTURE_ROWS), top_db) if fits and one else None)
    return found


def _seen(sound: TrackSound, excerpt: Excerpt) -> tuple[list[int], list[float], list[Decibels]]:
    """Which files have the same sound, and peak and spectrogram of each that is different."""
    known: dict[bytes, int] = {}
    places: list[int] = []
    peaks: list[float] = []
    pictures: list[Decibels] = []
    for file in sound.files:
        samples = read_excerpt(file.path, excerpt)
        place = known.setdefault(sha256(samples.tobytes()).digest(), len(known))
        places.append(place)
        if place == len(pictures):
            peaks.append(float(np.abs(samples).max(initial=0.0)))
            pictures.append(log_spectrogram(samples, file.sample_rate, PICTURE_COLUMNS, PICTURE_ROWS))
    return places, peaks, pictures
