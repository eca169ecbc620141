"""Pianos in numpy: struck strings with stiff partials that beat and die away in two stages, and electric tines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from .arranging import Note
from .dice import Random

LONGEST_SECONDS = 4.0
SOFT_PARTIALS = 4  # partials up to this one sound at any touch; the others come with velocity


@dataclass(frozen=True)
class Piano:
    """The settings of one instrument; `hammer` is where it strikes, as a share of the string."""

    kind: str  # strings or tines
    decay_seconds: float  # until C4's slow stage has lost 60 dB
    detune_cents: float
    stiffness: float  # inharmonicity of C4: partial n lies at n f sqrt(1 + stiffness n²)
    hammer: float
    slope: float  # how fast partials fall off: amplitude ~ n**-slope
    knock: float
    release_seconds: float
    width: float  # 0 mono, 1 the lowest notes far left


def random_piano(rng: Random) -> Piano:
    """A grand, an upright or, one time in four, an electric piano."""
    tines = bool(rng.random() < 0.25)
    upright = bool(rng.random() < 0.4)
    return Piano(
        kind="tines" if tines else "strings",
        decay_seconds=float(rng.uniform(4, 9)) * (0.6 if upright else 1.0),
        detune_cents=float(rng.uniform(0.3, 1.2) if not upright else rng.uniform(1, 5)),
        stiffness=float(np.exp(rng.uniform(np.log(2e-4), np.log(8e-4)))),
        hammer=float(rng.uniform(0.09, 0.15)),
        slope=float(rng.uniform(0.5, 1.2)),
        knock=float(rng.uniform(0.0, 0.25)),
        release_seconds=float(rng.uniform(0.06, 0.25)),
        width=float(rng.uniform(0.0, 0.7)),
    )


def play_piano(piano: Piano, notes: Iterable[Note], length_samples: int, sample_rate: int, rng: Random) -> np.ndarray:
    """The notes as (2, length) float32; a key sounds the same each time but for touch and length."""
    notes = [n for n in notes if n.start_seconds * sample_rate < length_samples]
    longest: dict[float, float] = {}
    for n in notes:
        longest[n.pitch] = max(longest.get(n.pitch, 0.0), min(n.seconds, LONGEST_SECONDS))
    tail = 4 * piano.release_seconds
    keys = {p: _key(piano, p, longest[p] + tail, sample_rate, rng) for p in sorted(longest)}
    out = np.zeros((2, length_samples), dtype=np.float32)
    for n in notes:
        start, held = round(n.start_seconds * sample_rate), min(n.seconds, LONGEST_SECONDS)
        soft, bright = (y[: round((held + tail) * sample_rate)] for y in keys[n.pitch])
        y = np.float32(n.velocity**1.4) * (soft + np.float32(0.2 + 1.3 * n.velocity**2) * bright)
        t = np.arange(len(y), dtype=np.float32) / np.float32(sample_rate)
        y = (y * np.exp(-np.maximum(t - np.float32(held), 0) * np.float32(5 / piano.release_seconds)))[
            : length_samples - start
        ]
        pan = float(np.clip((n.pitch - 62) / 36, -1, 1)) * piano.width
        out[0, start : start + len(y)] += np.float32(np.cos((pan + 1) * np.pi / 4)) * y
        out[1, start : start + len(y)] += np.float32(np.sin((pan + 1) * np.pi / 4)) * y
    return out


def _key(piano: Piano, pitch: float, seconds: float, sample_rate: int, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """One key's sound in two parts of equal length: what any touch gives, and what a firm one adds."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    make = _tine if piano.kind == "tines" else struck_string
    soft, bright = make(piano, pitch, t, sample_rate, rng)
    if piano.knock and piano.kind == "strings":
        noise = rng.uniform(-1, 1, len(t)) * np.exp(-t / 0.012)
        low = butter(2, (90, 1800), "bandpass", fs=sample_rate, output="sos")
        bright = bright + (piano.knock * sosfilt(low, noise)).astype(np.float32)
    ends = (np.minimum(t / 0.0015, 1) * np.clip((t[-1] - t) / 0.004, 0, 1)).astype(np.float32)
    return soft * ends, bright * ends


def struck_string(
    piano: Piano, pitch: float, t: np.ndarray, sample_rate: int, rng: Random
) -> tuple[np.ndarray, np.ndarray]:
    """The soft and the bright partials of a key at times `t`, float32; phases are drawn from `rng`.

    Stiff strings have partials at n f sqrt(1 + B n²) (Fletcher, Blackham & Stratton 1962); two strings a little apart
    give beats, and what they share with the bridge dies first and the rest slowly (Weinreich 1977).
    """
    hz, stiff = 440.0 * 2.0 ** ((pitch - 69) / 12), piano.stiffness * 2.0 ** ((pitch - 60) / 9)
    decay = piano.decay_seconds * 2.0 ** (-(pitch - 60) / 18)
    apart = 2.0 ** (piano.detune_cents / 2400)
    soft, bright = np.zeros(len(t), dtype=np.float32), np.zeros(len(t), dtype=np.float32)
    for n in range(1, 25):
        partial = n * hz * np.sqrt(1 + stiff * n * n)
        phases = rng.random(2)
        if partial > min(9000.0, 0.45 * sample_rate):
            continue
        size = abs(np.sin(np.pi * n * piano.hammer)) * n**-piano.slope
        slow = 6.9 * (1 + 0.12 * n) / decay
        y = np.float32(size) * _partial(partial * apart, phases[0], t, 4 * slow)
        if n <= 10:  # the slow stage and the beats are heard in the low partials
            y += np.float32(0.45 * size) * _partial(partial / apart, phases[1], t, slow)
        if n <= SOFT_PARTIALS:
            soft += y
        else:
            bright += y
    return soft, bright


def _tine(piano: Piano, pitch: float, t: np.ndarray, sample_rate: int, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """A tine before a pickup: almost a sine, bent by the pickup's field, and a bell that dies at once."""
    hz, decay = 440.0 * 2.0 ** ((pitch - 69) / 12), 6.9 / (piano.decay_seconds * 2.0 ** (-(pitch - 60) / 24))
    base = _partial(hz, 0.0, t, decay)
    bell = _partial(min(hz * 6.27, 0.45 * sample_rate), float(rng.random()), t, 18.0)
    bent = base * base
    return base, np.float32(0.5) * (bent - bent.mean()) + np.float32(0.12) * bell


def _partial(hz: float, phase: float, t: np.ndarray, rate: float) -> np.ndarray:
    turns = hz * t + phase  # float64: long notes stay in tune
    turns -= np.floor(turns)
    wave = np.sin(np.float32(2 * np.pi) * turns.astype(np.float32))
    return wave * np.exp(np.float32(-rate) * t.astype(np.float32))
