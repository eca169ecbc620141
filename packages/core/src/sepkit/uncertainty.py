"""How sure a random method is: several separations that differ by their draws alone, their mean, and their spread.

The spread is the standard deviation of the short-time spectrum over the draws. Where it is as large as the stem itself
the method has guessed; where it is far below, every draw agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .audio import Audio, Stems
from .errors import AudioError, OptionError
from .filters.consistency import total
from .inputs import as_audio, whole_number
from .partial_files import replacing
from .separator import Consistency, Progress, Quality, Separator

WINDOW_SECONDS = 0.0929  # 4096 samples at 44.1 kHz, as the report's spectrograms have
DEFAULT_SAMPLES = 8
QUIETEST = 1e-10  # stands in for 0 under the logarithm
FILE_NAME = "uncertainty.npz"


@dataclass(frozen=True, eq=False)
class SpreadMap:
    """One stem's spread over draws and the size of its mean, f n float32: a sine of amplitude 1 has 0.5.

    Both are root mean squares over channels, on the scale of the report's spectrograms. Frame n is centred on sample
    n * hop_samples; bin f lies at f * sample_rate / window_samples Hz.
    """

    spread: NDArray[np.float32]
    magnitude: NDArray[np.float32]
    sample_rate: int
    window_samples: int
    hop_samples: int

    @property
    def share(self) -> NDArray[np.float32]:
        """The part of a draw that other draws don't have, f n: 0 where all agree, towards 1 where they have nothing
        in common; 0 in silence."""
        whole = np.hypot(self.spread, self.magnitude)
        return np.where(whole > QUIETEST, self.spread / np.maximum(whole, QUIETEST), 0.0).astype(np.float32)


def separate_samples(
    separator: Separator,
    mixture: Any,
    *,
    samples: int | None = None,
    sample_rate: int | None = None,
    stems: Sequence[str] | None = None,
    seed: int = 0,
    quality: Quality = "balanced",
    consistency: Consistency = "none",
    progress: Progress | None = None,
) -> Stems:
    """The mean of `samples` separations of a random method, with their spread as `uncertainty`: stem -> SpreadMap.

    A model that numbers its draws (`drawn(index)`) makes draws 0 to samples - 1 of `seed`, so that the mean is what its
    own option `samples` gives; any other method is given the seeds `seed` to `seed + samples - 1`. `samples` None takes
    the method's own number, if that is above 1, or else 8. The other arguments are those of `separate`.
    Raises OptionError for a method that is not random and for fewer than 2 samples.
    """
    if not separator.info.random:
        raise OptionError(
            f"The method {separator.info.name!r} is not random, so its draws cannot differ and their spread says "
            "nothing. Take a method whose info.random is True."
        )
    audio = as_audio(mixture, sample_rate, separator.info.sample_rate)
    count = _count(separator, samples, quality)
    sums: dict[str, _Sums] = {}
    provenance: dict[str, Any] = {}
    for index, (one, its_seed) in enumerate(_draws(separator, count, seed)):
        report = None if progress is None else _shared(progress, index, count)
        found = one.separate(
            audio, stems=stems, seed=its_seed, quality=quality, consistency=consistency, progress=report
        )
        for stem, part in found.items():
            sums.setdefault(stem, _Sums(part)).add(part.samples)
        provenance = dict(found.provenance)
    means = {stem: Audio(one.mean, audio.sample_rate) for stem, one in sums.items()}
    residual = audio.samples - total(torch.stack([mean.samples for mean in means.values()])[None])[0]
    facts = {**provenance, "seed": seed, "samples": count}
    maps = {stem: one.map() for stem, one in sums.items()}
    return Stems(means, Audio(residual, audio.sample_rate), facts, maps)


def save_uncertainty(maps: Mapping[str, SpreadMap], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write maps to a `.npz` file: `<stem>/spread_db`, `<stem>/magnitude_db` (f n, float16), rate, window and hop."""
    path, first = Path(path), next(iter(maps.values()))
    arrays: dict[str, Any] = {
        "sample_rate": first.sample_rate, "window_samples": first.window_samples, "hop_samples": first.hop_samples,
    }  # fmt: skip
    for stem, one in maps.items():
        arrays[f"{stem}/spread_db"] = _decibels(one.spread)
        arrays[f"{stem}/magnitude_db"] = _decibels(one.magnitude)
    with replacing(path, overwrite=overwrite) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_uncertainty(path: str | Path) -> dict[str, SpreadMap]:
    """The maps of a file that `save_uncertainty` wrote, to 0.1 dB; raises AudioError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            rate, window, hop = (int(file[name]) for name in ("sample_rate", "window_samples", "hop_samples"))
            stems = [name.removesuffix("/spread_db") for name in file.files if name.endswith("/spread_db")]
            return {
                stem: SpreadMap(
                    _amplitudes(file[f"{stem}/spread_db"]), _amplitudes(file[f"{stem}/magnitude_db"]), rate, window, hop
                )
                for stem in stems
            }
    except (OSError, ValueError, KeyError) as error:
        raise AudioError(f"{path} holds no maps of uncertainty: {error}. Write one with --uncertainty.") from error


class _Sums:
    """Running sums over draws: of the signal, c t, and of its spectrum's power, f n."""

    def __init__(self, first: Audio) -> None:
        self.sample_rate = first.sample_rate
        self.window_samples = max(16, 1 << round(np.log2(WINDOW_SECONDS * first.sample_rate)))
        self.signal = torch.zeros_like(first.samples, dtype=torch.float64)
        self.power: Tensor | None = None
        self.count = 0

    def add(self, samples: Tensor) -> None:
        self.signal += samples
        power = self._power(samples.double())
        self.power = power if self.power is None else self.power + power
        self.count += 1

    @property
    def mean(self) -> Tensor:
        return (self.signal / self.count).float()

    def map(self) -> SpreadMap:
        """Spread from the mean power and the power of the mean, which needs no draw to be kept."""
        assert self.power is not None
        of_mean = self._power(self.signal / self.count)
        variance = (self.power - self.count * of_mean).clamp(min=0) / (self.count - 1)
        spread, magnitude = (x.sqrt().float().numpy() for x in (variance, of_mean))
        return SpreadMap(spread, magnitude, self.sample_rate, self.window_samples, self.window_samples // 2)

    def _power(self, signal: Tensor) -> Tensor:
        """Mean over channels of the squared short-time spectrum, c t -> f n."""
        size = self.window_samples
        window = torch.hann_window(size, dtype=torch.float64)
        padded = torch.nn.functional.pad(signal, (size // 2, size // 2))
        power = torch.zeros(size // 2 + 1, 1 + signal.shape[-1] // (size // 2), dtype=torch.float64)
        for channel in padded:  # one after another: a complex spectrum of all would be many times the track
            found = torch.stft(channel, size, size // 2, window=window, center=False, return_complex=True)
            power += found.abs().square()
        return power / (len(signal) * window.sum().square())


def _count(separator: Separator, samples: int | None, quality: Quality) -> int:
    if samples is not None:
        return whole_number("samples", samples, at_least=2)
    model = getattr(separator, "model", None)
    own = getattr(model.settings(quality), "samples", 1) if model is not None else 1
    return own if own > 1 else DEFAULT_SAMPLES


def _draws(separator: Separator, count: int, seed: int) -> Iterator[tuple[Separator, int]]:
    """Each draw's separator and seed."""
    drawn = getattr(getattr(separator, "model", None), "drawn", None)
    for index in range(count):
        if drawn is not None:
            yield separator.hosting(drawn(index)), seed  # type: ignore[attr-defined]
        else:
            yield separator, seed + index


def _shared(progress: Progress, index: int, count: int) -> Progress:
    return lambda done, whole: progress((index * whole + done) / count, whole)


def _decibels(amplitudes: NDArray[np.float32]) -> NDArray[np.float16]:
    return (20 * np.log10(np.maximum(amplitudes, QUIETEST))).astype(np.float16)


def _amplitudes(decibels: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.asarray(10 ** (decibels.astype(np.float32) / 20), np.float32)
