"""Train a LightSAFT or LaSAFT network.

`python -m sepkit_lightsaft.train --config train_default --source folder:SONGS --out RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sepkit.checkpoint import save_checkpoint
from sepkit.config import Frozen
from sepkit.training.command import record_settings, run_training
from sepkit.training.loop import FitConfig, FitResult, fit
from sepkit.training.validation import Validation, check_choice

from .config import LightSaftConfig
from .loss import LossWeights, SpectrogramLoss
from .presets import PRESETS
from .separator import CONFIG_VERSION, NAME, new_network, separator_info
from .spectrum import estimate, features, istft, stft
from .training_data import DataConfig, StemItems


class TrainConfig(Frozen):
    """A whole training run: the network, its data, its loss, the loop, and what validation listens to."""

    network: LightSaftConfig
    data: DataConfig
    fit: FitConfig
    loss: LossWeights = LossWeights(cross_entropy=1.0, relative=4.0)
    initial_seed: int = 0  # of the first weights
    validation: tuple[str, ...] = ()  # dataset specs; their valid split, whole tracks
    recipe: str = "sdx23"
    licence: str = "unknown: say what the training data allows"
    extra_training_data: bool = True


# The paper's recipe: mean squared error on the complex spectrogram, stems of independent songs, no other variation.
TRAIN_PAPER = TrainConfig(
    network=PRESETS["lightsaft_mdx"],
    data=DataConfig(sources=(), frames=256),
    fit=FitConfig(
        steps=1_000_000, batch_size=16, learning_rate=5e-4, ema_decay=0.0, seed=2021, workers=4, metric="sdr_mdx"
    ),
    loss=LossWeights(mse=1.0),
)

# What the shipped checkpoint was trained with, on 2 CPU cores in about 80 minutes; its card has the stages.
TRAIN_DEFAULT = TrainConfig(
    network=PRESETS["lightsaft_small"],
    data=DataConfig(
        sources=(),
        frames=128,
        remix_probability=0.5,
        gain_db=(-5.0, 5.0),
        flip_sign=0.5,
        swap_channels=0.5,
        absent_probability=0.07,
        speed=(0.87, 1.15),
        silence_tries=3,
        equaliser_db=3.0,
    ),
    fit=FitConfig(
        steps=2000,
        batch_size=8,
        learning_rate=3e-3,
        schedule="one_cycle",
        warmup_fraction=0.08,
        weight_decay=1e-3,
        clip_norm=5.0,
        precision="bf16",
        ema_decay=0.998,
        workers=1,
        save_every=100,
        validate_every=200,
        metric="sdr_mdx",
    ),
)

TRAIN_PRESETS = {"train_paper": TRAIN_PAPER, "train_default": TRAIN_DEFAULT}


def train(config: TrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged network by the recipe's mean score as a checkpoint in `out/best`.

    A run that was stopped goes on where its last state was saved. Raises SepkitError for empty data.
    """
    check_choice(config.validation, config.recipe, config.fit.metric, config.network.stems)
    network = new_network(config.network, config.initial_seed)
    items = StemItems(
        config.data,
        stems=config.network.stems,
        length_samples=config.network.hop_samples * (config.data.frames - 1),
        sample_rate=config.network.sample_rate,
        channels=config.network.audio_channels,
        seed=config.fit.seed,
    )
    items.prepare()
    record_settings(config, out)

    def separate(averaged: nn.Module, mixture: Tensor) -> dict[str, Tensor]:
        found = separate_track(averaged, config.network, mixture, bf16=config.fit.precision == "bf16")
        return dict(zip(config.network.stems, found, strict=True))

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        write_checkpoint(out / "best", averaged, config, {"step": step, "validation": scores})

    loss = SpectrogramLoss(config.network, config.loss)
    layout = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    validate = Validation(config.validation, config.network.stems, config.network.sample_rate, config.recipe, separate)
    return fit(layout, loss, items, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


@torch.inference_mode()
def separate_track(
    network: nn.Module, config: LightSaftConfig, mixture: Tensor, *, bf16: bool, frames: int = 1024
) -> Tensor:
    """Separate a whole track piece by piece, without overlap: c t -> s c t. For validation only."""
    device = next(network.parameters()).device
    spec = stft(mixture[None].to(device), config)
    pieces = [_separate_piece(network, config, piece, bf16) for piece in _pieces(spec, frames)]
    return istft(torch.cat(pieces, dim=3), mixture.shape[1], config).cpu()


def _pieces(spec: Tensor, frames: int) -> Iterator[Tensor]:
    for start in range(0, spec.shape[3], frames):
        yield spec[..., start : start + frames]


def _separate_piece(network: nn.Module, config: LightSaftConfig, spec: Tensor, bf16: bool) -> Tensor:
    seen = features(spec, config).contiguous(memory_format=torch.channels_last)
    out = []
    for stem in range(len(config.stems)):
        with torch.autocast(spec.device.type, torch.bfloat16, enabled=bf16):
            output = network(seen, torch.tensor([stem], device=spec.device))
        out.append(estimate(output.float(), spec, config))
    return torch.cat(out)


def write_checkpoint(
    folder: Path, network: nn.Module, config: TrainConfig, extra: dict[str, Any], card: str | None = None
) -> None:
    """Save the network as a loadable checkpoint, half precision, with what it was trained with."""
    info = separator_info(config.network, licence=config.licence, extra_training_data=config.extra_training_data)
    training = {"config": config.model_dump(mode="json"), **extra}
    save_checkpoint(
        folder,
        separator=NAME,
        config=config.network,
        config_version=CONFIG_VERSION,
        info=info,
        state={key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")},
        card=card or f"# {info.name}\n\nTrained by `python -m sepkit_lightsaft.train`; see `extra` in config.json.\n",
        half=True,
        extra={"training": training},
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_lightsaft.train", __doc__, TRAIN_PRESETS, train, given)


if __name__ == "__main__":
    sys.exit(main())
