"""Guitars and basses in numpy: plucked strings in a loop, then a body or an amplifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from .arranging import Note
from .dice import Random
from .mixing import peaking, saturated

LONGEST_SECONDS = 5.0
PALM_SECONDS = 0.11  # notes held shorter than this are stopped by the palm from the start


@dataclass(frozen=True)
class Guitar:
    """The settings of one instrument; `damping` and `pick` are shares from 0 to 1."""

    kind: str  # acoustic, clean, driven or bass
    decay_seconds: float  # until A2 has lost 60 dB
    damping: float  # how fast the highs go, 0.5 fastest
    pick: float  # where the string is plucked, as a share of its length
    slope: float  # how fast partials fall off: amplitude ~ n**-slope, steeper for a thumb than for a plectrum
    drive: float  # of the amplifier; 0 is clean
    release_seconds: float
    body_hz: tuple[float, float, float]
    cabinet_hz: float


def random_guitar(rng: Random, role: str) -> Guitar:
    """An instrument that suits a role: acoustic or clean to strum and pick, driven for power chords, or a bass."""
    kinds = {
        "strum": ("acoustic", "acoustic", "clean"),
        "pick": ("acoustic", "acoustic", "clean"),
        "power": ("driven",),
        "muted": ("clean", "clean", "driven"),
        "lead": ("driven", "clean"),
        "bass": ("bass",),
    }
    kind = str(rng.choice(kinds[role]))
    return Guitar(
        kind=kind,
        decay_seconds=float(rng.uniform(1.5, 5.0)) * {"driven": 1.4, "bass": 1.2}.get(kind, 1.0),
        damping=float(rng.uniform(0.12, 0.45) if kind != "bass" else rng.uniform(0.3, 0.5)),
        pick=float(rng.uniform(0.06, 0.32)),
        slope=float(rng.uniform(0.3, 1.1) if kind != "bass" else rng.uniform(1.3, 2.2)),
        drive=float({"driven": rng.uniform(3, 20), "clean": rng.uniform(0, 1.5)}.get(kind, rng.uniform(0, 0.8))),
        release_seconds=float(rng.uniform(0.03, 0.12)),
        body_hz=(float(rng.uniform(95, 120)), float(rng.uniform(180, 240)), float(rng.uniform(350, 480))),
        cabinet_hz=float(rng.uniform(3200, 6500) if kind != "bass" else rng.uniform(1500, 5000)),
    )


def play_guitar(
    guitar: Guitar, notes: Iterable[Note], length_samples: int, sample_rate: int, rng: Random
) -> np.ndarray:
    """The notes as (2, length) float32; equal notes share one string, whose noise is drawn from `rng`."""
    strings = np.zeros(length_samples)
    plucked: dict[tuple[float, int], np.ndarray] = {}
    for note in notes:
        start = round(note.start_seconds * sample_rate)
        if start >= length_samples:
            continue
        held = max(1, round(note.seconds * 25))  # twenty-fifths of a second: so that strings are shared
        key = (round(note.pitch, 2), held)
        if key not in plucked:
            plucked[key] = _pluck(guitar, note.pitch, held / 25, note.seconds < PALM_SECONDS, sample_rate, rng)
        y = plucked[key][: length_samples - start]
        strings[start : start + len(y)] += y * note.velocity**1.4
    return (
        _body(guitar, strings, sample_rate) if guitar.kind == "acoustic" else _amplifier(guitar, strings, sample_rate)
    )


def _pluck(guitar: Guitar, pitch: float, seconds: float, palm: bool, sample_rate: int, rng: Random) -> np.ndarray:
    seconds = min(seconds, LONGEST_SECONDS)
    t = np.arange(round((seconds + 4 * guitar.release_seconds) * sample_rate)) / sample_rate
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    decay = 0.25 if palm else guitar.decay_seconds * (110 / hz) ** 0.4
    burst = pluck_burst(max(8, int(sample_rate / hz - 2)), guitar.slope, guitar.pick, rng)
    y = plucked_string(hz, burst, len(t), sample_rate, decay, 0.5 if palm else guitar.damping)
    damper = np.exp(-np.maximum(t - seconds, 0) * (5 / guitar.release_seconds))
    return y * damper * np.clip((t[-1] - t) / 0.004, 0, 1)


def pluck_burst(length_samples: int, slope: float, pick: float, rng: Random) -> np.ndarray:
    """One period of a plucked string with unit power: partials n**-slope, none with a node at the pick, any phases."""
    n = np.arange(1, length_samples // 2)
    spectrum = np.zeros(length_samples // 2 + 1, dtype=np.complex128)
    spectrum[n] = n**-slope * np.abs(np.sin(np.pi * n * pick)) * np.exp(2j * np.pi * rng.random(len(n)))
    burst = np.fft.irfft(spectrum, length_samples)
    return burst / np.sqrt(np.mean(burst**2))


def plucked_string(
    hz: float, burst: np.ndarray, length_samples: int, sample_rate: int, decay_seconds: float, damping: float
) -> np.ndarray:
    """A string as a delay loop that starts with `burst` and loses its highs (Karplus & Strong 1983), in float64.

    The loop passes (1 - damping, damping), 0 to 0.5, and a linear interpolation makes the period exact (Jaffe & Smith
    1983). After `decay_seconds` low partials have lost 60 dB. `burst` may be no longer than a period less two samples.
    """
    period = sample_rate / hz - damping  # the loop filter itself delays by `damping` samples
    whole = int(period)
    taps = 10 ** (-3 / (decay_seconds * hz)) * np.convolve(
        [1 - damping, damping], [1 - (period - whole), period - whole]
    )
    pad = whole + 2
    y = np.zeros(pad + max(length_samples, len(burst)))
    y[pad : pad + len(burst)] = burst
    # A period at a time: all that it needs lies in the two before.
    for k in range(pad + whole, len(y), whole):
        n = min(whole, len(y) - k)
        last = k - whole
        y[k : k + n] = taps[0] * y[last : last + n] + taps[1] * y[last - 1 : last - 1 + n]
        y[k : k + n] += taps[2] * y[last - 2 : last - 2 + n]
    return y[pad : pad + length_samples]


def _body(guitar: Guitar, strings: np.ndarray, sample_rate: int) -> np.ndarray:
    """A wooden box: three resonances, not quite the same for the two ears."""
    sides = []
    for factor in (0.97, 1.03):
        sections = [butter(2, 70, "highpass", fs=sample_rate, output="sos")]
        for hz, gain_db in zip(guitar.body_hz, (6, 5, 3), strict=True):
            sections.append(peaking(sample_rate, hz * factor, gain_db, 4.0))
        sections.append(peaking(sample_rate, 5200 * factor, 2.5, 1.0))
        sides.append(sosfilt(np.concatenate(sections), strings))
    return np.stack(sides).astype(np.float32)


def _amplifier(guitar: Guitar, strings: np.ndarray, sample_rate: int) -> np.ndarray:
    """A pickup, a stage that may distort, and a loudspeaker; the strings meet in the distortion, as they do."""
    top = min(guitar.cabinet_hz, 0.4 * sample_rate)
    before = butter(1, min(4000, top), "lowpass", fs=sample_rate, output="sos")
    y = saturated(sosfilt(before, strings), guitar.drive)
    low = 35 if guitar.kind == "bass" else 80
    after = [
        butter(2, low, "highpass", fs=sample_rate, output="sos"),
        butter(4, top, "lowpass", fs=sample_rate, output="sos"),
    ]
    if guitar.kind != "bass":
        after.append(peaking(sample_rate, 2300, 4.0, 0.9))
    y = sosfilt(np.concatenate(after), y).astype(np.float32)
    return np.stack([y, y])
