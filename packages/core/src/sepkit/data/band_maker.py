"""Whole songs as bass, drums, guitar and piano, made by our own code alone: composed, played and mixed from a seed."""

from __future__ import annotations

import numpy as np

from . import mixing
from .arranging import Part, Song
from .band_arranging import BAND_STEMS, compose_band, sounding_share
from .band_guitar import play_guitar, random_guitar
from .band_piano import play_piano, random_piano
from .dice import Dice, Random
from .drum_machine import DrumMachine
from .instruments import play, random_patch
from .song_maker import SAMPLE_RATE, SEED_RANGES, levelled

BAND_VERSION = 1  # part of every song's identity: raise it whenever the sound of a seed changes
BAND_LEVELS_DB: dict[str, tuple[float, float]] = {
    "bass": (-9, -6),
    "drums": (-8, -4),
    "guitar": (-8, -4),
    "piano": (-8, -4),
}


def made_band_stems(seed: int, seconds: float) -> tuple[dict[str, np.ndarray], str]:
    """The stems of song `seed`, each (2, t) float32 on the 16-bit grid, their sum within ±1; and its style.

    Test seeds are in styles that no other seed is in.
    """
    rng, length = Dice(seed, 20_261_121), round(seconds * SAMPLE_RATE)
    song = _full_band(rng, seconds, seed in SEED_RANGES["test"])
    room = mixing.impulse_response(rng, SAMPLE_RATE, float(rng.uniform(0.4, 1.6)))
    stems: dict[str, np.ndarray] = {stem: np.zeros((2, length), dtype=np.float32) for stem in BAND_STEMS}
    for part in song.parts:
        stems[part.stem] += _placed(rng, song, part, own_sound(rng, part, length))
    for stem, send in (("drums", 0.08), ("guitar", 0.18), ("piano", 0.18)):
        stems[stem] = stems[stem] + np.float32(send * rng.uniform(0.2, 1)) * mixing.convolved(stems[stem], room)
    return levelled(rng, stems, BAND_LEVELS_DB), song.style


def own_sound(rng: Random, part: Part, length_samples: int) -> np.ndarray:
    """A part played by our own instruments, (2, t) float32: a drum machine, strings, a piano, or a synthesised bass."""
    if part.stem == "drums":
        return DrumMachine(rng, SAMPLE_RATE).play(part.notes, length_samples)
    if part.stem == "guitar":
        return play_guitar(random_guitar(rng, part.role), part.notes, length_samples, SAMPLE_RATE, rng)
    if part.stem == "piano":
        return play_piano(random_piano(rng), part.notes, length_samples, SAMPLE_RATE, rng)
    if rng.random() < 0.55:
        return play_guitar(random_guitar(rng, "bass"), part.notes, length_samples, SAMPLE_RATE, rng)
    return play(random_patch(rng, "bass"), part.notes, length_samples, SAMPLE_RATE, rng)


def _full_band(rng: Random, seconds: float, held_out: bool) -> Song:
    """A song in which all four play, and for most of the time: composed again until they do."""
    while True:
        song = compose_band(rng, seconds, held_out=held_out, fullness=3.0)
        played = {s: tuple(n for p in song.parts if p.stem == s for n in p.notes) for s in BAND_STEMS}
        if all(sounding_share(notes, seconds) > 0.5 for notes in played.values()):
            return song


def _placed(rng: Random, song: Song, part: Part, x: np.ndarray) -> np.ndarray:
    """One player's channel: level, place, perhaps an echo, equaliser."""
    level = mixing.rms_db(x, SAMPLE_RATE)
    if not np.isfinite(level):
        return x
    x = x * np.float32(10 ** ((-20 - level + rng.uniform(-3, 1)) / 20))
    if part.stem in ("guitar", "piano"):
        x = mixing.placed(x, float(rng.uniform(-0.6, 0.6)), 1.0)
        if part.role in ("lead", "pick") and rng.random() < 0.5:
            x = x + np.float32(0.3) * mixing.echoes(x, 45 / song.beats_per_minute, 0.4, SAMPLE_RATE)
    return mixing.equalised(rng, x, SAMPLE_RATE, part.stem)
