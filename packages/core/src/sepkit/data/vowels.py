"""A singing voice made from nothing: harmonics shaped by formants, with vibrato, breath and consonant-like onsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from .arranging import Note
from .dice import Random

FRAME_SAMPLES = 220  # about 5 ms: formants and pitch move slower than this
# Formant frequencies in Hz of a low voice, by vowel; the bandwidths are common to all.
FORMANTS = {
    "a": (730, 1090, 2440, 3300, 4500),
    "e": (530, 1840, 2480, 3400, 4500),
    "i": (290, 2290, 3010, 3500, 4600),
    "o": (500, 880, 2420, 3200, 4400),
    "u": (320, 870, 2240, 3200, 4400),
    "A": (660, 1720, 2410, 3400, 4500),
    "y": (300, 1700, 2200, 3200, 4400),
}
BANDWIDTHS = (80, 100, 140, 220, 320)
ONSETS = ("none", "none", "s", "sh", "f", "t", "k", "p", "m", "l", "h")
NOISE_BANDS = {
    "s": (5000, 11000),
    "sh": (2200, 7000),
    "f": (1500, 9000),
    "t": (3000, 9000),
    "k": (1200, 4000),
    "p": (400, 2500),
    "h": (600, 5000),
}


@dataclass(frozen=True)
class VowelSinger:
    """One voice: formant scale, register in MIDI pitches, vibrato, and how breathy and bright it is."""

    formant: float
    low: int
    high: int
    vibrato_semitones: float
    vibrato_hz: float
    breath: float
    brightness: float


def random_vowel_singer(rng: Random) -> VowelSinger:
    """A voice between a deep and a high one."""
    height = float(rng.random())
    return VowelSinger(
        formant=0.95 + 0.25 * height + float(rng.uniform(-0.04, 0.04)),
        low=round(43 + 14 * height),
        high=round(62 + 14 * height),
        vibrato_semitones=float(rng.uniform(0.15, 0.5)),
        vibrato_hz=float(rng.uniform(4.8, 6.2)),
        breath=float(rng.uniform(0.01, 0.06)),
        brightness=float(rng.uniform(0.7, 1.15)),
    )


def sing_vowels(
    rng: Random, singer: VowelSinger, phrases: Sequence[Sequence[Note]], length_samples: int, sample_rate: int
) -> np.ndarray:
    """The phrases as (t,) float32, moved by octaves into the singer's register."""
    out = np.zeros(length_samples, dtype=np.float32)
    for phrase in phrases:
        start = round(phrase[0].start_seconds * sample_rate)
        y = _phrase(rng, singer, _in_register(phrase, singer), sample_rate)[: max(0, length_samples - start)]
        out[start : start + len(y)] += y
    return out


def _in_register(phrase: Sequence[Note], singer: VowelSinger) -> list[Note]:
    middle = sorted(n.pitch for n in phrase)[len(phrase) // 2]
    shift = 12 * round(((singer.low + singer.high) / 2 - middle) / 12)
    return [Note(n.start_seconds - phrase[0].start_seconds, n.seconds, n.pitch + shift, n.velocity) for n in phrase]


def _phrase(rng: Random, singer: VowelSinger, notes: list[Note], sample_rate: int) -> np.ndarray:
    frame_seconds = FRAME_SAMPLES / sample_rate
    frames = int((notes[-1].start_seconds + notes[-1].seconds + 0.25) / frame_seconds) + 2
    t = np.arange(frames) * frame_seconds
    loud, pitch = np.zeros(frames), np.full(frames, notes[0].pitch, dtype=np.float64)
    formants = np.zeros((frames, 5))
    consonants: list[tuple[float, str, float]] = []
    names = list(FORMANTS)
    for i, note in enumerate(notes):
        until = notes[i + 1].start_seconds if i + 1 < len(notes) else frames * frame_seconds
        here = (t >= note.start_seconds) & (t < until)
        since = t - note.start_seconds
        onset = ONSETS[int(rng.integers(len(ONSETS)))]
        pitch[here] = note.pitch
        formants[here] = FORMANTS[names[int(rng.integers(len(names)))]]
        gap = 0.05 if onset in ("t", "k", "p", "s", "sh", "f") else 0.0
        attack = np.clip((since - gap) / (0.12 if onset in ("m", "l") else 0.03), 0, 1)
        end = np.clip((note.start_seconds + note.seconds - t) / 0.06, 0, 1)
        loud[here] = ((0.5 + 0.5 * note.velocity) * attack * end * (0.75 + 0.25 * np.exp(-since / 0.4)))[here]
        consonants.append((note.start_seconds, onset, note.velocity))
    pitch, loud = _smoothed(pitch, 9), _smoothed(loud, 3)
    formants = np.stack([_smoothed(formants[:, k], 13) for k in range(5)], axis=1) * singer.formant
    drift = _smoothed(rng.standard_normal(frames), 41) * 0.5
    pitch = (
        pitch + drift + singer.vibrato_semitones * np.sin(2 * np.pi * singer.vibrato_hz * t) * np.clip(t / 0.6, 0, 1)
    )
    voice = _harmonics(singer, 440.0 * 2 ** ((pitch - 69) / 12), loud, formants, sample_rate)
    voice += _breath(rng, singer, loud, sample_rate)
    for at, onset, velocity in consonants:
        _add_consonant(rng, voice, round(at * sample_rate), onset, velocity, sample_rate)
    return voice.astype(np.float32)


def _smoothed(x: np.ndarray, width: int) -> np.ndarray:
    window = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(x, width // 2, mode="edge"), window / window.sum(), "valid")[: len(x)]


def _harmonics(
    singer: VowelSinger, hz: np.ndarray, loud: np.ndarray, formants: np.ndarray, sample_rate: int
) -> np.ndarray:
    """Sum of harmonics whose levels follow a cascade of resonators; phases by repeated rotation, one cosine in all."""
    top = min(12000.0, 0.45 * sample_rate)
    turns = np.cumsum(_between(hz)) / sample_rate
    rotation = np.exp(2j * np.pi * (turns % 1)).astype(np.complex64)
    turning, out = np.ones_like(rotation), np.zeros(len(turns), dtype=np.float32)
    half = np.square(BANDWIDTHS) / 4
    for k in range(1, int(top / hz.min()) + 1):
        turning *= rotation
        f = (k * hz)[:, None]
        near = ((f - formants) ** 2 + half) * ((f + formants) ** 2 + half)
        level = np.prod((formants**2 + half) / np.sqrt(near), axis=1)
        level *= loud * k ** (-0.7 / singer.brightness) * np.clip((top - f[:, 0]) / 500, 0, 1)
        # The cascade lacks the poles above the fifth formant; without them highs would fall too fast.
        level *= 1 + (f[:, 0] / 2200) ** 2
        out += _between(level.astype(np.float32)) * turning.imag
    return out * np.float32(0.12)


def _between(frames: np.ndarray) -> np.ndarray:
    """Values at frames, linearly interpolated to samples: (n,) -> ((n - 1) * FRAME_SAMPLES,)."""
    ramp = (np.arange(FRAME_SAMPLES) / FRAME_SAMPLES).astype(frames.dtype)
    return (frames[:-1, None] + np.diff(frames)[:, None] * ramp).reshape(-1)


def _breath(rng: Random, singer: VowelSinger, loud: np.ndarray, sample_rate: int) -> np.ndarray:
    level = _between(loud)
    band = butter(2, (1500, min(9000, 0.4 * sample_rate)), "bandpass", fs=sample_rate, output="sos")
    noise = sosfilt(band, rng.standard_normal(len(level)))
    return (0.25 * singer.breath * noise * level).astype(np.float32)


def _add_consonant(rng: Random, voice: np.ndarray, start: int, onset: str, velocity: float, sample_rate: int) -> None:
    """Noise before and into the vowel, in place on the phrase that is being made."""
    if onset not in NOISE_BANDS:
        return
    seconds = {"s": 0.11, "sh": 0.11, "f": 0.09, "h": 0.08}.get(onset, 0.04)
    length = min(round(seconds * sample_rate), len(voice) - start)
    if length < 32:
        return
    low, high = NOISE_BANDS[onset]
    noise = sosfilt(
        butter(2, (low, min(high, 0.45 * sample_rate)), "bandpass", fs=sample_rate, output="sos"),
        rng.standard_normal(length),
    )
    rise = 0.3 if seconds > 0.05 else 0.02
    shape = np.minimum(np.linspace(0, 1 / rise, length), 1) * np.minimum(np.linspace(3, 0, length), 1)
    voice[start : start + length] += (0.1 * (0.4 + velocity) * noise * shape).astype(np.float32)
