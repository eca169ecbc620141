"""What a user may set: the sampler's knobs, and the options of `get_separator("conditional_diffusion", ...)`."""

from __future__ import annotations

from pydantic import Field

from sepkit.config import Frozen
from sepkit.separator import WindowSettings

DEFAULT_STEPS, FAST_STEPS = 50, 20
"""The paper's best number of steps, and its fast one."""


class ConditionalSettings(WindowSettings):
    """The sampler's knobs, with the paper's best values.

    `steps` T; `eta`, 0 to 1, how much of the noise is drawn anew in every step; `cutoff_hz` of that noise's high-pass
    (0: white). `samples` results are drawn and averaged.
    """

    steps: int = Field(default=DEFAULT_STEPS, ge=1)
    eta: float = Field(default=0.4, ge=0, le=1)
    cutoff_hz: float = Field(default=5000.0, ge=0)
    samples: int = Field(default=1, ge=1)


class Options(Frozen):
    """What `get_separator("conditional_diffusion", ...)` takes beside the host's options; None: by the quality."""

    preset: str | None = None  # with untrained: the network, a name of PRESETS
    target: str | None = None  # with untrained: the stem to restore
    weights_seed: int = Field(default=0, ge=0)  # with untrained
    steps: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0, le=1)
    cutoff_hz: float | None = Field(default=None, ge=0)
    samples: int | None = Field(default=None, ge=1)

    @property
    def of_untrained(self) -> dict[str, str]:
        """What was given of that which only a network of random weights can take."""
        names = ("preset", "target")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def fixed(self) -> dict[str, object]:
        """Knobs that win over those of a quality."""
        return self.model_dump(include=set(ConditionalSettings.model_fields) - {"overlap"}, exclude_none=True)
