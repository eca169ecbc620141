"""What may be asked of a server: the settings of a separation, without any that reach its files or its network."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from ..cli.request import SeparationRequest
from ..config import Frozen, validated
from ..errors import OptionError
from ..formats import Bits, check_writable, file_format
from ..quality import parse_quality
from ..separator import Consistency, Quality
from .limits import Limits

WORD = re.compile(r"[A-Za-z0-9_+-]{1,64}")  # no dot and no slash: no word is a path


class Wishes(Frozen):
    """The settings of one separation, as JSON: those of `sepkit separate` that say how the stems should be.

    `players`: also make the page that plays them. Not to be asked for: a checkpoint, a device, batch and precision,
    which are the server's own.
    """

    model: str = "lightsaft"
    untrained: bool = False
    segment_seconds: float | None = Field(default=None, gt=0)
    overlap: float | None = Field(default=None, ge=0, lt=1)
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
    commercial: bool = False
    players: bool = False

    def request(self, limits: Limits, device: str = "auto") -> SeparationRequest:
        """The same as a request that can be run; raises OptionError for what this server does not do."""
        for name, value in self.options.items():
            _check_option(name, value)
        if self.uncertainty is not None and self.uncertainty > limits.max_draws:
            raise OptionError(f"{self.uncertainty} draws were asked for; this server makes at most {limits.max_draws}.")
        steps = parse_quality(self.quality)
        if isinstance(steps, int) and steps > limits.max_steps:
            raise OptionError(f"{steps} steps were asked for; this server makes at most {limits.max_steps}.")
        kind = file_format(self.format)
        check_writable(kind.name, kind.rates[-1] if kind.rates else 44_100, 1, None, self.bits)
        fields = self.model_dump(exclude={"players", "format"})
        return SeparationRequest(**fields, format=kind.name, device=device).checked()


def read_wishes(given: Any) -> Wishes:
    """Wishes from a JSON object; raises OptionError that names the field at fault."""
    if not isinstance(given, dict):
        raise OptionError(f'The settings are a JSON {type(given).__name__}; wanted an object: {{"model": …}}.')
    for name in ("checkpoint", "device", "precision", "batch_windows"):
        if name in given:
            raise OptionError(f"{name!r} cannot be chosen over the network: it is up to who started the server.")
    return validated(Wishes, given, "the settings")


def _check_option(name: str, value: Any) -> None:
    """Numbers, switches and plain words: a path, an address or a structure could reach beyond the work folder."""
    if not name.isidentifier() or not (
        value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and WORD.fullmatch(value))
    ):
        raise OptionError(
            f"The option {name}={value!r} cannot be given over the network: wanted a number, true, false or one plain "
            "word. Run sepkit separate without a server for others."
        )
