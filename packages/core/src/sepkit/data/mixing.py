"""What a mixing desk does to (2, t) float32 audio: equalisers, reverbs, delays, compressors, side-chains, levels."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

from .dice import Random

HOP = 64  # samples between the points of a gain curve


def rms_db(x: np.ndarray, sample_rate: int, active_db: float = -60.0) -> float:
    """Level of the sounding parts: the mean power of the 0.4 s blocks above `active_db`, in dB; -inf for silence."""
    block = round(0.4 * sample_rate)
    whole = x[:, : x.shape[1] // block * block].reshape(x.shape[0], -1, block)
    power = (
        np.mean(np.square(whole, dtype=np.float64), axis=(0, 2)) if whole.size else np.mean(np.square(x), keepdims=True)
    )
    loud = power[power > 10 ** (active_db / 10)]
    return float(10 * np.log10(loud.mean())) if loud.size else float("-inf")


def peaking(sample_rate: int, hz: float, gain_db: float, q: float) -> np.ndarray:
    """Second-order section of a peaking equaliser (Bristow-Johnson's cookbook)."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * hz / sample_rate
    alpha = np.sin(w) / (2 * q)
    b0, b1, b2, a0, a1, a2 = 1 + alpha * a, -2 * np.cos(w), 1 - alpha * a, 1 + alpha / a, -2 * np.cos(w), 1 - alpha / a
    return np.array([[b0 / a0, b1 / a0, b2 / a0, 1.0, a1 / a0, a2 / a0]])


def shelf(sample_rate: int, hz: float, gain_db: float, high: bool) -> np.ndarray:
    """Second-order section of a low or high shelf (Bristow-Johnson's cookbook, slope 1)."""
    a, w, s = 10 ** (gain_db / 40), 2 * np.pi * hz / sample_rate, -1.0 if high else 1.0
    c, beta = s * np.cos(w), 2 * np.sqrt(a) * np.sin(w) / np.sqrt(2)
    b = [a * ((a + 1) - (a - 1) * c + beta), s * 2 * a * ((a - 1) - (a + 1) * c), a * ((a + 1) - (a - 1) * c - beta)]
    d = [(a + 1) + (a - 1) * c + beta, s * -2 * ((a - 1) + (a + 1) * c), (a + 1) + (a - 1) * c - beta]
    return np.array([[*(v / d[0] for v in b), 1.0, d[1] / d[0], d[2] / d[0]]])


def equalised(rng: Random, x: np.ndarray, sample_rate: int, stem: str) -> np.ndarray:
    """A few random bands and shelves, and the high pass that the stem usually gets."""
    floor = {"vocals": (60, 160), "drums": (15, 35), "bass": (20, 45), "other": (20, 140)}.get(stem, (20, 60))
    sections = [butter(2, rng.uniform(*floor), "highpass", fs=sample_rate, output="sos")]
    for _ in range(int(rng.integers(0, 4))):
        sections.append(
            peaking(
                sample_rate,
                float(np.exp(rng.uniform(np.log(80), np.log(9000)))),
                float(rng.normal(0, 3)),
                float(rng.uniform(0.5, 2.5)),
            )
        )
    sections.append(shelf(sample_rate, float(rng.uniform(100, 400)), float(rng.normal(0, 2)), False))
    sections.append(shelf(sample_rate, float(rng.uniform(3000, 9000)), float(rng.normal(0.5, 2.5)), True))
    return sosfilt(np.concatenate(sections), x, axis=-1).astype(np.float32)


def impulse_response(rng: Random, sample_rate: int, decay_seconds: float) -> np.ndarray:
    """A room (2, n): early echoes, then noise that decays faster at high frequencies; unit energy in each channel."""
    t = np.arange(round(decay_seconds * 1.1 * sample_rate)) / sample_rate
    ir = np.zeros((2, len(t)))
    delay = rng.uniform(0.0, 0.04)
    for low, high, factor in (
        (80, 500, 1.1),
        (500, 3000, 1.0),
        (3000, min(12000, 0.45 * sample_rate), rng.uniform(0.3, 0.7)),
    ):
        band = sosfilt(
            butter(1, (low, high), "bandpass", fs=sample_rate, output="sos"), rng.standard_normal((2, len(t))), axis=-1
        )
        ir += band * np.exp(-6.9 * np.maximum(t - delay, 0) / (decay_seconds * factor)) * (t >= delay)
    for _ in range(int(rng.integers(4, 12))):
        ir[int(rng.integers(2)), min(len(t) - 1, round(rng.uniform(0.003, 0.06) * sample_rate))] += rng.normal(0, 4)
    return (ir / np.sqrt(np.sum(ir**2, axis=1, keepdims=True))).astype(np.float32)


def convolved(x: np.ndarray, ir: np.ndarray) -> np.ndarray:
    """x: (2, t) convolved with ir: (2, n), cut to t."""
    size = next_fast_len(x.shape[1] + ir.shape[1], real=True)
    return irfft(rfft(x, size) * rfft(ir, size), size)[:, : x.shape[1]].astype(np.float32)


def echoes(
    x: np.ndarray, delay_seconds: float, feedback: float, sample_rate: int, ping_pong: bool = True
) -> np.ndarray:
    """Repeats only, each darker and softer than the last, from side to side where asked."""
    out, tap = np.zeros_like(x), x
    dark = butter(1, min(4500, 0.4 * sample_rate), "lowpass", fs=sample_rate, output="sos")
    shift = round(delay_seconds * sample_rate)
    for i in range(1, 6):
        gain = feedback**i
        if gain < 0.05 or i * shift >= x.shape[1]:
            break
        tap = sosfilt(dark, tap, axis=-1)
        turned = tap[::-1] if ping_pong and i % 2 else tap
        out[:, i * shift :] += np.float32(gain) * turned[:, : x.shape[1] - i * shift].astype(np.float32)
    return out


def _curve(x: np.ndarray, how: str) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % HOP))).reshape(x.shape[0], -1, HOP)
    return np.abs(padded).max(axis=(0, 2)) if how == "peak" else np.sqrt(np.mean(padded**2, axis=(0, 2)))


def _spread(gain: np.ndarray, length: int) -> np.ndarray:
    return np.interp(np.arange(length), (np.arange(len(gain)) + 0.5) * HOP, gain).astype(np.float32)


def compressed(
    x: np.ndarray, sample_rate: int, threshold_db: float, ratio: float, attack_seconds: float, release_seconds: float
) -> np.ndarray:
    """Feed-forward compressor; the threshold is relative to the signal's own level, so it always does something."""
    level = 20 * np.log10(_curve(x, "rms") + 1e-7)
    over = np.maximum(level - (rms_db(x, sample_rate) + threshold_db), 0) * (1 - 1 / ratio)
    up, down = (1 - np.exp(-HOP / (s * sample_rate)) for s in (attack_seconds, release_seconds))
    state, smooth = 0.0, []
    for value in over.tolist():
        state += (value - state) * (up if value > state else down)
        smooth.append(state)
    return x * _spread(10 ** (-np.array(smooth) / 20), x.shape[1])


def saturated(x: np.ndarray, drive: float) -> np.ndarray:
    """Soft clipping that leaves the level about where it was; drive 0 is clean, 3 is dirt."""
    scale = np.float32(drive / (np.sqrt(np.mean(x**2)) * 3 + 1e-9))
    return (np.tanh(x * scale) / scale).astype(np.float32) if drive > 0 else x


def pumping(
    kick_seconds: tuple[float, ...], length: int, sample_rate: int, depth: float, recover_seconds: float
) -> np.ndarray:
    """Side-chain gain (t,): drops by `depth` (0 to 1) at each kick and recovers."""
    t = np.arange(-(-length // HOP)) * (HOP / sample_rate)
    last = np.searchsorted(np.asarray(kick_seconds), t, side="right") - 1
    since = (
        np.where(last >= 0, t - np.asarray(kick_seconds)[np.maximum(last, 0)], 1e9)
        if len(kick_seconds)
        else np.full(len(t), 1e9)
    )
    return _spread(1 - depth * np.exp(-((since / recover_seconds) ** 2)), length)


def placed(x: np.ndarray, pan: float, width: float) -> np.ndarray:
    """Pan (-1 left … 1 right, equal power, unity in the middle) and stereo width (0 mono, 1 as it is)."""
    middle, side = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2 * np.float32(width)
    angle = (pan + 1) * np.pi / 4
    left, right = np.float32(np.cos(angle) * np.sqrt(2)), np.float32(np.sin(angle) * np.sqrt(2))
    return np.stack([(middle + side) * left, (middle - side) * right])


def limiter_gain(mixture: np.ndarray, sample_rate: int, ceiling: float) -> np.ndarray:
    """Gain (t,) that keeps the mixture under the ceiling; with it, stems still sum to the mixture."""
    need = np.minimum(1.0, ceiling / (_curve(mixture, "peak") + 1e-9))
    look = max(3, round(0.02 * sample_rate / HOP)) | 1
    held = minimum_filter1d(need, 2 * look + 1)
    return _spread(uniform_filter1d(held, look), mixture.shape[1])
