"""What the codec of a multi-source prior allows: the true stems encoded, decoded and handed out as the prior's are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

from sepkit.checkpoint import load_checkpoint
from sepkit.codecs import bound_to
from sepkit.errors import OptionError
from sepkit.separator import Kind
from sepkit_msdm_posterior.config import MsdmConfig
from sepkit_msdm_posterior.held_to_mixture import hold_to_mixture
from sepkit_msdm_posterior.latents import encode_stems, latent_codec
from sepkit_msdm_posterior.separator import CONFIG_VERSION, NAME
from sepkit_msdm_posterior.settings import Phase, Rest
from sepkit_msdm_posterior.stretches import level_gain, undone

CODEC_CEILING = "codec_ceiling"
PHASES: tuple[Phase, ...] = get_args(Phase)
Samples = NDArray[np.float64]


@dataclass
class CodecCeiling:
    """A reference point: no posterior in this codec is expected to come nearer to the true stems than they themselves.

    `checkpoint` is a folder of the training, `phase` whether the decoded stems keep their own or get the mixture's.
    Raises CheckpointError for a folder that is none, OptionError for sound of another rate or number of channels.
    """

    checkpoint: str
    phase: Phase = "own"
    kind: Kind = field(default="reference", init=False)

    @classmethod
    def of(cls, label: str, options: Mapping[str, Any]) -> CodecCeiling:
        """From the options of a variant; raises OptionError for others, CheckpointError where there is no prior."""
        known = {one.name for one in fields(cls) if one.init}
        if "checkpoint" not in options or not set(options) <= known or options.get("phase", "own") not in PHASES:
            raise OptionError(
                f"--variant {label!r}: {CODEC_CEILING} takes checkpoint=FOLDER of a multi-source prior and "
                f"phase={' or '.join(PHASES)}, given {dict(options)}."
            )
        made = cls(**options)
        made.prior_config()
        return made

    def prior_config(self) -> MsdmConfig:
        """The settings of the prior; raises CheckpointError."""
        found = load_checkpoint(self.checkpoint, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
        return found.config

    @torch.inference_mode()
    def __call__(self, mixture: Samples, truths: Mapping[str, Samples], sample_rate: int) -> dict[str, Samples]:
        """The mixture c t and the true stems c t -> what their latents hold of them."""
        config = self.prior_config()
        codec = latent_codec(config)
        if (sample_rate, len(mixture)) != (codec.sample_rate, codec.audio_channels):
            raise OptionError(
                f"The codec of {self.checkpoint} takes {codec.audio_channels} channel(s) at {codec.sample_rate} Hz, "
                f"and the songs have {len(mixture)} at {sample_rate} Hz: add --mono {codec.sample_rate}."
            )
        whole = torch.from_numpy(mixture).float()[None]
        stems = torch.from_numpy(np.stack(list(truths.values()))).float()[None]
        gain = level_gain(whole, config.level_rms)
        codec = bound_to(codec, gain * whole)
        latents = encode_stems(codec, gain * stems)
        decoded = codec.decode(rearrange(latents, "1 s d n -> s d n"), whole.shape[-1])
        rest: Rest = "leave" if self.phase == "own" else "equal"
        held = hold_to_mixture(decoded[None], gain * whole, phase=self.phase, rest=rest)
        return dict(zip(truths, (undone(gain) * held)[0].double().numpy(), strict=True))
