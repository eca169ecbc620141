"""Train latent diffusion for one or several target stems, in the latents of a codec that is there already.

`python -m sepkit_latent_diffusion.train --config train_default --set codec=CODEC_RUN/best --source folder:SONGS \
--valid folder:SONGS --out RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from sepkit.channels import group_channels, ungroup
from sepkit.checkpoint import load_checkpoint, load_state, save_checkpoint
from sepkit.codecs import Codec
from sepkit.config import Frozen
from sepkit.errors import OptionError
from sepkit.training.command import record_settings, run_training
from sepkit.training.loop import FitConfig, FitResult, Items, fit
from sepkit.training.validation import Validation, check_choice

from .codec.checkpoints import (
    build_codec,
    codec_state,
    count_parameters,
    frozen,
    is_own,
    load_codec,
    settings_of,
    stored,
)
from .config import LatentConfig
from .items import PairData, SoundingItems, crop_items
from .latent_cache import LatentCache
from .latent_items import LatentItems
from .loss import Encoding, LatentLoss, Latents, LossConfig
from .network import LatentNetwork, new_network
from .presets import PRESETS
from .separator import CODEC, CONFIG_VERSION, NAME, NETWORK, LatentSeparator, part_of, separator_info
from .statistics import feature_importance, feature_sizes

STEMS = ("vocals", "drums", "bass", "other")
MEASURED_ITEMS = 48  # from which the latents' statistics are taken


class TrainConfig(Frozen):
    """A whole training run: the networks, their data, their loss, the loop, and what validation listens to.

    `codec`: a checkpoint folder of `codec_train`, whose settings take the place of `model.codec`. `codec_weights`: a
    published codec's, a file or "hub". `initial`: a checkpoint folder of the same networks whose weights to begin with.
    """

    model: LatentConfig
    data: PairData
    fit: FitConfig
    loss: LossConfig = LossConfig()
    stems: tuple[str, ...] = STEMS
    codec: str | None = None
    codec_weights: str | None = None
    initial_seed: int = 0  # of the first weights
    initial: str | None = None
    validation: tuple[str, ...] = ()  # dataset specs; their valid split, whole tracks
    validation_steps: int = Field(default=8, ge=1)  # of the sampler
    recipe: str = "sdx23"
    licence: str = "unknown: say what the training data allows"
    extra_training_data: bool = True


# For two CPU cores, in the latents of `codec_train --config train_default`.
TRAIN_DEFAULT = TrainConfig(
    model=PRESETS["small"],
    data=PairData(
        sources=(),
        crop_seconds=4.0,
        remix_probability=0.8,
        gain_db=(-5.0, 5.0),
        flip_sign=0.5,
        swap_channels=0.5,
        speed=(0.87, 1.15),
        silence_tries=6,
        equaliser_db=3.0,
    ),
    fit=FitConfig(
        steps=2000,
        batch_size=8,
        learning_rate=1e-3,
        schedule="one_cycle",
        warmup_fraction=0.05,
        weight_decay=1e-2,
        clip_norm=1.0,
        ema_decay=0.995,
        workers=1,
        save_every=200,
        validate_every=500,
        metric="sdr_mdx/vocals",
    ),
)

# The paper's: pairs of open data in the latents of EnCodec, nothing but the velocity's loss. Its numbers are not known:
# these are of the same authors' waveform model (arXiv 2511.21342), and what that leaves open is ours.
TRAIN_PAPER = TrainConfig(
    model=PRESETS["encodec_24khz"],
    data=PairData(sources=(), crop_seconds=6.0, mode="latents"),
    loss=LossConfig(guess=0.0, emphasis=0.0),
    fit=FitConfig(
        steps=1_000_000,
        batch_size=32,
        learning_rate=1e-4,
        schedule="one_cycle",
        warmup_fraction=0.02,
        weight_decay=1e-3,
        clip_norm=1.0,
        ema_decay=0.999,
        workers=8,
        save_every=5000,
        validate_every=20_000,
        metric="sdr_mdx/vocals",
    ),
)

TRAIN_PRESETS = {"train_paper": TRAIN_PAPER, "train_default": TRAIN_DEFAULT}


class Codecs(NamedTuple):
    """A codec for training, the config that names it, and what is known of how it was trained."""

    codec: Codec
    config: TrainConfig
    facts: dict[str, Any]


def train(config: TrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged networks by `fit.metric`, with their codec, as a checkpoint in `out/best`.

    A run that was stopped goes on where its last state was saved. Raises SepkitError for empty or unfit data.
    """
    check_choice(config.validation, config.recipe, config.fit.metric, config.model.stems)
    codec, config, facts = with_codec(config)
    record_settings(config, out)
    items = training_items(config, codec, out)
    network = first_network(config, codec)
    encoding = Encoding(codec, config.model.level_rms)
    if config.initial is None:
        measure(network, encoding, items)

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        extra = {"step": step, "validation": scores}
        write_checkpoint(out / "best", codec, averaged, config, extra, codec_facts=facts)

    def separate(averaged: nn.Module, mixture: Tensor) -> dict[str, Tensor]:
        assert isinstance(averaged, LatentNetwork)
        found = separate_track(codec, averaged, mixture, config.validation_steps)
        return dict(zip(config.model.stems, found, strict=True))

    validate = Validation(config.validation, config.model.stems, codec.sample_rate, config.recipe, separate)
    loss = LatentLoss(encoding, config.loss)
    return fit(network, loss, items, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


def with_codec(config: TrainConfig) -> Codecs:
    """The codec that a config asks for, frozen, and the config with that codec's settings in it."""
    if config.codec is None:
        if is_own(config.model.codec) and config.model.codec.name not in ("waveform", "lapped"):
            raise OptionError(
                f"The codec {config.model.codec.name!r} has no weights yet: train one with `python -m "
                "sepkit_latent_diffusion.codec_train`, and give --set codec=RUN/best."
            )
        codec = frozen(build_codec(config.model.codec, weights=config.codec_weights))
        facts: dict[str, Any] = {}
    else:
        codec, _, facts = load_codec(config.codec)
    model = config.model.model_copy(update={"codec": settings_of(codec)})
    return Codecs(codec, config.model_copy(update={"model": model}), facts)


def training_items(config: TrainConfig, codec: Codec, out: Path) -> Items:
    """Items as `data.mode` says; audio is decoded, and latents are encoded, before the first step."""
    targets, seed = config.model.targets, config.fit.seed
    length = round(config.data.crop_seconds * codec.sample_rate)
    if config.data.mode == "latents":
        folder = Path(config.data.latent_cache) if config.data.latent_cache else out / "latents"
        cache = LatentCache(folder, codec, config.model.codec, config.model.level_rms)
        return LatentItems(config.data, targets, cache, crop_frames=codec.frames(length), seed=seed)
    items = crop_items(
        config.data,
        targets=targets,
        stems=config.stems,
        length_samples=length,
        sample_rate=codec.sample_rate,
        channels=codec.audio_channels,
        seed=seed,
    )
    items.prepare()
    return SoundingItems(items, config.data.keep_silent)


def measure(network: LatentNetwork, encoding: Encoding, items: Items) -> None:
    """Give the network the latents' unit and what is heard of each feature, from the first items of its training."""
    found: list[Latents] = []
    for index in range(MEASURED_ITEMS):
        item = items[index]
        found.append(encoding.of({name: tensor[None] for name, tensor in item.items()}))
    both = [torch.cat([latents.mixture[:, None], latents.targets], dim=1).flatten(0, 1) for latents in found]
    sizes = feature_sizes(both)
    loudest = max(found, key=lambda latents: float(latents.mixture.square().mean())).mixture
    codec = encoding.codec
    network.scale.copy_(sizes)
    network.importance.copy_(feature_importance(codec, loudest + codec.origin.to(loudest), sizes))


def first_network(config: TrainConfig, codec: Codec) -> LatentNetwork:
    """Networks of random weights, or with those of the checkpoint `initial`."""
    network = new_network(config.model, codec.features, config.initial_seed)
    if config.initial is None:
        return network
    found = load_checkpoint(config.initial, separator=NAME, config_type=LatentConfig, config_version=CONFIG_VERSION)
    if _networks(found.config) != _networks(config.model):
        raise OptionError(
            f"The checkpoint {config.initial} has other networks or another codec than those to be trained; begin with "
            "one of the same settings, or with none."
        )
    load_state(network, part_of(found.state, NETWORK))
    return network


def _networks(config: LatentConfig) -> tuple[Any, ...]:
    """What weights must agree in."""
    return config.generator, config.conditioner, config.guided, len(config.targets), stored(config.codec)


def separate_track(codec: Codec, network: LatentNetwork, mixture: Tensor, steps: int) -> list[Tensor]:
    """Separate a whole track window by window, without overlap: c t -> c t for each stem. For validation only."""
    info = separator_info(network.config, codec, licence="")
    model = LatentSeparator(network.config, codec, network, info, {}, {"steps": steps, "phase": "codec"})
    settings, piece = model.settings("fast"), info.window_samples
    assert piece is not None
    signals = group_channels(mixture, codec.audio_channels)  # g c t: a mono codec takes channel by channel
    found = [
        model.separate_windows(part, [place * piece] * len(part), seed=0, settings=settings)
        for place, part in enumerate(torch.split(signals, piece, dim=-1))
    ]
    return list(ungroup(torch.cat(found, dim=-1), len(mixture)))


def write_checkpoint(
    folder: Path,
    codec: Codec,
    network: nn.Module,
    config: TrainConfig,
    extra: dict[str, Any],
    *,
    codec_facts: dict[str, Any] | None = None,
    card: str | None = None,
) -> None:
    """Save the networks and a codec of our own as a loadable checkpoint, half precision, with how both were trained."""
    info = separator_info(config.model, codec, licence=config.licence, extra_training_data=config.extra_training_data)
    state = {NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    own = is_own(config.model.codec)
    if own:
        state |= {CODEC + name: tensor for name, tensor in codec_state(codec).items()}
    training = {"config": config.model_dump(mode="json"), **extra}
    save_checkpoint(
        folder,
        separator=NAME,
        config=config.model,
        config_version=CONFIG_VERSION,
        info=info,
        state=state,
        card=card or f"# {NAME}\n\nTrained by `python -m {__package__}.train`; see `extra` in config.json.\n",
        half=True,
        parameters=count_parameters(network) + (count_parameters(codec) if own else 0),
        extra={"training": training, "codec": codec_facts or {}},
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_latent_diffusion.train", __doc__, TRAIN_PRESETS, train, given)


__all__ = ["TRAIN_PRESETS", "main", "train"]

if __name__ == "__main__":
    sys.exit(main())
