"""What a `separate` run was asked to do with every file: plain values, so that worker processes get them too."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..config import Frozen
from ..errors import OptionError
from ..formats import Bits
from ..licences import check_commercial
from ..loaded_weights import licences_of
from ..registry import get_separator
from ..separator import Consistency, Quality, Separator


class SeparationRequest(Frozen):
    """The method with its settings, and what to write of each file.

    `stems` None: all. `two_stems`: one stem and, as one more output, the rest of the mixture. `uncertainty`: so many
    draws are averaged, and the map of their spread is written too. `commercial`: only weights whose licence allows it.
    """

    model: str
    checkpoint: str | None = None
    untrained: bool = False
    device: str = "auto"
    precision: str = "fp32"
    batch_windows: int | None = None
    segment_seconds: float | None = None
    overlap: float | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    stems: tuple[str, ...] | None = None
    two_stems: str | None = None
    residual: bool = False
    uncertainty: int | None = Field(default=None, ge=2)
    quality: Quality = "balanced"
    consistency: Consistency = "none"
    seed: int = 0
    format: str = "wav"
    bits: Bits | None = None
    overwrite: bool = False
    skip_existing: bool = False
    commercial: bool = False

    def separator(self) -> Separator:
        """Load the method; raises what `get_separator` raises, and LicenceError where `commercial` forbids it."""
        separator = get_separator(
            self.model,
            checkpoint=self.checkpoint,
            untrained=self.untrained,
            device=self.device,
            precision=self.precision,
            batch_windows=self.batch_windows,
            segment_seconds=self.segment_seconds,
            overlap=self.overlap,
            **self.options,
        )
        if self.commercial:
            check_commercial(f"--commercial: {self.model}", licences_of(separator))
        return separator

    def written_stems(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the outputs, for a method with the stems `known`."""
        from ..file_separation import RESIDUAL, complement_name

        if self.two_stems is not None:
            return self.two_stems, complement_name(self.two_stems)
        return (self.stems or known) + ((RESIDUAL,) if self.residual else ())

    def try_on(self, separator: Any) -> None:
        """Raise what the method has against this request (stems, quality, precision, …) before any file is read."""
        from ..inputs import check_stems
        from ..quality import Budget, parse_quality

        stems = (self.two_stems,) if self.two_stems is not None else self.stems
        check_stems(stems, separator.info.stems, self.model)
        if self.uncertainty is not None and not separator.info.random:
            raise OptionError(f"--uncertainty: {self.model} is not random, so its draws cannot differ; leave it out.")
        if hasattr(separator, "separate_stream"):
            budget = isinstance(parse_quality(self.quality), Budget)  # timed on each file's own length
            separator.separate_stream(
                (),
                separator.info.sample_rate,
                separator.info.channels,
                0,
                stems=stems,
                seed=self.seed,
                quality="fast" if budget else self.quality,
                consistency=self.consistency,
            )

    def checked(self) -> SeparationRequest:
        """This request; raises OptionError for wishes that exclude each other."""
        if self.two_stems is not None and self.stems is not None:
            raise OptionError("--two-stems and --stems exclude each other: keep one.")
        if self.two_stems is not None and self.residual:
            raise OptionError(f"--two-stems {self.two_stems} writes the rest anyway; drop --residual.")
        if self.overwrite and self.skip_existing:
            raise OptionError("--overwrite and --skip-existing exclude each other: keep one.")
        if self.checkpoint is not None and self.untrained:
            raise OptionError("--checkpoint and --untrained exclude each other: keep one.")
        return self
