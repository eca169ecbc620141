"""The protocol of methods that make music: all stems out of nothing, some beside given ones, or a stretch of time.

A plugin takes part by an optional member of its WindowModel (or Separator): `generator()`, which returns a Generator
with the same weights. Nothing else is to be announced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .audio import Audio, Stems
from .devices import choose_device
from .errors import OptionError, SepkitError
from .registry import build_method
from .separator import Progress, Quality, SeparatorInfo


@runtime_checkable
class Generator(Protocol):
    """What makes stems that were never recorded; equal arguments give equal stems.

    The provenance of a result has `generation` ("total", "arrangement" or "inpainting"), `given`, `generated` and
    `seed`. Wrong arguments raise OptionError, UnknownNameError or AudioError before any work.
    """

    info: SeparatorInfo

    def generate(
        self, seconds: float, *, seed: int = 0, quality: Quality = "balanced", progress: Progress | None = None
    ) -> Stems:
        """All stems, that long, at the method's own rate."""
        ...

    def arrange(
        self,
        given: Mapping[str, Any],
        generate: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        progress: Progress | None = None,
    ) -> Stems:
        """The given stems, untouched, and those to `generate` beside them (None: all others), in their format.

        Each given stem is what a separator takes as a mixture; they share one rate, channel count and length. Stems
        that are neither given nor generated are silent, and are not returned.
        """
        ...

    def inpaint(
        self,
        given: Mapping[str, Any],
        start_seconds: float,
        end_seconds: float,
        generate: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        progress: Progress | None = None,
    ) -> Stems:
        """The given stems with that stretch of time made anew in those to `generate` (None: all that are given)."""
        ...


def get_generator(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    untrained: bool = False,
    device: str = "auto",
    **options: Any,
) -> Generator:
    """The generator of the method of that name: `get_generator("msdm_projected").generate(12.0, seed=0)`.

    Takes what `get_separator` takes, less what only windows need. Raises what that raises, and OptionError for a method
    that cannot generate.
    """
    method = build_method(name, checkpoint=checkpoint, untrained=untrained, **options)
    make = getattr(method, "generator", None)
    if make is None:
        raise OptionError(
            f"The method {name!r} separates but cannot generate: it has no generator(). Take one that models all stems "
            "together, such as msdm_projected."
        )
    choice = choose_device(device, movable=hasattr(method, "to"))
    if hasattr(method, "to"):
        method.to(choice.device)
    made = make()
    if not isinstance(made, Generator):
        raise SepkitError(
            f"The generator of {name!r} is a {type(made).__name__} without info, generate, arrange and inpaint; its "
            "package has to be repaired."
        )
    return made


def mixed(stems: Stems) -> Audio:
    """The sum of all stems."""
    return Audio(sum((part.samples for part in stems.values()), start=next(iter(stems.values())).samples * 0),
                 stems.sample_rate)  # fmt: skip
