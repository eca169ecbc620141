"""What a user may set: the sampler's knobs, and the options of `get_separator("latent_diffusion", ...)`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sepkit.config import Frozen
from sepkit.separator import WindowSettings

FAST_STEPS, DEFAULT_STEPS, BEST_STEPS = 10, 20, 50


class LatentSettings(WindowSettings):
    """The sampler's knobs.

    `steps` T; `eta`, 0 to 1, how much of the noise is drawn anew in every step. `samples` results are drawn and their
    sounds averaged. `temperature` is the size of all noise that sampling draws; below 1, results are nearer to their
    mean. `guidance` above 1 exaggerates what the mixture says. `phase` mixture: masks from the decoded stems on the
    mixture, a last step of ours; codec: the decoded stems, as published. `mask_exponent`: of the magnitudes that these
    masks are shares of; 1 forgives estimates that are too quiet, 2 would be right for true ones.
    """

    steps: int = Field(default=DEFAULT_STEPS, ge=1)
    eta: float = Field(default=0.0, ge=0, le=1)
    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=1)
    guidance: float = Field(default=1.0, ge=0)
    phase: Literal["codec", "mixture"] = "mixture"
    mask_exponent: float = Field(default=1.0, gt=0)


class Options(Frozen):
    """What `get_separator("latent_diffusion", ...)` takes beside the host's options; None: by the quality."""

    codec_weights: str | None = None  # of a published codec: a file, or "hub"
    preset: str | None = None  # with untrained: the network, a name of PRESETS
    target: str | None = None  # with untrained: the stem to restore
    weights_seed: int = Field(default=0, ge=0)  # with untrained
    steps: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0, le=1)
    samples: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    guidance: float | None = Field(default=None, ge=0)
    phase: Literal["codec", "mixture"] | None = None
    mask_exponent: float | None = Field(default=None, gt=0)

    @property
    def of_untrained(self) -> dict[str, str]:
        """What was given of that which only a network of random weights can take."""
        return {name: value for name in ("preset", "target") if (value := getattr(self, name)) is not None}

    @property
    def fixed(self) -> dict[str, object]:
        """Knobs that win over those of a quality."""
        return self.model_dump(include=set(LatentSettings.model_fields) - {"overlap"}, exclude_none=True)
