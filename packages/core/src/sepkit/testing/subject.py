"""The separator under test: built once, with variants of its host's settings on the same weights, and audio to fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch

from ..audio import Audio, Stems
from ..host import HostedSeparator
from ..separator import Separator, SeparatorInfo, WindowModel
from .promises import NotApplicable
from .signals import global_random_states, music

SHORT_SECONDS = 0.5
"""The window of most cases: a method that needs a second per second of audio is then checked in about a minute."""


class Subject:
    """A separator, or a WindowModel that the host wraps here, built at its first use.

    `name` is the registry's name where there is one, and `options` what `get_separator` is given with it: only then
    can the build function be asked for nonsense.
    """

    def __init__(
        self,
        build: Callable[[], Separator | WindowModel],
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._build = build
        self.name = name
        self.options = dict(options or {})
        self.moved_by_building: list[str] = []  # global generators whose state was not the same after as before

    @classmethod
    def named(cls, name: str, **options: Any) -> Subject:
        """The method of that name, on the CPU unless `options` for `get_separator` say otherwise."""
        from ..registry import get_separator

        options = {"device": "cpu", **options}
        return cls(lambda: get_separator(name, **options), name=name, options=options)

    @cached_property
    def given(self) -> Separator:
        """The separator as it was built, with its own window."""
        before = global_random_states()
        built = self._build()
        after = global_random_states()
        self.moved_by_building = [kind for kind in before if after[kind] != before[kind]]
        return HostedSeparator(built, device="cpu") if isinstance(built, WindowModel) else built

    @cached_property
    def separator(self) -> Separator:
        """What most cases use: the same model with a window of half a second, where any window will do."""
        info = self.info
        if not isinstance(self.given, HostedSeparator) or info.fixed_window or info.window_samples is None:
            return self.given
        if info.window_samples <= SHORT_SECONDS * info.sample_rate:
            return self.given
        return self.hosted(segment_seconds=SHORT_SECONDS)

    @property
    def info(self) -> SeparatorInfo:
        """The promises under test."""
        return self.given.info

    @property
    def model(self) -> WindowModel:
        """The model inside the host; NotApplicable for a separator that hosts itself."""
        if not isinstance(self.given, HostedSeparator):
            raise NotApplicable("it is a whole Separator, not a WindowModel in sepkit's host")
        return self.given.model

    @property
    def exact(self) -> bool:
        """Whether equal means equal bits: GPU kernels may add in another order from run to run."""
        return self.device.type == "cpu"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.given.device if isinstance(self.given, HostedSeparator) else torch.device("cpu")

    def hosted(self, **settings: Any) -> HostedSeparator:
        """The same model with other host settings; NotApplicable for a separator that hosts itself."""
        model = self.model
        assert isinstance(self.given, HostedSeparator)
        same = {"device": str(self.given.device), "precision": self.given.provenance()["precision"]}
        return HostedSeparator(model, **{**same, **settings})

    @property
    def short_seconds(self) -> float | None:
        """The window that `separator` was given instead of the model's own; None when it kept that."""
        return None if self.separator is self.given else SHORT_SECONDS

    @property
    def window_samples(self) -> int:
        """The window of `separator` at the model's rate; half a second for a method without one."""
        if self.short_seconds is None and self.info.window_samples is not None:
            return self.info.window_samples
        return round(SHORT_SECONDS * self.info.sample_rate)

    @property
    def hop_samples(self) -> int:
        """From one window of `separator` to the next, at the model's rate."""
        whole = self.info.window_samples
        overlap = self.info.overlap_samples / whole if whole else 0.25
        if isinstance(self.given, HostedSeparator):
            overlap = next((given for given in [self.model.settings("fast").overlap] if given is not None), overlap)
        return max(1, self.window_samples - round(overlap * self.window_samples))

    @property
    def some_samples(self) -> int:
        """A length for cases in which length plays no part: an eighth of a second, at most a window."""
        return min(self.window_samples, self.info.sample_rate // 8 + 1)

    def mixture(self, length_samples: int, *, sample_rate: int | None = None, channels: int | None = None) -> Audio:
        """Test music in the model's format, unless another rate (Hz) or number of channels is given."""
        rate = self.info.sample_rate if sample_rate is None else sample_rate
        return Audio(music(rate, self.info.channels if channels is None else channels, length_samples), rate)

    def separate(self, mixture: Any, *, by: Separator | None = None, **options: Any) -> Stems:
        """Separate with quality `fast` unless the options say otherwise."""
        return (by or self.separator).separate(mixture, **{"quality": "fast", **options})

    @cached_property
    def reference_mixture(self) -> Audio:
        """Music over three windows, the last of them padded."""
        return self.mixture(self.window_samples + self.hop_samples + 7)

    @cached_property
    def reference(self) -> Stems:
        """The separation that several cases look at."""
        return self.separate(self.reference_mixture)

    def close(self) -> None:
        """Let go of the separator, if it was built and can be closed."""
        given = self.__dict__.pop("given", None)
        for cached in ("separator", "reference", "reference_mixture"):
            self.__dict__.pop(cached, None)
        close = getattr(given, "close", None)
        if close is not None:
            close()
