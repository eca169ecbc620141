"""What happens to music before anyone separates it: lossy coding, clipping, a lost top octave, rooms, noise, limiting.

Pure functions on samples, c t float64 with full scale ±1; rate, length and channels stay as they are, and every one
but the coding is the identity at its mildest setting. Randomness comes from a seed alone.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepkit.audio import Audio
from sepkit.errors import OptionError, UnknownNameError, nearest

VERSION = 1
"""Raised whenever a degradation gives other samples, so that no run goes on with scores of the older ones."""

Samples = NDArray[np.float64]
Seed = int | Sequence[int]

LOW_PASS_TAPS = 511
EARLY_SECONDS = 0.005  # the first reflection comes this long after the direct sound
DIRECT_TO_TAIL_DB = 6.0  # energy of the direct sound over that of the tail
LIMITER_SECONDS = 0.002  # look-ahead and release; much slower ones only level a dense song, and 18 dB is then as 12
MP3_DELAY_SAMPLES = 576 + 529  # of LAME and of every decoder
_CODEC_BLOCK_SAMPLES = 4096


@dataclass(frozen=True)
class Degradation:
    """A way to spoil a mixture, its severities from mild to severe, and the truth that separations are held against.

    `apply(mixture, sample_rate, severity, seed)`: c t -> c t. `matched(stem, mixture, sample_rate, severity, seed)` is
    what the stem is in the spoilt mixture, where that can be said: the same filter, room or gain as the mixture had;
    matched stems sum to the spoilt mixture. None where the damage belongs to no stem.
    """

    name: str
    title: str
    unit: str
    severities: tuple[float, ...]
    apply: Callable[[Samples, int, float, Seed], Samples]
    matched: Callable[[Samples, Samples, int, float, Seed], Samples] | None
    truth: str


def coded_as_mp3(x: Samples, sample_rate: int, *, kilobits: float) -> Samples:
    """Sound after MP3 at a constant bit rate (kbit/s), written by libsndfile and read back by sepkit: c t -> c t.

    The coder's delay is taken off: by the reader where the file tells it, here where its frames are too small for the
    header that tells it (below 64 kbit/s). Raises OptionError for a bit rate that MP3 has not at this sample
    rate, AudioError for a rate or a number of channels that MP3 has not.
    """
    import soundfile

    most, least = (320, 32) if sample_rate >= 32_000 else (160, 8)
    if not least <= kilobits <= most:
        raise OptionError(f"MP3 at {sample_rate} Hz has {least} to {most} kbit/s, and {kilobits:g} were asked for.")
    from sepkit.formats import check_writable

    check_writable("mp3", sample_rate, len(x), x.shape[-1], None)
    coded = io.BytesIO()
    settings: dict[str, Any] = {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": min(0.999, (most - kilobits) / (most - least)),  # libsndfile refuses a level of 1
    }
    with soundfile.SoundFile(coded, "w", sample_rate, len(x), **settings) as file:
        frames = np.ascontiguousarray(x.T, dtype=np.float32)
        for start in range(0, len(frames), _CODEC_BLOCK_SAMPLES):
            file.write(frames[start : start + _CODEC_BLOCK_SAMPLES])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp3"
        path.write_bytes(coded.getvalue())
        decoded = np.asarray(Audio.read(path).numpy(), np.float64)
    if decoded.shape == x.shape:
        return decoded
    return _framed(decoded[:, MP3_DELAY_SAMPLES:], x.shape[-1])


def _framed(x: Samples, length_samples: int) -> Samples:
    kept = x[:, :length_samples]
    return np.pad(kept, ((0, 0), (0, length_samples - kept.shape[-1])))


def clipped(x: Samples, *, drive_db: float) -> Samples:
    """Hard clipping: what lies above the peak less `drive_db` is cut off; levels below stay: c t -> c t."""
    peak = np.max(np.abs(x), initial=0.0)
    ceiling = peak * 10 ** (-drive_db / 20)
    return np.clip(x, -ceiling, ceiling)


def low_passed(x: Samples, sample_rate: int, *, cutoff_hz: float) -> Samples:
    """Everything above `cutoff_hz` taken away by a linear-phase filter without delay; linear: c t -> c t."""
    from scipy.signal import fftconvolve, firwin

    if cutoff_hz >= sample_rate / 2:
        return x
    return np.asarray(_centred(fftconvolve(x, firwin(LOW_PASS_TAPS, cutoff_hz, fs=sample_rate)[None], axes=-1), x))


def _centred(full: Samples, x: Samples) -> Samples:
    start = LOW_PASS_TAPS // 2
    return full[..., start : start + x.shape[-1]]


def reverberant(x: Samples, sample_rate: int, *, rt60_seconds: float, seed: Seed) -> Samples:
    """A room: the direct sound and a tail of noise that falls by 60 dB in `rt60_seconds`; linear: c t -> c t.

    Each channel has its own tail; the direct sound stays where it is, 6 dB above the tail in energy.
    """
    from scipy.signal import fftconvolve

    if rt60_seconds <= 0:
        return x
    response = room(len(x), sample_rate, rt60_seconds=rt60_seconds, seed=seed)
    return np.asarray(fftconvolve(x, response, axes=-1)[..., : x.shape[-1]])


def room(channels: int, sample_rate: int, *, rt60_seconds: float, seed: Seed) -> Samples:
    """The impulse response of `reverberant`: c t, 1 at the start."""
    early = round(EARLY_SECONDS * sample_rate)
    time = np.arange(max(1, round(rt60_seconds * sample_rate))) / sample_rate
    tail = np.random.default_rng(seed).standard_normal((channels, len(time))) * 10 ** (-3 * time / rt60_seconds)
    tail *= 10 ** (-DIRECT_TO_TAIL_DB / 20) / np.linalg.norm(tail, axis=-1, keepdims=True)
    response = np.concatenate([np.zeros((channels, early)), tail], axis=-1)
    response[:, 0] += 1.0
    return response


def noisy(x: Samples, *, snr_db: float, seed: Seed) -> Samples:
    """White noise added, exactly `snr_db` below the energy of the whole track; silence stays silent: c t -> c t."""
    if np.isposinf(snr_db):
        return x
    noise = np.random.default_rng(seed).standard_normal(x.shape)
    scale = np.linalg.norm(x) / max(float(np.linalg.norm(noise)), 1e-300) * 10 ** (-snr_db / 20)
    return x + scale * noise


def loud(x: Samples, sample_rate: int, *, gain_db: float) -> Samples:
    """A loud master: `gain_db` into a limiter that keeps the peak where it was, one gain for all: c t -> c t."""
    return x * limiter_gain(x, sample_rate, gain_db=gain_db)


def limiter_gain(x: Samples, sample_rate: int, *, gain_db: float) -> Samples:
    """The gain over time that `loud` puts on the sound, and so on each stem in it: c t -> t.

    The gain that keeps every sample below the peak, its minimum over 2 ms either way, smoothed over the same.
    """
    from scipy.ndimage import convolve1d, minimum_filter1d

    peak = np.max(np.abs(x), initial=0.0)
    drive = 10 ** (gain_db / 20)
    if gain_db <= 0 or peak == 0:
        return np.ones(x.shape[-1])
    level = np.max(np.abs(x), axis=0) * drive
    needed = np.minimum(1.0, peak / np.maximum(level, peak))
    width = 2 * round(LIMITER_SECONDS * sample_rate) + 1
    smooth = np.hanning(width + 2)[1:-1]
    # a smoothed minimum is nowhere above what is needed, so nothing is clipped
    held = minimum_filter1d(needed, width, mode="nearest")
    return np.asarray(drive * convolve1d(held, smooth / smooth.sum(), mode="nearest"))


DEGRADATIONS: dict[str, Degradation] = {
    one.name: one
    for one in (
        Degradation(
            "mp3",
            "MP3 at a constant bit rate",
            "kbit/s",
            (320, 128, 64, 32),
            lambda x, rate, severity, seed: coded_as_mp3(x, rate, kilobits=severity),
            None,
            "the original stems: what the coder does belongs to no stem",
        ),
        Degradation(
            "clip",
            "hard clipping",
            "dB above the ceiling",
            (3, 6, 12, 18),
            lambda x, rate, severity, seed: clipped(x, drive_db=severity),
            None,
            "the original stems: what is cut off belongs to no stem",
        ),
        Degradation(
            "lowpass",
            "band limit",
            "Hz",
            (16_000, 8000, 4000, 2000),
            lambda x, rate, severity, seed: low_passed(x, rate, cutoff_hz=severity),
            lambda stem, x, rate, severity, seed: low_passed(stem, rate, cutoff_hz=severity),
            "matched: the stems through the same filter; original: as they were, lost octaves and all",
        ),
        Degradation(
            "reverb",
            "a room",
            "s of RT60",
            (0.2, 0.5, 1.0, 2.0),
            lambda x, rate, severity, seed: reverberant(x, rate, rt60_seconds=severity, seed=seed),
            lambda stem, x, rate, severity, seed: reverberant(stem, rate, rt60_seconds=severity, seed=seed),
            "matched: the stems in the same room; original: the dry stems, so that the room counts as an error",
        ),
        Degradation(
            "noise",
            "white noise",
            "dB SNR",
            (40, 30, 20, 10),
            lambda x, rate, severity, seed: noisy(x, snr_db=severity, seed=seed),
            None,
            "the original stems: the noise belongs to no stem",
        ),
        Degradation(
            "loud",
            "loud mastering by a limiter",
            "dB of gain",
            (2, 4, 6, 10),
            lambda x, rate, severity, seed: loud(x, rate, gain_db=severity),
            lambda stem, x, rate, severity, seed: stem * limiter_gain(x, rate, gain_db=severity),
            "matched: the stems under the limiter's gain; original: as they were, so that loudness counts as an error",
        ),
    )
}


def find_degradations(names: str) -> list[Degradation]:
    """Degradations by names with commas between them, or all. Raises UnknownNameError with the nearest."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted or [names]:
        if name not in (*DEGRADATIONS, "all"):
            raise UnknownNameError(f"No degradation is named {name!r}: {nearest(name, DEGRADATIONS)}")
    return list(DEGRADATIONS.values()) if "all" in wanted else [DEGRADATIONS[name] for name in dict.fromkeys(wanted)]
