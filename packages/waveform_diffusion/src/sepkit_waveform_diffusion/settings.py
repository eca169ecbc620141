"""What a user may set: the knobs of the way back, and the options of `get_separator("cold_diffusion", ...)`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sepkit.config import Frozen
from sepkit.separator import WindowSettings

from .cold import Process

LevelFix = Literal["alpha_bar", "peak", "clamp", "none"]
Wiener = Literal["none", "complement", "two_models"]


class ColdSettings(WindowSettings):
    """The knobs of the way back.

    `steps` of the schedule's T are taken, evenly spread (None: all); `stop_after` ends early after so many of them.
    `process`: the `published` rule, or the self-`consistent` one. `level` undoes the published rule's gain:
    `alpha_bar` by the factor that is known, `peak` by matching the mixture's peak window by window and `clamp` by
    clipping to the mixture's range, both as compatibility modes. `wiener`: the paper's post-filter, with the complement
    or with the checkpoint's second network as the other source.
    """

    steps: int | None = Field(default=None, ge=1)
    stop_after: int | None = Field(default=None, ge=1)
    process: Process = "published"
    level: LevelFix = "alpha_bar"
    wiener: Wiener = "none"


class Options(Frozen):
    """What `get_separator("cold_diffusion", ...)` takes beside the host's options; None: by the quality."""

    preset: str | None = None  # with untrained: the network, a name of PRESETS
    schedule: str | None = None  # with untrained: a name of SCHEDULES
    target: str | None = None  # with untrained: the stem to restore
    seed: int = Field(default=0, ge=0)  # of random weights, with untrained
    fused: bool = True  # False runs a WaveNet as it was trained, for comparison
    steps: int | None = Field(default=None, ge=1)
    stop_after: int | None = Field(default=None, ge=1)
    process: Process | None = None
    level: LevelFix | None = None
    wiener: Wiener | None = None

    @property
    def of_untrained(self) -> dict[str, str]:
        """What was given of that which only a network of random weights can take."""
        names = ("preset", "schedule", "target")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def fixed(self) -> dict[str, object]:
        """Knobs that win over those of a quality."""
        return self.model_dump(include=set(ColdSettings.model_fields) - {"overlap"}, exclude_none=True)
