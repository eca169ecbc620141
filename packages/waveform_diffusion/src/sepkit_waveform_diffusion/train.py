"""Train a cold-diffusion network for one target and one schedule.

`python -m sepkit_waveform_diffusion.train --config train_default --source folder:SONGS --valid folder:SONGS --out RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sepkit.channels import group_channels, ungroup
from sepkit.checkpoint import load_checkpoint, load_state, save_checkpoint
from sepkit.config import Frozen
from sepkit.errors import OptionError
from sepkit.training.command import record_settings, run_training
from sepkit.training.items import StemData, StemItems
from sepkit.training.loop import FitConfig, FitResult, fit
from sepkit.training.validation import Validation, check_choice

from .config import SCHEDULES, ColdConfig, ColdModel
from .loss import ColdLoss, LossWeights
from .network import ColdNetwork, new_network
from .presets import PRESETS, preset_model
from .separator import CONFIG_VERSION, NAME, separator_info
from .settings import ColdSettings
from .signals import separate_signals

STEMS = ("vocals", "drums", "bass", "other")


class ColdData(StemData):
    """Where training audio comes from and how it is varied. Defaults: the paper's, songs as they are."""

    remix_probability: float = 0.0
    crop_samples: int = 8192


class TrainConfig(Frozen):
    """A whole training run: the network, its data, its loss, the loop, and what validation listens to.

    `initial` is a checkpoint folder whose first network's weights to begin with, of the same backbone.
    """

    model: ColdModel
    data: ColdData
    fit: FitConfig
    loss: LossWeights = LossWeights(l1=1.0)
    stems: tuple[str, ...] = STEMS
    initial_seed: int = 0  # of the first weights
    initial: str | None = None
    validation: tuple[str, ...] = ()  # dataset specs; their valid split, whole tracks
    recipe: str = "sdx23"
    licence: str = "unknown: say what the training data allows"
    extra_training_data: bool = True


# The paper's recipe where the reference code does not contradict it: L1, constant rate, 8 crops of 0.37 s.
TRAIN_ISMIR22 = TrainConfig(
    model=PRESETS["diffwave"],
    data=ColdData(sources=()),
    fit=FitConfig(
        steps=500_000, batch_size=8, learning_rate=2e-4, ema_decay=0.0, workers=4, validate_every=2500, metric="sdr_mdx"
    ),
)

# What the shipped checkpoint was trained with, on 2 CPU cores; its card has the stages.
TRAIN_DEFAULT = TrainConfig(
    model=PRESETS["cold_unet"],
    data=ColdData(
        sources=(),
        crop_samples=65_536,
        remix_probability=0.5,
        gain_db=(-5.0, 5.0),
        flip_sign=0.5,
        swap_channels=0.5,
        absent_probability=0.07,
        speed=(0.87, 1.15),
        silence_tries=3,
    ),
    fit=FitConfig(
        steps=1500,
        batch_size=6,
        learning_rate=3e-3,
        schedule="one_cycle",
        warmup_fraction=0.08,
        weight_decay=1e-3,
        clip_norm=5.0,
        ema_decay=0.995,
        workers=1,
        save_every=100,
        validate_every=250,
        metric="sdr_mdx",
    ),
    loss=LossWeights(cross_entropy=1.0, relative=4.0),
)

# The second network of the shipped checkpoint, at the same budget: what `wiener="two_models"` listens to.
TRAIN_ACCOMPANIMENT = TRAIN_DEFAULT.model_copy(update={"model": preset_model("cold_unet", "beta_100", "accompaniment")})

TRAIN_PRESETS = {
    "train_ismir22": TRAIN_ISMIR22,
    "train_default": TRAIN_DEFAULT,
    "train_accompaniment": TRAIN_ACCOMPANIMENT,
}


def train(config: TrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged network by the recipe's mean score as a checkpoint in `out/best`.

    A run that was stopped goes on where its last state was saved. Raises SepkitError for empty or unfit data.
    """
    stems = ColdConfig(models=(config.model,)).stems
    check_choice(config.validation, config.recipe, config.fit.metric, stems)
    network = first_network(config)
    items = StemItems(
        config.data,
        stems=config.stems,
        length_samples=config.data.crop_samples,
        sample_rate=config.model.sample_rate,
        channels=config.model.audio_channels,
        seed=config.fit.seed,
    )
    items.prepare()
    record_settings(config, out)

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        write_checkpoint(out / "best", averaged, config, {"step": step, "validation": scores})

    def separate(averaged: nn.Module, mixture: Tensor) -> dict[str, Tensor]:
        assert isinstance(averaged, ColdNetwork)
        return dict(zip(stems, separate_track(averaged, mixture), strict=True))

    validate = Validation(config.validation, stems, config.model.sample_rate, config.recipe, separate)
    loss = ColdLoss(config.model, config.loss, config.stems)
    layout = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fit(layout, loss, items, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


def first_network(config: TrainConfig) -> ColdNetwork:
    """A network of random weights, or of those of the checkpoint `initial`, whatever schedule they were trained for."""
    network = new_network(config.model, config.initial_seed)
    if config.initial is None:
        return network
    found = load_checkpoint(config.initial, separator=NAME, config_type=ColdConfig, config_version=CONFIG_VERSION)
    if found.config.main.backbone != config.model.backbone:
        raise OptionError(
            f"The checkpoint {config.initial} has another backbone ({found.config.main.backbone.kind}) than the one to "
            "be trained; begin with one of the same settings, or with none."
        )
    prefix = "0."
    state = {name.removeprefix(prefix): value for name, value in found.state.items() if name.startswith(prefix)}
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(network, counters | state)
    return network


def separate_track(network: ColdNetwork, mixture: Tensor, piece_seconds: float = 12.0) -> list[Tensor]:
    """Separate a whole track piece by piece, without overlap: c t -> c t for each stem. For validation only."""
    piece = round(piece_seconds * network.model.sample_rate)
    signals = group_channels(mixture, network.model.audio_channels)  # g c t: a mono network takes channel by channel
    found = [separate_signals((network,), part, ColdSettings()) for part in torch.split(signals, piece, dim=-1)]
    return list(ungroup(torch.cat(found, dim=-1), len(mixture)))


def write_checkpoint(
    folder: Path, network: nn.Module, config: TrainConfig, extra: dict[str, Any], card: str | None = None
) -> None:
    """Save the network as a loadable checkpoint, half precision, with what it was trained with."""
    cold = ColdConfig(models=(config.model,))
    info = separator_info(cold, licence=config.licence, extra_training_data=config.extra_training_data)
    save_checkpoint(
        folder,
        separator=NAME,
        config=cold,
        config_version=CONFIG_VERSION,
        info=info,
        state={f"0.{name}": value for name, value in network.state_dict().items() if "num_batches" not in name},
        card=card or f"# {NAME}\n\nTrained by `python -m {__package__}.train`; see `extra` in config.json.\n",
        half=True,
        extra={"training": {"config": config.model_dump(mode="json"), **extra}},
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_waveform_diffusion.train", __doc__, TRAIN_PRESETS, train, given)


__all__ = ["SCHEDULES", "TRAIN_PRESETS", "main", "train"]

if __name__ == "__main__":
    sys.exit(main())
