"""Reference points: separators that know the answer, or know nothing, and so give scores their scale.

Each takes the mixture (c t) and the truths (name -> c t), which only oracles look at, and returns every truth's
estimate. Axes: s stem, c channel, t time, f frequency bin, n STFT frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from einops import rearrange, reduce
from numpy.typing import NDArray

from ..errors import MissingExtraError
from ..separator import Kind
from .recipe import split_overlapping

Samples = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

WINDOW_SAMPLES, HOP_SAMPLES = 2048, 1024
PIECE_FRAMES = 1292  # 30 s at 44.1 kHz: bounds the memory of the Wiener filter, and lets panning change along a song
MEDIAN_FRAMES, MEDIAN_BINS = 31, 31  # of the harmonic and the percussive median; odd
SIMILAR_SECONDS = 2.0  # REPET-SIM looks for repetitions at least this far apart
BASS_HZ = 200.0  # the classical baseline calls everything tonal and repeating below this frequency bass


class ReferencePoint(Protocol):
    """Separates with or without looking at the truth; the estimates have the truths' names."""

    kind: Kind

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]: ...


class Mixture:
    """Do nothing: every stem's estimate is the mixture. A separator must beat it."""

    kind: Kind = "reference"

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        del sample_rate
        return {stem: mixture.copy() for stem in truths}


class Silence:
    """Return nothing: the 0 dB line of `sdr_mdx`."""

    kind: Kind = "reference"

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        del sample_rate
        return {stem: np.zeros_like(mixture) for stem in truths}


class IdealRatioMask:
    """The mixture under masks |S_s| / sum |S| of the true spectrograms (2048/1024): the bound of soft masking.

    The masks of a partition sum to one in every bin, so the estimates sum to the mixture.
    """

    kind: Kind = "reference"

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        del sample_rate
        parts, _ = split_overlapping(list(truths))
        magnitudes = np.abs(np.stack([stft(truths[stem]) for stem in parts]))  # s c f n
        total = reduce(magnitudes, "s c f n -> c f n", "sum")
        masks = np.where(total > 0, magnitudes / np.where(total > 0, total, 1.0), 1.0 / len(parts))
        spectrum = stft(mixture)
        length = mixture.shape[-1]
        return _with_complement({s: istft(m * spectrum, length) for s, m in zip(parts, masks, strict=True)}, truths)


class WienerOracle:
    """Multichannel Wiener filter (norbert, one EM step) whose spectra and spatial covariances come from the truth."""

    kind: Kind = "reference"

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        del sample_rate
        from norbert import expectation_maximization

        parts, _ = split_overlapping(list(truths))
        x = rearrange(stft(mixture), "c f n -> n f c")
        y = rearrange(np.stack([stft(truths[stem]) for stem in parts]), "s c f n -> n f c s")
        pieces = []
        for start in range(0, len(x), PIECE_FRAMES):
            piece = slice(start, start + PIECE_FRAMES)
            scale = max(float(np.abs(x[piece]).max()), 1e-12)  # norbert's regularisation assumes spectra near one
            # norbert writes into its arguments: the quotients are fresh arrays
            pieces.append(expectation_maximization(y[piece] / scale, x[piece] / scale, iterations=1)[0] * scale)
        estimates = rearrange(np.concatenate(pieces), "n f c s -> s c f n")
        length = mixture.shape[-1]
        return _with_complement({s: istft(e, length) for s, e in zip(parts, estimates, strict=True)}, truths)


class RepetHpss:
    """Classical baseline without training: HPSS, then REPET-SIM, then a crossover.

    Median filtering (Fitzgerald 2010) gives the percussive part: drums. In the rest, what repeats elsewhere in the
    song with a similar spectrum (Rafii and Pardo 2012) is background and what does not is vocals. Background below
    200 Hz is bass, the remainder other. All steps are soft masks, so the stems sum to the mixture.
    """

    kind: Kind = "classical"

    def __init__(self) -> None:
        try:
            import librosa.decompose
        except ModuleNotFoundError as error:
            raise MissingExtraError("librosa", "eval", "The reference point repet_hpss") from error
        self._decompose: Any = librosa.decompose
        self._decompose.hpss(np.ones((32, 32)))  # compile and load now: it is no part of separating

    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        spectrum = stft(mixture)
        magnitude = reduce(np.abs(spectrum), "c f n -> f n", "mean")  # one mask for all channels keeps the panning
        frames = min(MEDIAN_FRAMES, magnitude.shape[-1] - 1 | 1)  # a median over more frames than there are gives NaN
        harmonic, percussive = self._decompose.hpss(magnitude, mask=True, kernel_size=(frames, MEDIAN_BINS))
        tonal = harmonic * magnitude
        repeating = np.minimum(tonal, self._repetition(tonal, sample_rate))
        background = _soft_mask(repeating, 3.0 * (tonal - repeating))  # favours vocals, which repeats rarely miss
        low = (np.fft.rfftfreq(WINDOW_SAMPLES, 1 / sample_rate) < BASS_HZ)[:, None]
        masks = {
            "drums": percussive,
            "vocals": harmonic * (1 - background) * ~low,
            "bass": harmonic * np.where(low, 1.0, 0.0),
            "other": harmonic * background * ~low,
        }
        length = mixture.shape[-1]
        estimates = {stem: istft(mask * spectrum, length) for stem, mask in masks.items()}
        estimates["accompaniment"] = mixture - estimates["vocals"]
        return {stem: estimates[stem] for stem in truths if stem in estimates}

    def _repetition(self, magnitude: Samples, sample_rate: int) -> Samples:
        """Median over the most similar frames; a signal too short to repeat is its own repetition."""
        frames = magnitude.shape[-1]
        apart = min(round(SIMILAR_SECONDS * sample_rate / HOP_SAMPLES), (frames - 1) // 4)
        if apart < 1:
            return magnitude
        filtered = self._decompose.nn_filter(magnitude, aggregate=np.median, metric="cosine", width=apart)
        return np.asarray(filtered, dtype=np.float64)


REFERENCE_POINTS: dict[str, type[ReferencePoint]] = {
    "mixture": Mixture,
    "silence": Silence,
    "ideal_ratio_mask": IdealRatioMask,
    "wiener_oracle": WienerOracle,
    "repet_hpss": RepetHpss,
}

ORACLES = ("ideal_ratio_mask", "wiener_oracle")
"""Those that look at the truths of all stems."""


def stft(samples: Samples) -> Spectrum:
    """Periodic-Hann STFT, 2048/1024, zero-padded so that every sample is in two frames: c t -> c f n."""
    frames = -(-samples.shape[-1] // HOP_SAMPLES) + 1
    padding = frames * HOP_SAMPLES - samples.shape[-1]
    padded = np.pad(np.asarray(samples, dtype=np.float64), ((0, 0), (HOP_SAMPLES, padding)))
    framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES, axis=-1)[:, ::HOP_SAMPLES]
    return rearrange(np.fft.rfft(framed * _window()), "c n f -> c f n")


def istft(spectrum: Spectrum, length_samples: int) -> Samples:
    """The inverse of `stft`: c f n -> c t; exact, because a periodic Hann window at half overlap sums to one."""
    framed = np.fft.irfft(rearrange(spectrum, "c f n -> c n f"), n=WINDOW_SAMPLES)
    first, second = framed[..., :HOP_SAMPLES], framed[..., HOP_SAMPLES:]
    total = rearrange(second[:, :-1] + first[:, 1:], "c n t -> c (n t)")
    return np.asarray(total[:, :length_samples])


def _window() -> Samples:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)


def _soft_mask(wanted: Samples, rest: Samples) -> Samples:
    power, other = wanted**2, rest**2
    total = power + other
    return np.where(total > 0, power / np.where(total > 0, total, 1.0), 0.5)


def _with_complement(estimates: dict[str, Samples], truths: Mapping[str, Samples]) -> dict[str, Samples]:
    """Add the accompaniment, where it is asked for, as the sum of all estimates but the vocals."""
    missing = [stem for stem in truths if stem not in estimates]
    for stem in missing:
        estimates[stem] = np.sum([e for name, e in estimates.items() if name != "vocals"], axis=0)
    return {stem: estimates[stem] for stem in truths}
