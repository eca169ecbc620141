"""WindowModels that break one promise each: the kit's own tests prove that the case meant for it catches each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import OptionError
from ..noise import gaussian
from ..separator import WindowSettings
from .fakes import Fake, Split


class WrongLength(Split):
    """Loses the last sample of every window, as an inverse STFT without a length does."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return super().separate_windows(windows, starts, seed=seed, settings=settings)[..., :-1]


class StemsLast(Split):
    """Returns b c s t instead of b s c t, which stereo audio and two stems hide."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return super().separate_windows(windows, starts, seed=seed, settings=settings).transpose(1, 2)


class NanAtWindow(Split):
    """Returns NaN in one window, counted from 0, which is late in the track."""

    def __init__(self, index: int = 2, **changes: Any):
        super().__init__(**changes)
        assert self.info.window_samples is not None
        self.start = index * (self.info.window_samples - self.info.overlap_samples)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        stems = super().separate_windows(windows, starts, seed=seed, settings=settings)
        stems[torch.tensor(starts) == self.start] = torch.nan
        return stems


class DividesByPeak(Split):
    """Normalises by the peak, which is 0 / 0 on silence."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        peak = windows.abs().amax(dim=(1, 2), keepdim=True)
        return super().separate_windows(windows / peak, starts, seed=seed, settings=settings) * peak[:, None]


class Overflows(Split):
    """Goes through a power that loud audio overflows."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        power = windows.pow(8).mean(dim=(1, 2), keepdim=True)[:, None]
        return super().separate_windows(windows, starts, seed=seed, settings=settings) * (power / (power + 1e-30))


class Quieter(Split):
    """Promises to sum to the mixture and gives 1 dB less."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return 0.89 * super().separate_windows(windows, starts, seed=seed, settings=settings)


class Clips(Split):
    """Promises to sum to the mixture and clamps its stems to full scale, so that only loud audio shows it."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return super().separate_windows(windows, starts, seed=seed, settings=settings).clamp(-1, 1)


class WritesIntoWindows(Split):
    """Scales its argument in place."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        windows *= 0.5
        return 2 * super().separate_windows(windows, starts, seed=seed, settings=settings)


class Dithers(Split):
    """Adds noise of one global generator, far below hearing."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("low", "high")}

    def draw(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        stems = super().separate_windows(windows, starts, seed=seed, settings=settings)
        return stems + 1e-4 * self.draw(stems.shape)


class DithersByNumpy(Dithers):
    """The same with numpy's global generator."""

    def draw(self, shape: torch.Size) -> Tensor:
        return torch.from_numpy(np.random.standard_normal(tuple(shape))).float()


class DithersByPython(Dithers):
    """The same with python's global generator."""

    def draw(self, shape: torch.Size) -> Tensor:
        return torch.full(shape, random.random())


class SeedsTheWorld(Split):
    """Is repeatable by seeding the global generator, which every other user of it then feels."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("low", "high"), "random": True}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        torch.manual_seed(seed)
        noise = torch.randn(windows.shape[1:])
        return super().separate_windows(windows + 0.01 * noise, starts, seed=seed, settings=settings)


class RandomWhenBuilt(Split):
    """Draws weights from the global generator when it is built, as a freshly constructed network does."""

    def __init__(self, **changes: Any):
        super().__init__(**changes)
        self.weights = torch.randn(4)


class Remembers(Split):
    """Keeps a state from call to call: a running mean, a buffer, a batch norm in training mode."""

    def __init__(self, **changes: Any):
        super().__init__(**changes)
        self.calls = 0

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        self.calls += 1
        return super().separate_windows(windows, starts, seed=seed, settings=settings) * (1 + 1e-3 * self.calls)


class BatchDependent(Split):
    """Normalises by a statistic of the whole batch."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        scale = 1 + windows.square().mean()
        return super().separate_windows(windows, starts, seed=seed, settings=settings) * scale


class NoisyByCall(Fake):
    """Seeds a generator for each call, so that a window's noise depends on who shares its batch."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("noise", "rest"), "sums_to_mixture": True, "random": True}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        noise = 0.01 * torch.randn(windows.shape, generator=torch.Generator().manual_seed(seed + starts[0]))
        return torch.stack((noise, windows - noise), dim=1)


class ThreadDependent(Split):
    """Computes something else with another number of threads."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        scale = 1 + 1e-3 * torch.get_num_threads()
        return super().separate_windows(windows, starts, seed=seed, settings=settings) * scale


class SetsThreads(Split):
    """Changes a global setting of torch in passing."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().separate_windows(windows, starts, seed=seed, settings=settings)


class SecretlyRandom(Split):
    """Says that it isn't random and uses the seed."""

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        noise = gaussian(seed, "secret", 0, windows.shape[-1], windows.shape[-2])
        return super().separate_windows(windows + 1e-3 * noise, starts, seed=seed, settings=settings)


class IgnoresSeed(Split):
    """Says that it is random and doesn't use the seed."""

    promise: ClassVar[dict[str, Any]] = {**Split.promise, "random": True}


class OneWindowOnly(Split):
    """Works with its own window length only and doesn't say so by `fixed_window`."""

    def __init__(self, **changes: Any):
        super().__init__(**{"window_samples": 8192, "overlap_samples": 2048, **changes})

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return super().separate_windows(windows, starts, seed=seed, settings=settings) * torch.ones(8192)


class NewSettingsEachTime(Split):
    """Settings that differ from call to call."""

    def __init__(self, **changes: Any):
        super().__init__(**changes)
        self.calls = 0

    def settings(self, quality: str | int) -> WindowSettings:
        self.calls += 1
        return WindowSettings(overlap=1 / (2 + self.calls))


class NoBest(Split):
    """Knows no quality `best`."""

    def settings(self, quality: str | int) -> WindowSettings:
        if quality == "best":
            raise OptionError("best isn't there yet")
        return super().settings(quality)


class StepsAreAKeyError(Split):
    """Looks a quality up in a table and leaves a number of steps to fail there."""

    def settings(self, quality: str | int) -> WindowSettings:
        return {"fast": WindowSettings(), "balanced": WindowSettings(), "best": WindowSettings()}[str(quality)]


class Worsens(Split):
    """Yields estimates of which the last is not its answer."""

    def iterate_windows(self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings) -> Any:
        stems = self.separate_windows(windows, starts, seed=seed, settings=settings)
        yield stems
        yield 0.9 * stems
