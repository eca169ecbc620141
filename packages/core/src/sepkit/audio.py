"""Sound as a value: `Audio` is samples with their rate, `Stems` a mapping from stem name to Audio."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from .channels import remix
from .errors import AudioError, MissingExtraError, OptionError, UnknownNameError, nearest
from .file_names import fill_template
from .formats import Bits, check_writable, file_format
from .partial_files import refuse_existing, replacing
from .resampling import resample
from .samples import checked_rate, checked_samples
from .soundfiles import ClippingWarning, Reader, Writer, open_reader, open_writer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .uncertainty import SpreadMap

_WRITE_BLOCK_SAMPLES = 65_536


@dataclass(frozen=True, eq=False)
class Audio:
    """Finite samples, c t float32 on the CPU with full scale ±1 (may be exceeded), at `sample_rate` Hz.

    `samples` may be given as a torch or numpy array of floats, c t or t (mono); it is copied, so that neither side
    can change the other. Raises AudioError for integers (no agreed full scale), NaN, infinity or a wrong shape.
    """

    samples: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate", checked_rate(self.sample_rate))
        object.__setattr__(self, "samples", checked_samples(self.samples, self.sample_rate))

    @property
    def channels(self) -> int:
        """Number of channels, at least 1."""
        return self.samples.shape[0]

    @property
    def length_samples(self) -> int:
        """Samples per channel, may be 0."""
        return self.samples.shape[1]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.length_samples / self.sample_rate

    def __repr__(self) -> str:
        return f"Audio({self.channels} channels, {self.seconds:.3f} s, {self.sample_rate} Hz)"

    @classmethod
    def read(cls, path: str | Path, *, start_samples: int = 0, length_samples: int | None = None) -> Audio:
        """Read a sound file (wav, flac, ogg, opus, mp3, … ; m4a and mp4 with the `av` extra), or a part of it.

        Raises AudioError that names the path and the reason.
        """
        with open_reader(path) as reader:
            audio = object.__new__(cls)  # the reader has checked everything, so the copy of __init__ is spared
            object.__setattr__(audio, "sample_rate", reader.sample_rate)
            object.__setattr__(audio, "samples", _collected(reader, start_samples, length_samples))
            return audio

    def write(self, path: str | Path, bits: Bits | None = None, overwrite: bool = False) -> int:
        """Write to a file whose suffix chooses the format, and return the number of samples that were clipped.

        `bits`: `"float"`, 16 or 24; None is float for wav (bit-exact), 24 for flac. Integers are rounded to nearest
        and saturate, with a ClippingWarning. Raises AudioError where the format cannot hold this audio.
        """
        check_writable(Path(path).suffix or str(path), self.sample_rate, self.channels, self.length_samples, bits)
        with open_writer(path, self.sample_rate, self.channels, bits=bits, overwrite=overwrite) as writer:
            for start in range(0, self.length_samples, _WRITE_BLOCK_SAMPLES):
                block = self.samples[:, start : start + _WRITE_BLOCK_SAMPLES]
                writer.write(rearrange(block, "c t -> t c").numpy())
        _warn_of_clipping(writer)
        return writer.clipped_samples

    def resampled(self, sample_rate: int) -> Audio:
        """This audio at another rate (Hz), `round(length_samples * new / old)` samples long; deterministic."""
        sample_rate = checked_rate(sample_rate)
        return Audio(resample(self.samples, self.sample_rate, sample_rate), sample_rate)

    def remixed(self, channels: int) -> Audio:
        """This audio with another channel count: copies of one channel, or the mean of several as one."""
        return Audio(remix(self.samples, channels), self.sample_rate)

    def numpy(self) -> np.ndarray:
        """A copy of the samples as a numpy array, c t float32."""
        return self.samples.numpy().copy()


def _collected(reader: Reader, start_samples: int, length_samples: int | None) -> Tensor:
    """The asked part of a file as c t; where the length is known beforehand, without holding it twice."""
    blocks = reader.blocks(start_samples=start_samples, length_samples=length_samples)
    if reader.length_samples is None:
        parts = [rearrange(torch.from_numpy(block), "t c -> c t") for block in blocks]
        return torch.cat(parts, dim=-1) if parts else torch.zeros(reader.channels, 0)
    available = max(0, reader.length_samples - start_samples)
    samples = torch.empty(reader.channels, available if length_samples is None else min(available, length_samples))
    position = 0
    for block in blocks:
        samples[:, position : position + len(block)] = rearrange(torch.from_numpy(block), "t c -> c t")
        position += len(block)
    return samples


def _warn_of_clipping(writer: Writer) -> None:
    if writer.clipped_samples:
        warnings.warn(
            f"{writer.path}: {writer.clipped_samples} samples beyond full scale were clipped to {writer.bits} bits: "
            "write wav with bits='float' to keep them.",
            ClippingWarning,
            stacklevel=3,
        )


class _UnknownStem(UnknownNameError, KeyError):
    """Also a KeyError, which `Mapping.get` expects."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class Stems(Mapping[str, Audio]):
    """What a separation returns: stem name -> Audio, all of one rate, channel count and length.

    `residual` is the mixture minus the stems, where it was asked for; `provenance` says how the stems were made.
    `uncertainty` has each stem's spread over draws where `uncertainty.separate_samples` made them, else it is empty.
    """

    def __init__(
        self,
        stems: Mapping[str, Audio],
        residual: Audio | None = None,
        provenance: Mapping[str, Any] | None = None,
        uncertainty: Mapping[str, SpreadMap] | None = None,
    ):
        self._stems = dict(stems)
        self.residual = residual
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.uncertainty: dict[str, SpreadMap] = dict(uncertainty or {})
        if not self._stems:
            raise AudioError("no stem was given: at least one is wanted.")
        first_name, first = next(iter(self._stems.items()))
        extra = {} if residual is None else {"residual": residual}
        for name, audio in [*self._stems.items(), *extra.items()]:
            if (audio.sample_rate, audio.samples.shape) != (first.sample_rate, first.samples.shape):
                raise AudioError(
                    f"stem {name!r} is {audio!r} ({audio.length_samples} samples) and {first_name!r} is {first!r} "
                    f"({first.length_samples} samples): one rate, channel count and length is wanted."
                )

    def __getitem__(self, stem: str) -> Audio:
        if stem not in self._stems:
            raise _UnknownStem(f"there is no stem {stem!r}: {nearest(str(stem), self._stems)}")
        return self._stems[stem]

    def __contains__(self, stem: object) -> bool:
        return stem in self._stems

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    def __repr__(self) -> str:
        return f"Stems({', '.join(self)}: {next(iter(self.values()))!r})"

    @property
    def sample_rate(self) -> int:
        """Hz, the same for every stem."""
        return next(iter(self.values())).sample_rate

    @property
    def mixture(self) -> Audio | None:
        """What was separated, as the sum of stems and residual; None where the residual is not known."""
        if self.residual is None:
            return None
        return Audio(sum((stem.samples for stem in self.values()), self.residual.samples), self.sample_rate)

    def plot(self) -> Figure:
        """Spectrograms of the mixture, where it is known, and of all stems, on one scale; a notebook shows them.

        Returns a matplotlib figure that belongs to nobody else (`.savefig(path)` writes it); pyplot is not touched.
        Raises MissingExtraError without matplotlib, and AudioError for stems of no length.
        """
        try:
            from .spectrogram_figure import spectrogram_figure
        except ModuleNotFoundError as error:
            raise MissingExtraError("matplotlib", "eval", "Plotting stems") from error
        mixture = self.mixture
        if mixture is None or "mixture" in self:
            return spectrogram_figure(self)
        return spectrogram_figure({"mixture": mixture, **self}, top="mixture")

    def _repr_html_(self) -> str:
        """What a notebook shows: a player of every stem, with its name, length and level."""
        from .stem_players import players_html

        return players_html(self)

    def save(
        self,
        folder: str | Path,
        format: str = "wav",
        bits: Bits | None = None,
        template: str = "{stem}.{ext}",
        overwrite: bool = False,
        *,
        residual: bool = False,
        fields: Mapping[str, str] | None = None,
    ) -> dict[str, Path]:
        """Write every stem into `folder`, with the provenance as JSON beside them, and return stem name -> path.

        `template` may use `{stem}`, `{ext}` and the names in `fields` (such as `track` and `model`); the provenance
        takes the place of a stem called `provenance`, and the maps of uncertainty, where there are any, that of one
        called `uncertainty`. `residual=True` adds the residual. What the format cannot hold and names that are taken
        are raised before anything is written.
        """
        kind = file_format(format)
        chosen = self._chosen(residual)
        names = {"ext": kind.suffixes[0], **(fields or {})}
        paths = {stem: Path(folder) / fill_template(template, {**names, "stem": stem}) for stem in chosen}
        note = Path(folder) / fill_template(template, {**names, "stem": "provenance", "ext": "json"})
        maps = Path(folder) / fill_template(template, {**names, "stem": "uncertainty", "ext": "npz"})
        extra = [note, maps] if self.uncertainty else [note]
        _refuse_shared([*paths.values(), *extra], template)
        first = next(iter(self.values()))
        check_writable(kind.name, first.sample_rate, first.channels, first.length_samples, bits)
        for path in [*paths.values(), *extra]:
            refuse_existing(path, overwrite)
        clipped = {stem: chosen[stem].write(path, bits, overwrite) for stem, path in paths.items()}
        written = {stem: {"file": path.name, "clipped_samples": clipped[stem]} for stem, path in paths.items()}
        with replacing(note, overwrite=overwrite) as partial:
            text = json.dumps({**self.provenance, "files": written}, indent=2, default=str, ensure_ascii=False)
            partial.write_text(text + "\n", encoding="utf-8")
        if self.uncertainty:
            from .uncertainty import save_uncertainty

            save_uncertainty(self.uncertainty, maps, overwrite=overwrite)
        return paths

    def _chosen(self, residual: bool) -> dict[str, Audio]:
        if not residual:
            return dict(self._stems)
        if self.residual is None:
            raise AudioError("the residual was to be saved, but these stems have none: ask for it when separating.")
        return {**self._stems, "residual": self.residual}


def _refuse_shared(paths: list[Path], template: str) -> None:
    for path in paths:
        if paths.count(path) > 1:
            raise OptionError(f"the file name template {template!r} gives {path} more than once: use {{stem}} in it.")
