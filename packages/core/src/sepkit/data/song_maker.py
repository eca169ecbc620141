"""Whole songs as four stems, made by our own code alone: composed, played, sung and mixed from one seed."""

from __future__ import annotations

import numpy as np

from . import mixing
from .arranging import Part, Song, compose
from .dice import Dice, Random
from .drum_machine import DrumMachine
from .instruments import play, random_patch
from .vowels import random_vowel_singer, sing_vowels

SAMPLE_RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
VERSION = 1  # part of every song's identity: raise it whenever the sound of a seed changes
SEED_RANGES = {
    "train": range(0, 1_000_000),
    "valid": range(1_000_000, 2_000_000),
    "test": range(2_000_000, 3_000_000),
    "demo": range(3_000_000, 3_001_000),
}
LEVELS_DB: dict[str, tuple[float, float]] = {"vocals": (-8, -5), "drums": (-7, -4), "bass": (-9, -6), "other": (-8, -4)}
STEP = 2.0**-15  # samples lie on this grid, as in 16-bit files, so that stems add up without rounding


def made_stems(seed: int, seconds: float) -> tuple[dict[str, np.ndarray], str]:
    """The four stems of song `seed`, each (2, t) float32 on the 16-bit grid, their sum within ±1; and its style."""
    rng, length = Dice(seed, 20_260_101), round(seconds * SAMPLE_RATE)
    song = _full_song(rng, seconds)
    singer = random_vowel_singer(rng)
    room = mixing.impulse_response(rng, SAMPLE_RATE, float(rng.uniform(0.5, 2.0)))
    stems: dict[str, np.ndarray] = {stem: np.zeros((2, length), dtype=np.float32) for stem in STEMS}
    for part in song.parts:
        stems[part.stem] += _player(rng, song, part, length)
    voice = sing_vowels(rng, singer, song.phrases, length, SAMPLE_RATE)
    stems["vocals"] = mixing.equalised(rng, np.stack([voice, voice]), SAMPLE_RATE, "vocals")
    for stem, send in (("vocals", 0.25), ("drums", 0.08), ("other", 0.2)):
        stems[stem] = stems[stem] + np.float32(send * rng.uniform(0.3, 1)) * mixing.convolved(stems[stem], room)
    if song.electronic:
        gain = mixing.pumping(song.kick_seconds, length, SAMPLE_RATE, float(rng.uniform(0, 0.7)), 0.15)
        stems["bass"], stems["other"] = stems["bass"] * gain, stems["other"] * gain
    return levelled(rng, stems, LEVELS_DB), song.style


def _full_song(rng: Random, seconds: float) -> Song:
    """A song in which all four stems play: composed again until they do."""
    while True:
        song = compose(rng, seconds, fullness=3.0, chord_parts=3)
        sung = sum(n.seconds for phrase in song.phrases for n in phrase if n.start_seconds < seconds)
        if {part.stem for part in song.parts} >= set(STEMS[1:]) and sung > 0.3 * seconds:
            return song


def _player(rng: Random, song: Song, part: Part, length: int) -> np.ndarray:
    if part.stem == "drums":
        x = DrumMachine(rng, SAMPLE_RATE).play(part.notes, length)
    else:
        x = play(random_patch(rng, part.role), part.notes, length, SAMPLE_RATE, rng)
    level = mixing.rms_db(x, SAMPLE_RATE)
    if not np.isfinite(level):
        return x
    x = x * np.float32(10 ** ((-20 - level + rng.uniform(-4, 2)) / 20))
    if part.stem == "other":
        x = mixing.placed(x, float(rng.uniform(-0.6, 0.6)), 1.0)
        if part.role in ("lead", "pluck", "arp"):
            x = x + np.float32(0.3) * mixing.echoes(x, 45 / song.beats_per_minute, 0.4, SAMPLE_RATE)
    return mixing.equalised(rng, x, SAMPLE_RATE, part.stem)


def levelled(
    rng: Random, stems: dict[str, np.ndarray], ranges_db: dict[str, tuple[float, float]]
) -> dict[str, np.ndarray]:
    """The stems at levels drawn from their ranges, under one limiter that is set by their sum, on the 16-bit grid."""
    placed = {}
    for stem, x in stems.items():
        gain_db = rng.uniform(*ranges_db[stem]) - mixing.rms_db(x, SAMPLE_RATE)
        placed[stem] = x * np.float32(10 ** (gain_db / 20)) if np.isfinite(gain_db) else x
    mixture = sum(placed.values(), np.zeros_like(next(iter(placed.values()))))
    gain = np.float32(10 ** ((-16 - mixing.rms_db(mixture, SAMPLE_RATE)) / 20))
    curve = mixing.limiter_gain(mixture * gain, SAMPLE_RATE, 0.9) * gain
    placed = {stem: x * curve for stem, x in placed.items()}
    top = max(np.abs(x).max() for x in (*placed.values(), sum(placed.values())))
    scale = np.float32(min(1.0, 0.97 / max(top, 1e-9)) / STEP)
    return {stem: np.round(x * scale).astype(np.float32) * np.float32(STEP) for stem, x in placed.items()}
