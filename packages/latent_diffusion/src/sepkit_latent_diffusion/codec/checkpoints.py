"""Codecs for separators: own ones out of checkpoints, published ones only with weights that the user has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sepkit.checkpoint import load_checkpoint, load_state, save_checkpoint
from sepkit.codecs import Codec, CodecSettings, codec_settings, get_codec
from sepkit.errors import CheckpointError
from sepkit.separator import SeparatorInfo

KIND = "latent_diffusion_codec"
CONFIG_VERSION = 1
PUBLISHED = ("encodec_24khz", "encodec_48khz")


def is_own(settings: CodecSettings) -> bool:
    """Whether the codec's weights are part of the checkpoint that uses it."""
    return settings.name not in PUBLISHED


def stored(settings: CodecSettings) -> CodecSettings:
    """The settings as a checkpoint keeps them: plain JSON without the place of weights, which it or the user has."""
    kept = {name: value for name, value in settings.settings.items() if name != "weights"}
    return settings.model_copy(update={"settings": json.loads(json.dumps(kept))})


def settings_of(codec: Codec) -> CodecSettings:
    """All settings of a codec as a checkpoint keeps them, so that it stays what it is when defaults change."""
    return stored(codec_settings(codec))


def build_codec(
    settings: CodecSettings, *, weights: str | Path | None = None, state: Mapping[str, Tensor] | None = None
) -> Codec:
    """The codec of stored settings: with the weights of `state`, those of `weights` (a path, hub, random), or none.

    Linear codecs have no weights. Raises CheckpointError that says what to do where a published codec's are missing.
    """
    settings = stored(settings)
    if settings.name in PUBLISHED:
        if weights is None:
            raise CheckpointError(_missing(settings.name))
        return get_codec(settings.name, **settings.settings, weights=str(weights))
    if settings.name in ("waveform", "lapped"):
        return get_codec(settings.name, **settings.settings)
    codec = get_codec(settings.name, **settings.settings, weights="random" if weights is None else str(weights))
    if state is not None:
        assert isinstance(codec, nn.Module)
        load_state(codec, state)
    return codec


def codec_state(codec: Codec) -> dict[str, Tensor]:
    """The weights of a codec that is a module; none of one that has none."""
    return dict(codec.state_dict()) if isinstance(codec, nn.Module) else {}


def count_parameters(part: object) -> int:
    """The trained numbers of a codec or network; none of what has none."""
    return sum(parameter.numel() for parameter in part.parameters()) if isinstance(part, nn.Module) else 0


def save_codec(folder: Path, codec: Codec, *, licence: str, extra: Mapping[str, Any]) -> None:
    """Write a codec as a checkpoint folder that `load_codec` reads, in half precision."""
    settings = settings_of(codec)
    info = SeparatorInfo(
        name=KIND, stems=("sound",), sample_rate=codec.sample_rate, channels=codec.audio_channels, licence=licence
    )
    save_checkpoint(
        folder,
        separator=KIND,
        config=settings,
        config_version=CONFIG_VERSION,
        info=info,
        state=codec_state(codec),
        card=f"# {settings.name}\n\nA codec trained by `python -m sepkit_latent_diffusion.codec_train`.\n",
        half=True,
        parameters=count_parameters(codec),
        extra=extra,
    )


def load_codec(folder: str | Path) -> tuple[Codec, CodecSettings, dict[str, Any]]:
    """A codec of `save_codec` without gradients, its settings, and what is known of its training."""
    found = load_checkpoint(folder, separator=KIND, config_type=CodecSettings, config_version=CONFIG_VERSION)
    codec = build_codec(found.config, state=found.state)
    return frozen(codec), found.config, found.extra


def frozen(codec: Codec) -> Codec:
    """The codec in evaluation mode, without gradients for its weights."""
    if isinstance(codec, nn.Module):
        codec.eval().requires_grad_(False)
    return codec


def _missing(name: str) -> str:
    return (
        f"These weights work in the latents of the published codec {name!r}, which is not shipped. Get its file (the "
        f"package `encodec` has the address) and give codec_weights=FILE, as in get_separator('latent_diffusion', "
        f"checkpoint=..., codec_weights='encodec.th'); or give codec_weights='hub' to have it downloaded once."
    )
