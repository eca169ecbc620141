"""The two protocols: what a method's author writes (`WindowModel`) and what a user holds (`Separator`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from .config import Frozen

if TYPE_CHECKING:
    from torch import Tensor

    from .audio import Stems

Quality = str | int
"""`fast`, `balanced`, `best`, a number of steps, or a budget in seconds per track such as `30s`."""

Consistency = Literal["none", "uniform", "energy", "wiener"]
Kind = Literal["dedicated", "multi-head", "conditioned", "generative", "reference", "classical", "combined"]
Progress = Callable[[float, float], None]
"""Called with (seconds of audio done, seconds of audio in all); the second is NaN while the length is unknown."""


class SeparatorInfo(Frozen):
    """What a method promises: its stems, its audio format and its window.

    `window_samples` None means that the method takes the whole track at once. `fixed_window` says that no other
    window length will do. `extra_training_data` says whether weights saw data beyond the benchmark's own training set.
    """

    name: str
    stems: tuple[str, ...] = Field(min_length=1)
    sample_rate: int = Field(gt=0)  # Hz
    channels: int = Field(gt=0)
    window_samples: int | None = Field(default=None, gt=0)
    overlap_samples: int = Field(default=0, ge=0)
    fixed_window: bool = False
    random: bool = False
    sums_to_mixture: bool = False
    licence: str
    kind: Kind = "dedicated"
    extra_training_data: bool = False
    trained: bool = True


class WindowSettings(Frozen):
    """Settings every method has for one quality; a method adds its own knobs by subclassing."""

    # fraction of the window; None: the info's overlap_samples
    overlap: float | None = Field(default=None, ge=0.0, lt=1.0)


@runtime_checkable
class WindowModel(Protocol):
    """What a method's author writes: settings for a quality, and the separation of a batch of windows.

    Optional members, used by the host when present: `to(device)`, `iterate_windows(...)` (an iterator of improving
    estimates with the arguments of `separate_windows`), `provenance` (a dict, e.g. the weights' hash), `parameters`
    (count), `network_calls(settings)` (network evaluations per window), `close()`. Others use `drawn(index)` (the model
    giving one of the samples that it averages, see `sepkit.uncertainty`), `generator()` (see `sepkit.generator`) and
    `refiner(strength)` (the model that begins at an estimate, see `sepkit.ensemble_streams`).
    """

    info: SeparatorInfo

    def settings(self, quality: str | int) -> WindowSettings:
        """The method's knobs for `fast`, `balanced`, `best` or a number of steps; raises OptionError otherwise."""
        ...

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Separate windows: b c t -> b s c t, stems in the order of `info.stems`.

        `starts` holds each window's absolute first sample at the model's rate: random draws are keyed by it, so that
        neighbouring windows see the same noise where they overlap. The last window of a track is zero-padded.
        """
        ...


@runtime_checkable
class Separator(Protocol):
    """What a user holds: any audio in, named stems of the same rate, channels and length out."""

    info: SeparatorInfo

    def separate(
        self,
        mixture: Any,
        *,
        sample_rate: int | None = None,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Stems:
        """Separate a path, Audio, numpy or torch array (c t) or (t) at `sample_rate` (Hz; None: the model's own)."""
        ...


@runtime_checkable
class Hosting(Protocol):
    """A method made of other methods: what its build function returns makes the Separator, and hosts them itself."""

    def hosted(self, **settings: Any) -> Separator:
        """The Separator under the host's settings of `get_separator`: device, precision, batch_windows, and so on."""
        ...


class Refinable(Protocol):
    """A separator that can yield improving estimates, each a complete `Stems`."""

    def separate_iter(self, mixture: Any, **options: Any) -> Iterator[Stems]: ...
