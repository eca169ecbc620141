"""Whole Separators that break one promise each, one that the host would keep for a WindowModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..audio import Audio, Stems
from ..host import HostedSeparator
from .broken_models import Quieter
from .fakes import Split


class WholeSeparator:
    """A whole Separator that keeps every promise, by way of the host; the broken ones below change one thing each."""

    def __init__(self) -> None:
        self._hosted = HostedSeparator(Split(), device="cpu")
        self.info = self._hosted.info

    def separate(self, mixture: Any, **options: Any) -> Stems:
        """Separate as the hosted Split does."""
        return self._hosted.separate(mixture, **options)


def _remade(original: Stems, **changed: Any) -> Stems:
    kept = {"stems": dict(original), "residual": original.residual, "provenance": original.provenance}
    return Stems(**{**kept, **changed})


class MutatesInput(WholeSeparator):
    """Normalises the caller's array in place."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if isinstance(mixture, Tensor | np.ndarray):
            mixture *= 0.5
        return super().separate(mixture, **options)


class Renames(WholeSeparator):
    """Calls its stems by other names than its info does."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        return _remade(stems, stems={name.upper(): audio for name, audio in stems.items()})


class DropsLastSample(WholeSeparator):
    """Returns one sample less."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        cut = {name: Audio(audio.samples[:, :-1], audio.sample_rate) for name, audio in stems.items()}
        return _remade(stems, stems=cut, residual=None)


class EmptyIsAnError(WholeSeparator):
    """Stacks its windows, of which an empty track has none."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if isinstance(mixture, Audio) and mixture.length_samples == 0:
            raise RuntimeError("stack expects a non-empty TensorList")
        return super().separate(mixture, **options)


class OwnRateOut(WholeSeparator):
    """Returns stems at the model's rate."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        own = {name: audio.resampled(self.info.sample_rate) for name, audio in stems.items()}
        return _remade(stems, stems=own, residual=None)


class StereoOut(WholeSeparator):
    """Returns stereo whatever came in."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        return _remade(stems, stems={name: audio.remixed(1).remixed(2) for name, audio in stems.items()}, residual=None)


class NoResidual(WholeSeparator):
    """Gives no residual."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        return _remade(super().separate(mixture, **options), residual=None)


class SilentResidual(WholeSeparator):
    """Gives silence as residual, also when stems were left out."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        first = next(iter(stems.values()))
        return _remade(stems, residual=Audio(torch.zeros_like(first.samples), first.sample_rate))


class IgnoresConsistency(WholeSeparator):
    """Takes a consistency and does without; promises no sum by itself."""

    def __init__(self) -> None:
        self._hosted = HostedSeparator(Quieter(sums_to_mixture=False), device="cpu")
        self.info = self._hosted.info

    def separate(self, mixture: Any, **options: Any) -> Stems:
        return super().separate(mixture, **{**options, "consistency": "none"})


class ReplacesNan(WholeSeparator):
    """Hides NaN in its input instead of refusing it."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if isinstance(mixture, Tensor):
            mixture = mixture.nan_to_num(0.0, 0.0, 0.0)
        return super().separate(mixture, **options)


class IgnoresUnknown(WholeSeparator):
    """Falls back silently on names it doesn't know."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if not set(options.get("stems") or ()) <= set(self.info.stems):
            options["stems"] = None
        if options.get("consistency") not in ("uniform", "energy", "wiener"):
            options["consistency"] = "none"
        return super().separate(mixture, **{**options, "quality": "fast"})


class IntegersAsFloats(WholeSeparator):
    """Takes whole numbers as if full scale were 1."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        return super().separate(mixture.float() if isinstance(mixture, Tensor) else mixture, **options)


class MonoIsAnError(WholeSeparator):
    """Refuses an array with one axis."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if isinstance(mixture, Tensor) and mixture.ndim == 1:
            raise IndexError("too many indices for tensor of dimension 1")
        return super().separate(mixture, **options)


class FilesDiffer(WholeSeparator):
    """Reads files through 16 bits."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        if not isinstance(mixture, Audio | Tensor | np.ndarray):
            audio = Audio.read(mixture)
            mixture = Audio((audio.samples * 32768).round() / 32768, audio.sample_rate)
        return super().separate(mixture, **options)


class ThinProvenance(WholeSeparator):
    """Doesn't say how its stems were made."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        return _remade(super().separate(mixture, **options), provenance={"method": "split"})


class ProvenanceOfObjects(WholeSeparator):
    """Puts an object into the provenance, which no JSON can hold."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        return _remade(stems, provenance={**stems.provenance, "model": object()})


class NoProgress(WholeSeparator):
    """Never calls the progress function."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        return super().separate(mixture, **{**options, "progress": None})


class _SixteenBitStems(Stems):
    def save(self, folder: Any, format: str = "wav", bits: Any = None, *rest: Any, **named: Any) -> dict[str, Path]:
        return super().save(folder, format, 16, *rest, **named)


class SavesSixteenBits(WholeSeparator):
    """Stems whose files are always 16 bits, clipped at full scale."""

    def separate(self, mixture: Any, **options: Any) -> Stems:
        stems = super().separate(mixture, **options)
        return _SixteenBitStems(dict(stems), stems.residual, stems.provenance)


class StreamsInPieces(WholeSeparator):
    """Streams by separating each block as a track of its own, so that every edge of a block is one of the result."""

    def separate_stream(
        self, blocks: Any, sample_rate: int, channels: int, length_samples: Any = None, **options: Any
    ) -> Any:
        for block in blocks:
            yield self.separate(block, sample_rate=sample_rate, **options)
