"""Train mixture-conditioned diffusion for one or several target stems.

`python -m sepkit_waveform_diffusion.conditional.train --config train_default --source folder:SONGS \
--valid folder:SONGS --out RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sepkit.channels import group_channels, ungroup
from sepkit.checkpoint import load_checkpoint, load_state, save_checkpoint
from sepkit.config import Frozen
from sepkit.errors import OptionError
from sepkit.training.command import record_settings, run_training
from sepkit.training.items import StemData, StemItems
from sepkit.training.loop import FitConfig, FitResult, fit
from sepkit.training.validation import Validation, check_choice

from .config import ConditionalConfig
from .items import SoundingItems
from .loss import ConditionalLoss, LossWeights
from .network import ConditionalNetwork, new_network
from .presets import PRESETS
from .separator import CONFIG_VERSION, NAME, ConditionalSeparator, separator_info

STEMS = ("vocals", "drums", "bass", "other")


class ConditionalData(StemData):
    """Where training audio comes from and how it is varied; `keep_silent`: share of crops kept without the target."""

    crop_seconds: float = Field(default=3.0, gt=0)
    keep_silent: float = Field(default=0.05, ge=0, le=1)


class TrainConfig(Frozen):
    """A whole training run: the networks, their data, their loss, the loop, and what validation listens to.

    `initial` is a checkpoint folder of the same networks whose weights to begin with.
    """

    model: ConditionalConfig
    data: ConditionalData
    fit: FitConfig
    loss: LossWeights = LossWeights()
    stems: tuple[str, ...] = STEMS
    initial_seed: int = 0  # of the first weights
    initial: str | None = None
    validation: tuple[str, ...] = ()  # dataset specs; their valid split, whole tracks
    validation_steps: int = Field(default=8, ge=1)  # of the sampler
    recipe: str = "sdx23"
    licence: str = "unknown: say what the training data allows"
    extra_training_data: bool = True


# The paper's: AdamW with weight decay 1e-3, warm-up and cosine, batch 32, a million steps, polarity, channels, pitch,
# remix. Ours where it is silent: the rate, the warm-up's length, clipping, the averaging, and how much each varies.
TRAIN_PAPER = TrainConfig(
    model=PRESETS["paper"],
    data=ConditionalData(
        sources=(), remix_probability=0.5, flip_sign=0.5, swap_channels=0.5, speed=(0.89, 1.12), silence_tries=1
    ),
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

# For two CPU cores. One step is the mean of what is possible: its SDR rises as the network learns, while that of a
# sample falls first, when samples become sharp before they become right.
TRAIN_DEFAULT = TrainConfig(
    model=PRESETS["small"],
    validation_steps=1,
    data=ConditionalData(
        sources=(),
        remix_probability=0.5,
        gain_db=(-5.0, 5.0),
        flip_sign=0.5,
        swap_channels=0.5,
        speed=(0.87, 1.15),
        silence_tries=3,
    ),
    fit=FitConfig(
        steps=4000,
        batch_size=8,
        learning_rate=1e-3,
        schedule="one_cycle",
        warmup_fraction=0.05,
        weight_decay=1e-3,
        clip_norm=1.0,
        ema_decay=0.995,
        workers=1,
        save_every=200,
        validate_every=500,
        metric="sdr_mdx/vocals",
    ),
)

TRAIN_PRESETS = {"train_paper": TRAIN_PAPER, "train_default": TRAIN_DEFAULT}


def train(config: TrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged networks by `fit.metric` as a checkpoint in `out/best`.

    A run that was stopped goes on where its last state was saved. Raises SepkitError for empty or unfit data.
    """
    check_choice(config.validation, config.recipe, config.fit.metric, config.model.stems)
    loss = ConditionalLoss(config.model, config.loss, config.stems)
    network = first_network(config)
    items = StemItems(
        config.data,
        stems=config.stems,
        length_samples=round(config.data.crop_seconds * config.model.sample_rate),
        sample_rate=config.model.sample_rate,
        channels=config.model.audio_channels,
        seed=config.fit.seed,
    )
    items.prepare()
    record_settings(config, out)

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        write_checkpoint(out / "best", averaged, config, {"step": step, "validation": scores})

    def separate(averaged: nn.Module, mixture: Tensor) -> dict[str, Tensor]:
        assert isinstance(averaged, ConditionalNetwork)
        found = separate_track(averaged, mixture, config.validation_steps)
        return dict(zip(config.model.stems, found, strict=True))

    validate = Validation(config.validation, config.model.stems, config.model.sample_rate, config.recipe, separate)
    sounding = SoundingItems(items, config.model.targets[0], config.data.keep_silent)
    return fit(network, loss, sounding, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


def first_network(config: TrainConfig) -> ConditionalNetwork:
    """Networks of random weights, or with those of the checkpoint `initial`."""
    network = new_network(config.model, config.initial_seed)
    if config.initial is None:
        return network
    kind = ConditionalConfig
    found = load_checkpoint(config.initial, separator=NAME, config_type=kind, config_version=CONFIG_VERSION)
    if (found.config.generator, found.config.conditioner) != (config.model.generator, config.model.conditioner):
        raise OptionError(
            f"The checkpoint {config.initial} has other networks than those to be trained; begin with one of the same "
            "settings, or with none."
        )
    load_state(network, found.state)
    return network


def separate_track(network: ConditionalNetwork, mixture: Tensor, steps: int) -> list[Tensor]:
    """Separate a whole track window by window, without overlap: c t -> c t for each stem. For validation only."""
    config = network.config
    model = ConditionalSeparator(config, network, separator_info(config, licence=""), {}, {"steps": steps, "eta": 0.0})
    settings, piece = model.settings("fast"), round(config.window_seconds * config.sample_rate)
    signals = group_channels(mixture, config.audio_channels)  # g c t: a mono network takes channel by channel
    found = [
        model.separate_windows(part, [place * piece] * len(part), seed=0, settings=settings)
        for place, part in enumerate(torch.split(signals, piece, dim=-1))
    ]
    return list(ungroup(torch.cat(found, dim=-1), len(mixture)))


def write_checkpoint(
    folder: Path, network: nn.Module, config: TrainConfig, extra: dict[str, Any], card: str | None = None
) -> None:
    """Save the networks as a loadable checkpoint, half precision, with what they were trained with."""
    info = separator_info(config.model, licence=config.licence, extra_training_data=config.extra_training_data)
    save_checkpoint(
        folder,
        separator=NAME,
        config=config.model,
        config_version=CONFIG_VERSION,
        info=info,
        state=network.state_dict(),
        card=card or f"# {NAME}\n\nTrained by `python -m {__package__}.train`; see `extra` in config.json.\n",
        half=True,
        extra={"training": {"config": config.model_dump(mode="json"), **extra}},
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_waveform_diffusion.conditional.train", __doc__, TRAIN_PRESETS, train, given)


__all__ = ["TRAIN_PRESETS", "main", "train"]

if __name__ == "__main__":
    sys.exit(main())
