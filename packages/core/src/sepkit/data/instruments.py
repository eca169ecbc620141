"""Electronic instruments in numpy: wavetable, FM and plucked voices with filters and envelopes, played from notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import lfilter

from .arranging import Note
from .dice import Random

TABLE_SAMPLES = 2048
FILTER_STEPS = 6


@dataclass(frozen=True)
class Patch:
    """The settings of one synthesiser sound; times in seconds, cutoffs in Hz, detune and sweep in cents and octaves."""

    engine: str  # analog, fm, pluck or bells
    shape: str = "saw"
    voices: int = 1
    detune_cents: float = 0.0
    sub: float = 0.0
    noise: float = 0.0
    cutoff_hz: float = 4000.0
    resonance: float = 0.8
    sweep_octaves: float = 0.0
    sweep_seconds: float = 0.3
    attack_seconds: float = 0.005
    decay_seconds: float = 0.3
    sustain: float = 0.7
    release_seconds: float = 0.1
    ratio: float = 2.0
    index: float = 2.0
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.0
    glide_seconds: float = 0.0


def random_patch(rng: Random, role: str) -> Patch:
    """A sound that suits a role (bass, pad, comp, stab, arp, pluck, lead or riff)."""
    engine = str(rng.choice(["analog", "fm", "pluck", "bells"], p=_ENGINES.get(role, (0.7, 0.2, 0.05, 0.05))))
    long = role == "pad"
    voices = int(rng.choice([1, 2, 3, 5])) if role != "bass" else int(rng.choice([1, 1, 2, 3]))
    return Patch(
        engine=engine,
        shape=str(
            rng.choice(["saw", "square", "pulse", "triangle", "sine", "organ"], p=[0.4, 0.2, 0.15, 0.1, 0.05, 0.1])
        ),
        voices=voices,
        detune_cents=float(rng.uniform(4, 28 if role != "bass" else 12)),
        sub=float(rng.choice([0, 0.3, 0.7])) if role == "bass" else 0.0,
        noise=float(rng.choice([0, 0, 0.01, 0.03])),
        cutoff_hz=float(
            np.exp(rng.uniform(np.log(250 if role == "bass" else 700), np.log(6000 if role == "bass" else 12000)))
        ),
        resonance=float(rng.uniform(0.6, 5.0 if role in ("bass", "arp", "riff") else 2.0)),
        sweep_octaves=float(rng.choice([0, 1, 2, 3])) * (1 if rng.random() < 0.85 else -0.5),
        sweep_seconds=float(rng.uniform(0.05, 2.0 if long else 0.5)),
        attack_seconds=float(rng.uniform(0.1, 0.8) if long and rng.random() < 0.7 else rng.uniform(0.001, 0.02)),
        decay_seconds=float(rng.uniform(0.08, 0.8)),
        sustain=float(rng.uniform(0.6, 1.0) if role in ("pad", "lead", "bass") else rng.choice([0.0, 0.3, 0.8])),
        release_seconds=float(rng.uniform(0.2, 1.0) if long else rng.uniform(0.02, 0.25)),
        ratio=float(rng.choice([0.5, 1, 1, 2, 2, 3, 3.5, 5, 7])),
        index=float(rng.uniform(0.5, 5)),
        vibrato_cents=float(rng.choice([0, 12, 30])) if role == "lead" else 0.0,
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        glide_seconds=float(rng.choice([0, 0.03, 0.08])) if role in ("lead", "bass") else 0.0,
    )


_ENGINES = {
    "bass": (0.78, 0.16, 0.06, 0.0),
    "pad": (0.85, 0.1, 0.0, 0.05),
    "comp": (0.5, 0.3, 0.1, 0.1),
    "pluck": (0.45, 0.15, 0.25, 0.15),
    "arp": (0.6, 0.2, 0.1, 0.1),
}


def play(patch: Patch, notes: Iterable[Note], length_samples: int, sample_rate: int, rng: Random) -> np.ndarray:
    """The notes as (2, length) float32; equal notes share one rendering, with phases drawn from `rng`."""
    out = np.zeros((2, length_samples), dtype=np.float32)
    cache: dict[tuple[float, int, float], np.ndarray] = {}
    previous: float | None = None
    for note in notes:
        start = round(note.start_seconds * sample_rate)
        if start >= length_samples:
            continue
        glide_from = previous if patch.glide_seconds and previous is not None else note.pitch
        previous = note.pitch
        held = max(1, round(note.seconds * 50))  # fiftieths of a second: so that the cache is hit
        key = (round(note.pitch, 2), held, round(glide_from, 2))
        if key not in cache:
            cache[key] = _note(patch, note.pitch, held / 50, glide_from, sample_rate, rng)
        y = cache[key][:, : length_samples - start]
        out[:, start : start + y.shape[1]] += y * np.float32(note.velocity**1.3)
    return out


def _note(patch: Patch, pitch: float, seconds: float, glide_from: float, sample_rate: int, rng: Random) -> np.ndarray:
    length = round((seconds + patch.release_seconds) * sample_rate) + 64
    t = np.arange(length, dtype=np.float32) / np.float32(sample_rate)
    raw = _ENGINE_CODE[patch.engine](patch, pitch, glide_from, t, sample_rate, rng)
    if patch.noise:
        raw = raw + np.float32(patch.noise) * rng.standard_normal(raw.shape, dtype=np.float32)
    return _swept(patch, raw, pitch, sample_rate) * envelope(patch, seconds, t)


def envelope(patch: Patch, held_seconds: float, t: np.ndarray) -> np.ndarray:
    """Attack (linear), decay to the sustain level and release (both exponential), at times `t`."""
    attack = np.minimum(t / max(patch.attack_seconds, 1e-4), 1)
    after = np.maximum(t - patch.attack_seconds, 0)
    body = attack * (patch.sustain + (1 - patch.sustain) * np.exp(-after / patch.decay_seconds))
    release = np.exp(-np.maximum(t - held_seconds, 0) * (5 / patch.release_seconds))
    tail = np.clip((t[-1] - t) / 0.004, 0, 1)  # no click where the rendering stops
    return (body * release * tail).astype(np.float32)


def _frequency(patch: Patch, pitch: float, glide_from: float, t: np.ndarray) -> np.ndarray | float:
    """Hz at each time, or one number where nothing moves the pitch."""
    if not patch.vibrato_cents and glide_from == pitch:
        return 440.0 * 2.0 ** ((pitch - 69) / 12)
    moving = np.full(len(t), pitch, dtype=np.float64)
    if glide_from != pitch:
        moving += (glide_from - pitch) * np.exp(-t / max(patch.glide_seconds, 1e-3))
    moving += patch.vibrato_cents / 100 * np.sin(2 * np.pi * patch.vibrato_hz * t) * np.clip((t - 0.15) / 0.3, 0, 1)
    return 440.0 * 2.0 ** ((moving - 69) / 12)


def _turns(frequency: np.ndarray | float, t: np.ndarray, sample_rate: int) -> np.ndarray:
    """Phase in turns, float64 before wrapping so that long notes stay in tune."""
    if isinstance(frequency, float):
        return np.arange(len(t)) * (frequency / sample_rate)
    return np.cumsum(frequency) / sample_rate


def _analog(patch: Patch, pitch: float, glide_from: float, t: np.ndarray, sample_rate: int, rng: Random) -> np.ndarray:
    turns = _turns(_frequency(patch, pitch, glide_from, t), t, sample_rate)
    out = np.zeros((2, len(t)), dtype=np.float32)
    top = 440.0 * 2.0 ** ((max(pitch, glide_from) + 1 - 69) / 12)
    table = wavetable(patch.shape, int(np.log2(max(1.0, 0.45 * sample_rate / top))))
    for i in range(patch.voices):
        place = 0.0 if patch.voices == 1 else 2 * i / (patch.voices - 1) - 1
        factor = 2.0 ** (place * patch.detune_cents / 1200)
        wave = read_table(table, turns * factor + rng.random())
        angle = (place * 0.8 + 1) * np.pi / 4
        out[0] += np.float32(np.cos(angle)) * wave
        out[1] += np.float32(np.sin(angle)) * wave
    out *= np.float32(1 / np.sqrt(patch.voices))
    if patch.sub:
        out += np.float32(patch.sub) * np.sin(2 * np.pi * ((turns * 0.5) % 1)).astype(np.float32)
    return out


def _fm(patch: Patch, pitch: float, glide_from: float, t: np.ndarray, sample_rate: int, rng: Random) -> np.ndarray:
    turns = _turns(_frequency(patch, pitch, glide_from, t), t, sample_rate)
    depth = patch.index * (0.25 + 0.75 * np.exp(-t / patch.sweep_seconds)) * min(1.0, 2.0 ** ((60 - pitch) / 18))
    wide = []
    for side in (-1, 1):
        modulator = np.sin(2 * np.pi * ((turns * patch.ratio * (1 + side * patch.detune_cents * 2e-5)) % 1))
        wide.append(np.sin(2 * np.pi * (turns % 1) + depth * modulator))
    return np.stack(wide).astype(np.float32)


def _pluck(patch: Patch, pitch: float, glide_from: float, t: np.ndarray, sample_rate: int, rng: Random) -> np.ndarray:
    """Karplus-Strong: a burst of noise in a loop that loses its highs."""
    period = sample_rate / (440.0 * 2.0 ** ((pitch - 69) / 12)) - 0.5
    whole = max(2, int(period))
    burst = np.zeros(len(t))
    burst[:whole] = lfilter([1], [1, -0.6], rng.uniform(-1, 1, whole))[: len(t)]
    part, keep = period - whole, 0.5 ** (whole / (sample_rate * (0.15 + patch.decay_seconds)))
    loop = np.zeros(whole + 3)
    loop[0] = 1
    loop[whole : whole + 3] -= keep * np.convolve([0.5, 0.5], [1 - part, part])
    y = lfilter([1.0], loop, burst)
    return np.stack([y, y]).astype(np.float32)


def _bells(patch: Patch, pitch: float, glide_from: float, t: np.ndarray, sample_rate: int, rng: Random) -> np.ndarray:
    base = 440.0 * 2.0 ** ((pitch - 69) / 12)
    ratios = (1, 2.0, 3.01, 4.2, 5.43, 6.8) if patch.ratio > 2 else (1, 2.76, 5.4, 8.9)
    y = np.zeros(len(t))
    for i, ratio in enumerate(ratios):
        if base * ratio < 0.45 * sample_rate:
            y += (
                np.sin(2 * np.pi * ((base * ratio * t.astype(np.float64)) % 1))
                * np.exp(-t * (1 + i) * 1.5 / patch.decay_seconds)
                / (1 + i)
            )
    return np.stack([y, y]).astype(np.float32)


_ENGINE_CODE = {"analog": _analog, "fm": _fm, "pluck": _pluck, "bells": _bells}


@lru_cache(maxsize=128)
def wavetable(shape: str, octaves: int) -> np.ndarray:
    """One period of a shape with 2**octaves harmonics, plus its first sample again for interpolation."""
    harmonics = np.arange(1, min(2**octaves, TABLE_SAMPLES // 2 - 1) + 1)
    odd = harmonics % 2 == 1
    amplitude = {
        "saw": 1 / harmonics,
        "square": odd / harmonics,
        "pulse": np.sin(np.pi * harmonics * 0.2) / harmonics * 1.4,
        "triangle": np.where(odd, (-1.0) ** ((harmonics - 1) // 2) / harmonics**2, 0) * 1.6,
        "sine": (harmonics == 1) * 1.2,
        "organ": np.isin(harmonics, (1, 2, 3, 4, 6, 8)) / np.sqrt(harmonics) * 0.6,
    }[shape]
    spectrum = np.zeros(TABLE_SAMPLES // 2 + 1, dtype=np.complex128)
    spectrum[harmonics] = -0.5j * TABLE_SAMPLES * amplitude * 0.6
    one = np.fft.irfft(spectrum, TABLE_SAMPLES)
    return np.append(one, one[0]).astype(np.float32)


def read_table(table: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The table at a phase in turns, linearly interpolated."""
    position = (turns % 1) * TABLE_SAMPLES
    index = position.astype(np.int32)
    return table[index] + (table[index + 1] - table[index]) * (position - index).astype(np.float32)


def _swept(patch: Patch, x: np.ndarray, pitch: float, sample_rate: int) -> np.ndarray:
    """Two-pole resonant low pass whose cutoff falls (or rises) over time.

    A moving filter is a cross-fade between a few still ones, so that everything is a transform and nothing a loop.
    """
    length = x.shape[1]
    cutoff = patch.cutoff_hz * 2.0 ** ((pitch - 60) / 24)  # half key tracking
    size = next_fast_len(length + 2048, real=True)
    spectrum, f = rfft(x, size), rfftfreq(size, 1 / sample_rate).astype(np.float32)
    steps = 1 if not patch.sweep_octaves else FILTER_STEPS
    moved = (
        patch.sweep_octaves * np.exp(-np.arange(length) / (patch.sweep_seconds * sample_rate)) if steps > 1 else None
    )
    out = np.zeros_like(x)
    for k in range(steps):
        fc = np.clip(cutoff * 2.0 ** (patch.sweep_octaves * k / max(steps - 1, 1)), 60, 0.45 * sample_rate)
        u = f / np.float32(fc)
        still = irfft(spectrum * (1 / (1 - u * u + 1j * u / patch.resonance)).astype(np.complex64), size)[:, :length]
        if moved is None:
            return still.astype(np.float32)
        weight = np.clip(1 - np.abs(moved / patch.sweep_octaves * (steps - 1) - k), 0, 1)
        out += still * weight.astype(np.float32)
    return out
