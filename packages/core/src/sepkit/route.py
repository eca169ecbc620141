"""One track's way through the host: mixture to windows on the way in, stems to the mixture's format on the way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from .channels import group_channels, ungroup
from .filters.consistency import give_rest
from .resampling import StreamResampler, resampled_length
from .separator import Consistency
from .windows import Grid, OverlapAdder, SampleQueue, Window, Windower


@dataclass(frozen=True, slots=True)
class Route:
    """What both ends of the way must agree on: the track's format, the model's, and the grid of windows.

    `grid` None: the model takes the whole track as one window.
    """

    sample_rate: int  # Hz, of the track
    channels: int
    model_sample_rate: int
    model_channels: int
    stems: tuple[str, ...]
    grid: Grid | None
    consistency: Consistency

    @property
    def resampled(self) -> bool:
        return self.sample_rate != self.model_sample_rate

    @property
    def padding_samples(self) -> int:
        """Zeros after the track, so that the way down and up again can't end before the track does.

        n samples become round(n·down), then round(that·up): without padding up to up/2 samples could be missing.
        """
        return -(-self.sample_rate // self.model_sample_rate) if self.resampled else 0

    @property
    def groups(self) -> int:
        """How many signals of the model's channel count carry the track's channels."""
        return -(-self.channels // self.model_channels)

    def window_count(self, length_samples: int) -> int:
        """How many windows, over all channel groups, a track of `length_samples` comes to."""
        if length_samples == 0:
            return 0
        model_samples = resampled_length(length_samples, self.sample_rate, self.model_sample_rate)
        return self.groups * (self.grid.count(max(1, model_samples)) if self.grid else 1)


class WayIn:
    """Blocks (c t) of the track in, windows (g c t) at the model's rate out, one signal g for each channel group."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._windower = Windower(route.grid) if route.grid else None
        self._whole = SampleQueue()
        self._resampler = (
            StreamResampler(route.sample_rate, route.model_sample_rate, route.channels) if route.resampled else None
        )
        self.model_samples = 0  # so far, at the model's rate

    def push(self, block: Tensor) -> Iterator[Window]:
        """The windows that a block completes; exhaust the iterator before the next push."""
        return self._cut(self._resampler.push(block) if self._resampler else block)

    def finish(self) -> Iterator[Window]:
        """The windows that are left at the end of the track."""
        if self._resampler:
            yield from self._cut(self._resampler.push(torch.zeros(self._route.channels, self._route.padding_samples)))
            yield from self._cut(self._resampler.finish())
        if self._windower:
            yield from self._windower.finish()
        elif len(self._whole):
            yield Window(0, 0, self._whole.take(len(self._whole)))

    def _cut(self, samples: Tensor) -> Iterator[Window]:
        self.model_samples += samples.shape[-1]
        if samples.shape[-1] == 0:
            return
        groups = group_channels(samples, self._route.model_channels)
        if self._windower:
            yield from self._windower.push(groups)
        else:
            self._whole.push(groups)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the track: all stems s c t and the mixture c t, in the track's format."""

    stems: Tensor
    mixture: Tensor


class WayOut:
    """Separated windows (g s c t) in, stretches of stems in the track's format out, aligned with the mixture."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._adder = OverlapAdder(route.grid) if route.grid else None
        self._resampler = (
            StreamResampler(route.model_sample_rate, route.sample_rate, route.channels * len(route.stems))
            if route.resampled
            else None
        )
        self._mixture = SampleQueue()  # waits for its stems
        self._stems = SampleQueue()  # s c t

    def remember(self, block: Tensor) -> None:
        """Take note of the next block (c t) of the mixture; the block must not change any more."""
        self._mixture.push(block)

    def push(self, windows: Tensor) -> None:
        """Add one window's result, g s c t; windows come in order."""
        self._forward(self._adder.add(windows) if self._adder else windows)

    def finish(self, model_samples: int) -> None:
        """Push what is left out of the overlap-add and the resampler; the track had so many samples at that rate."""
        rest = self._adder.finish(model_samples) if self._adder else None
        if rest is not None:
            self._forward(rest)
        if self._resampler:
            self._stems.push(self._split(self._resampler.finish()))

    def take(self) -> Piece | None:
        """The stretch that is ready now; None when there is none."""
        ready = min(len(self._stems), len(self._mixture))  # stems may run past the end of the mixture, by padding
        if ready == 0:
            return None
        stems, mixture = self._stems.take(ready), self._mixture.take(ready)
        if self._route.consistency != "none":
            # Windows are consistent already; what is left is what the model's rate can't hold, and rounding.
            [stems] = give_rest(stems[None], mixture[None], self._route.stems)
        return Piece(stems, mixture)

    def _forward(self, groups: Tensor) -> None:
        stems = ungroup(groups, self._route.channels)  # s c t
        if self._resampler:
            stems = self._split(self._resampler.push(rearrange(stems, "s c t -> (s c) t")))
        self._stems.push(stems)

    def _split(self, samples: Tensor) -> Tensor:
        return rearrange(samples, "(s c) t -> s c t", c=self._route.channels)
