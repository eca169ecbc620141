"""What goes into a recipe and what comes out: the sounds of one track, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.mixture_fit import mixture_fit
from ..data.stem_names import without_overlap
from ..errors import AudioError
from .metrics.signals import check_floats, check_layout

PAIR = ("vocals", "accompaniment")


class Frames(NamedTuple):
    """A metric in each window; NaN where it is undefined."""

    starts_seconds: tuple[float, ...]
    durations_seconds: tuple[float, ...]
    values: tuple[float, ...]


class Measured(NamedTuple):
    """One number of one stem of one track; `value` None has its `reason`, `windows` counts what went into it.

    `note` says what a reader must know of a value that is there. `frames` are its windows, where the recipe has any.
    """

    stem: str
    metric: str
    value: float | None
    reason: str | None = None
    windows: int | None = None
    note: str | None = None
    frames: Frames | None = None


@dataclass(frozen=True)
class Material:
    """One separated track: references and estimates by stem and the mixture, each c t of one shape.

    `complete` says whether the references are all that sounds in the mixture. `results` keeps what one engine has
    computed for the recipes that share it. Raises AudioError where shapes differ, are no c t, or samples no floats.
    """

    references: Mapping[str, Any]
    estimates: Mapping[str, Any]
    mixture: Any
    sample_rate: int
    complete: bool = True
    results: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = tuple(np.shape(self.mixture))
        if len(wanted) != 2:
            raise AudioError(f"The mixture has the shape {wanted}; give channels and samples (c t), x[None] of mono.")
        check_layout(wanted, "mixture")
        check_floats(np.asarray(self.mixture), "mixture")
        for what, group in (("reference", self.references), ("estimate", self.estimates)):
            for stem in self.stems:
                if tuple(np.shape(group[stem])) != wanted:
                    raise AudioError(
                        f"The {what} of {stem} has the shape {tuple(np.shape(group[stem]))} and the mixture {wanted} "
                        "(c t); they must be equal."
                    )
                check_floats(np.asarray(group[stem]), f"{what} of {stem}")

    @property
    def stems(self) -> list[str]:
        """What can be scored: stems with a reference and an estimate, in the estimates' order."""
        return [stem for stem in self.estimates if stem in self.references]

    @property
    def covered(self) -> bool:
        """Whether the stems that can be scored are all that sounds, so that what is not one of them is another."""
        return self.complete and all(stem in self.estimates for stem in self.references)

    def of(self, stems: Sequence[str]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """References and estimates of these stems, c t each, uncopied."""
        return (
            [np.asarray(self.references[stem]) for stem in stems],
            [np.asarray(self.estimates[stem]) for stem in stems],
        )

    @property
    def level_note(self) -> str | None:
        """What to say of metrics that see levels, where the references are all that sounds but not the mixture."""
        key = ("level note",)
        if key not in self.results:
            alike = all(np.shape(one) == np.shape(self.mixture) for one in self.references.values())
            stems = without_overlap(list(self.references)) if self.complete and alike else ()
            total = reduce(add, (np.asarray(self.references[stem]) for stem in stems)) if stems else None
            self.results[key] = None if total is None else mixture_fit(self.mixture, total).note
        note: str | None = self.results[key]
        return note

    def as_pair(self) -> Material:
        """The same track as vocals and accompaniment: the latter is the sum of all other stems where it is not given.

        It is left out where these are not all of the mixture, because what the sum lacks is not known.
        """
        names = [stem for stem in PAIR if stem in self.stems] if "vocals" in self.stems else []
        references = {stem: self.references[stem] for stem in names}
        estimates = {stem: self.estimates[stem] for stem in names}
        rest = [stem for stem in self.stems if stem not in PAIR]
        if names == ["vocals"] and self.covered and rest:
            references["accompaniment"] = reduce(add, self.of(rest)[0])
            estimates["accompaniment"] = reduce(add, self.of(rest)[1])
        complete = self.covered or (self.complete and len(names) == len(PAIR))
        return Material(references, estimates, self.mixture, self.sample_rate, complete, self.results)
