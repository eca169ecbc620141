"""Tiny methods for tests: they need no weights, run in microseconds and keep every promise they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import OptionError, nearest
from ..noise import gaussian
from ..separator import SeparatorInfo, WindowSettings

QUALITIES = ("fast", "balanced", "best")


class Fake:
    """What the fakes share: small stereo windows at 8 kHz, any of which `info` fields replace, and no knobs."""

    promise: ClassVar[dict[str, Any]] = {}

    def __init__(self, **changes: Any):
        fields: dict[str, Any] = {
            "name": type(self).__name__.lower(),
            "sample_rate": 8000,
            "channels": 2,
            "window_samples": 1024,
            "overlap_samples": 256,
            "licence": "MIT",
        }
        self.info = SeparatorInfo(**{**fields, **self.promise, **changes})

    def settings(self, quality: str | int) -> WindowSettings:
        """The same settings for every quality; raises OptionError for one that is none."""
        if quality not in QUALITIES and (not isinstance(quality, int) or quality < 1):
            raise OptionError(f"Quality {quality!r} is no number of steps: {nearest(str(quality), QUALITIES)}")
        return WindowSettings()


class Identity(Fake):
    """One stem, which is the mixture: whatever the host does to audio shows as a difference from the input."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("everything",), "sums_to_mixture": True}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Return the windows: b c t -> b 1 c t."""
        return windows[:, None].clone()


class Split(Fake):
    """Two stems, below and above a soft edge in frequency, whose sum is the mixture.

    The filter runs over the window as a whole, so that overlap-add, padding and batching all matter.
    """

    promise: ClassVar[dict[str, Any]] = {"stems": ("low", "high"), "sums_to_mixture": True}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Split windows by frequency: b c t -> b 2 c t."""
        spectrum = torch.fft.rfft(windows)
        mask = torch.linspace(6.0, -6.0, spectrum.shape[-1]).sigmoid().to(windows.device)
        low = torch.fft.irfft(spectrum * mask, n=windows.shape[-1])
        return torch.stack((low, windows - low), dim=1)


class Noisy(Fake):
    """Two random stems: noise keyed by seed, stem and absolute position, as a sampler draws it, and the rest."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("noise", "rest"), "sums_to_mixture": True, "random": True}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Draw noise at a hundredth of full scale and subtract it: b c t -> b 2 c t."""
        channels, length_samples = windows.shape[1:]
        drawn = [gaussian(seed, "noise", start, length_samples, channels) for start in starts]
        noise = 0.01 * torch.stack(drawn).to(windows)
        return torch.stack((noise, windows - noise), dim=1)
