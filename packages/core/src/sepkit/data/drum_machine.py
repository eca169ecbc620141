"""Drums synthesised in numpy in the manner of analogue machines, with every setting of a kit drawn by chance."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.signal import butter, sosfilt

from .arranging import Note
from .dice import Random
from .grooves import CLAP, CLOSED, CONGA, COWBELL, KICK, OPEN, PEDAL, RIDE, RIM, SHAKER, SNARE, TAMBOURINE

METAL = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)  # Hz: six square waves that do not agree
PAN = {
    CLOSED: 0.25,
    OPEN: 0.25,
    PEDAL: 0.25,
    RIDE: -0.4,
    49: -0.3,
    SHAKER: 0.5,
    COWBELL: -0.3,
    TAMBOURINE: 0.4,
    CONGA: -0.4,
    41: 0.4,
    45: 0.15,
    47: -0.1,
    50: -0.35,
}


class DrumMachine:
    """A kit: `play(notes, …)` renders General MIDI drum notes to (2, t) float32."""

    def __init__(self, rng: Random, sample_rate: int):
        self.rng, self.sample_rate = rng, sample_rate
        self.tune = float(rng.uniform(0.85, 1.2))
        self.drive = float(rng.choice([0.0, 0.5, 2.0, 5.0]))
        self.brightness = float(rng.uniform(0.25, 0.6))
        self.kick_gain = float(rng.uniform(0.35, 0.8))
        self.width = float(rng.uniform(0, 1))
        self.kick = (
            rng.uniform(42, 62),
            rng.uniform(120, 420),
            rng.uniform(0.012, 0.06),
            rng.uniform(0.08, 0.35),
            rng.uniform(0, 0.6),
        )
        self.snare = (
            rng.uniform(150, 230),
            rng.uniform(0.06, 0.18),
            rng.uniform(0.08, 0.28),
            rng.uniform(0.25, 0.75),
            rng.uniform(800, 4000),
        )
        self.hat = (rng.uniform(0.02, 0.07), rng.uniform(0.15, 0.6), rng.uniform(0, 1), rng.uniform(5000, 9000))
        self.cache: dict[int, list[np.ndarray]] = {}

    def play(self, notes: Iterable[Note], length_samples: int) -> np.ndarray:
        out = np.zeros((2, length_samples), dtype=np.float32)
        for note in notes:
            start, drum = round(note.start_seconds * self.sample_rate), int(note.pitch)
            if start >= length_samples:
                continue
            if drum not in self.cache:
                self.cache[drum] = [self._hit(drum).astype(np.float32) for _ in range(2)]
            y = self.cache[drum][int(self.rng.integers(2))][: length_samples - start]
            pan = PAN.get(drum, 0.0) * self.width
            gain = np.float32(note.velocity**1.5)
            out[0, start : start + len(y)] += y * (gain * np.float32(min(1.0, 1 - pan)))
            out[1, start : start + len(y)] += y * (gain * np.float32(min(1.0, 1 + pan)))
        return out

    def _time(self, seconds: float) -> np.ndarray:
        return np.arange(round(seconds * self.sample_rate)) / self.sample_rate

    def _noise(self, t: np.ndarray, band: tuple[float, float] | float) -> np.ndarray:
        kind = "bandpass" if isinstance(band, tuple) else "highpass"
        top = 0.45 * self.sample_rate
        edges = tuple(min(b, top) for b in band) if isinstance(band, tuple) else min(band, top)
        return sosfilt(butter(2, edges, kind, fs=self.sample_rate, output="sos"), self.rng.uniform(-1, 1, len(t)))

    def _metal(self, t: np.ndarray, high_hz: float) -> np.ndarray:
        squares = sum(np.sign(np.sin(2 * np.pi * f * self.tune * 1.6 * t + i)) for i, f in enumerate(METAL)) / 6
        return sosfilt(
            butter(3, min(high_hz, 0.4 * self.sample_rate), "highpass", fs=self.sample_rate, output="sos"), squares
        )

    def _hit(self, drum: int) -> np.ndarray:
        if drum == KICK:
            return self._kick()
        if drum == SNARE:
            return self._snare()
        if drum == CLAP:
            return self._clap()
        if drum in (CLOSED, OPEN, PEDAL, RIDE, 49):
            return self._cymbal(drum)
        if drum == SHAKER:
            t = self._time(0.12)
            return 0.3 * self._noise(t, (6000, 12000)) * np.minimum(t / 0.02, 1) * np.exp(-t / 0.03)
        if drum == TAMBOURINE:
            t = self._time(0.25)
            return 0.3 * self._noise(t, 7000.0) * (np.exp(-t / 0.02) + 0.4 * np.exp(-t / 0.09))
        if drum == COWBELL:
            t = self._time(0.4)
            two = np.sign(np.sin(2 * np.pi * 540 * self.tune * t)) + np.sign(np.sin(2 * np.pi * 800 * self.tune * t))
            return (
                0.25
                * sosfilt(butter(1, (500, 4000), "bandpass", fs=self.sample_rate, output="sos"), two)
                * np.exp(-t / 0.08)
            )
        if drum == RIM:
            t = self._time(0.08)
            return (
                0.5
                * (
                    np.sin(2 * np.pi * 1750 * self.tune * t)
                    + 0.5 * np.sin(2 * np.pi * 480 * t)
                    + 0.3 * self._noise(t, 3000.0)
                )
                * np.exp(-t / 0.012)
            )
        return self._tom({41: 80, 45: 110, 47: 140, 50: 180, CONGA: 260}.get(drum, 150))

    def _kick(self) -> np.ndarray:
        low, high, fall, decay, click = self.kick
        t = self._time(min(1.5, decay * 5))
        turns = np.cumsum(low + high * np.exp(-t / fall)) / self.sample_rate
        body = np.sin(2 * np.pi * turns) * np.exp(-t / decay) * np.minimum(t / 0.001, 1)
        y = body + click * self._noise(t, 2500.0) * np.exp(-t / 0.004)
        return (
            self.kick_gain
            * np.tanh(y * (1 + self.drive))
            / np.tanh(1 + self.drive)
            * np.minimum((t[-1] - t) / 0.005, 1)
        )

    def _snare(self) -> np.ndarray:
        tone, tone_decay, noise_decay, noisy, band = self.snare
        t = self._time(0.6)
        bend = tone * self.tune * (1 + 0.6 * np.exp(-t / 0.01))
        shell = np.sin(2 * np.pi * np.cumsum(bend) / self.sample_rate) + 0.5 * np.sin(
            2 * np.pi * np.cumsum(bend * 1.72) / self.sample_rate
        )
        rattle = self._noise(t, (band * 0.35, band * 3)) + 0.35 * self._noise(t, 6000.0)
        return 1.3 * ((1 - noisy) * shell * np.exp(-t / tone_decay) + 1.4 * noisy * rattle * np.exp(-t / noise_decay))

    def _clap(self) -> np.ndarray:
        t = self._time(0.5)
        bursts = sum(np.exp(-np.maximum(t - d, 0) / 0.006) * (t >= d) for d in (0, 0.011, 0.021))
        return (
            0.9
            * self._noise(t, (800 * self.tune, 3500 * self.tune))
            * (bursts + np.exp(-np.maximum(t - 0.03, 0) / 0.09) * (t >= 0.03))
        )

    def _cymbal(self, drum: int) -> np.ndarray:
        closed, opened, metallic, high = self.hat
        decay = {CLOSED: closed, PEDAL: closed * 1.3, OPEN: opened * 0.5, RIDE: 0.5, 49: 1.0}[drum]
        t = self._time(min(3.5, decay * 6))
        y = metallic * 2.0 * self._metal(t, high) + (1 - 0.7 * metallic) * self._noise(
            t, high if drum != 49 else 3500.0
        )
        ping = 0.25 * np.sin(2 * np.pi * 3100 * self.tune * t) * np.exp(-t / 0.3) if drum == RIDE else 0
        return (
            self.brightness
            * (y * (0.3 * np.exp(-t / (decay * 0.15)) + 0.7 * np.exp(-t / decay)) + ping)
            * np.minimum((t[-1] - t) / 0.01, 1)
        )

    def _tom(self, hz: float) -> np.ndarray:
        t = self._time(0.7)
        turns = np.cumsum(hz * self.tune * (1 + 0.5 * np.exp(-t / 0.03))) / self.sample_rate
        return 0.8 * np.sin(2 * np.pi * turns) * np.exp(-t / 0.14) + 0.1 * self._noise(t, 2000.0) * np.exp(-t / 0.01)
