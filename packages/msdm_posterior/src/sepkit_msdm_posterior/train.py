"""Train a multi-source prior: one network for all stems, which never sees a mixture.

`python -m sepkit_msdm_posterior.train --config train_default --source folder:SONGS --valid folder:SONGS --out RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from sepkit.checkpoint import load_checkpoint, load_state, save_checkpoint
from sepkit.config import Frozen
from sepkit.diffusion import LogNormalSigma
from sepkit.errors import OptionError, nearest
from sepkit.training.command import record_settings, run_training
from sepkit.training.loop import FitConfig, FitResult, fit

from .config import BandUNetConfig, MsdmConfig
from .encoders import find_encoder
from .items import PriorData, PriorItems, stem_items
from .latents import with_fitted_scales
from .loss import LossWeights, PriorLoss
from .network import PriorNetwork, new_network
from .presets import PRESETS
from .separator import CONFIG_VERSION, NAME, separator_info
from .validation import METRIC, PriorValidation
from .walks import Walk

FITTED_ITEMS = 64  # from which a codec's scales are measured


class TrainConfig(Frozen):
    """A whole training run: the prior, its data, its loss, the loop, and how validation separates.

    `sigmas` are those trained on. `encoder` makes the embedding of each item's sound: a name of `encoders`, or
    module:function. `initial` is a checkpoint folder to begin with, weights and codec, of the same network.
    """

    model: MsdmConfig
    data: PriorData
    fit: FitConfig
    loss: LossWeights = LossWeights()
    walk: Walk = Walk()
    sigmas: LogNormalSigma = LogNormalSigma(mean=-3.0, std=1.0)
    encoder: str | None = None
    initial_seed: int = 0  # of the first weights
    initial: str | None = None
    validation: tuple[str, ...] = ()  # dataset specs; their valid split
    validation_calls: int = Field(default=20, ge=1)  # of the network, for each excerpt
    validation_seconds: float = Field(default=8.0, gt=0)  # of each song
    licence: str = "unknown: say what the training data allows"
    extra_training_data: bool = True


# As published: Adam with betas (0.9, 0.99) there; bf16; validation every 4000 steps; neither averaging nor variation.
TRAIN_PUBLISHED = TrainConfig(
    model=PRESETS["msdm_paper"],
    data=PriorData(sources=(), remix_probability=0.0, crop_seconds=262_144 / 22_050, jitter_db=0.0),
    fit=FitConfig(
        steps=400_000,
        batch_size=8,
        learning_rate=1e-4,
        precision="bf16",
        ema_decay=0.0,
        workers=8,
        save_every=4000,
        validate_every=4000,
        metric=METRIC,
    ),
)

# For one or two CPU cores. It meets the states of samplers, so mixtures too: `walk.share=0` leaves them out.
TRAIN_DEFAULT = TrainConfig(
    model=PRESETS["small"],
    data=PriorData(
        sources=(),
        crop_seconds=3.0,
        equaliser_db=3.0,
        remix_probability=0.7,
        gain_db=(-8.0, 8.0),
        flip_sign=0.5,
        absent_probability=0.1,
        speed=(0.87, 1.15),
        silence_tries=3,
    ),
    fit=FitConfig(
        steps=2000,
        batch_size=4,
        learning_rate=2e-3,
        schedule="one_cycle",
        warmup_fraction=0.08,
        weight_decay=1e-3,
        clip_norm=5.0,
        ema_decay=0.995,
        workers=1,
        save_every=100,
        validate_every=250,
        metric=METRIC,
    ),
    loss=LossWeights(edm=0.0, likelihood=1.0, error=2.0),
    walk=Walk(share=0.7),
    sigmas=LogNormalSigma(mean=-0.7, std=1.5),
)

# The weakly supervised form: a network for each stem, which sees no other.
TRAIN_INDEPENDENT = TRAIN_DEFAULT.model_copy(
    update={
        "model": PRESETS["small"].model_copy(update={"independent": True, "sees_sum": False, "finish": "sample"}),
        "loss": LossWeights(edm=0.0, likelihood=1.0),
        "walk": Walk(),
    }
)

TRAIN_PRESETS = {
    "train_default": TRAIN_DEFAULT,
    "train_independent": TRAIN_INDEPENDENT,
    "train_published": TRAIN_PUBLISHED,
}


def train(config: TrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged network by `fit.metric` as a checkpoint in `out/best`, calibrated.

    A codec with scales is fitted to the training data first. A run that was stopped goes on where its last state was
    saved. Raises SepkitError for empty or unfit data.
    """
    _check(config)
    encoder = None if config.encoder is None else find_encoder(config.encoder)
    crops = stem_items(config.model, config.data, config.fit.seed)
    items = PriorItems(
        crops,
        config.model,
        jitter_db=config.data.jitter_db,
        seed=config.fit.seed,
        encode=None if encoder is None else encoder.sound,
    )
    crops.prepare()
    config = config.model_copy(update={"model": _fitted(config, items)})
    network = first_network(config)
    record_settings(config, out)
    validate = PriorValidation(
        config.validation, config.model, calls=config.validation_calls, seconds=config.validation_seconds
    )

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        model = config.model.model_copy(update={"calibration": validate.calibrate(averaged)})
        calibrated = config.model_copy(update={"model": model})
        write_checkpoint(out / "best", averaged, calibrated, {"step": step, "validation": scores})

    loss = PriorLoss(config.model, config.loss, config.sigmas, config.walk)
    if isinstance(config.model.network, BandUNetConfig):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fit(network, loss, items, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


def first_network(config: TrainConfig) -> PriorNetwork:
    """A network of random weights, or with those of the checkpoint `initial`."""
    network = new_network(config.model, config.initial_seed)
    if config.initial is not None:
        found = load_checkpoint(config.initial, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
        load_state(network, found.state)
    return network


def _fitted(config: TrainConfig, items: PriorItems) -> MsdmConfig:
    """The model with the codec of `initial`, or with one whose scales fit the training data."""
    if config.initial is None:
        return with_fitted_scales(config.model, (items[index]["stems"] for index in range(FITTED_ITEMS)))
    found = load_checkpoint(config.initial, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    for name in ("network", "head", "stems", "independent"):
        if getattr(found.config, name) != getattr(config.model, name):
            raise OptionError(
                f"The checkpoint {config.initial} has another {name} than the prior to be trained; begin with one of "
                "the same settings, or with none."
            )
    return config.model.model_copy(update={"codec": found.config.codec, "latent_scales": found.config.latent_scales})


def _check(config: TrainConfig) -> None:
    """Refuse now what could never choose a checkpoint."""
    if not config.validation:
        raise OptionError(
            "No validation data was given, so no checkpoint would ever be chosen: add for example --valid folder:PATH."
        )
    if config.fit.sync_batch_norm and config.walk.share:
        raise OptionError(
            "fit.sync_batch_norm wants every process to call the network as often, and which items walk is left to "
            "chance: leave it out, or give walk.share=0."
        )
    metrics = (METRIC, *(f"{METRIC}/{stem}" for stem in config.model.stems))
    if config.fit.metric not in metrics:
        raise OptionError(f"fit.metric is {config.fit.metric!r}: {nearest(str(config.fit.metric), metrics)}")


def write_checkpoint(
    folder: Path, network: nn.Module, config: TrainConfig, extra: dict[str, Any], card: str | None = None
) -> None:
    """Save the network as a loadable checkpoint, half precision, with what it was trained with."""
    info = separator_info(config.model, licence=config.licence, extra_training_data=config.extra_training_data)
    settings = config.model_dump(mode="json", exclude={"model"})
    save_checkpoint(
        folder,
        separator=NAME,
        config=config.model,
        config_version=CONFIG_VERSION,
        info=info,
        state=network.state_dict(),
        card=card or f"# {NAME}\n\nTrained by `python -m {__package__}.train`; see `extra` in config.json.\n",
        half=True,
        extra={"training": {"config": settings, **extra}},
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_msdm_posterior.train", __doc__, TRAIN_PRESETS, train, given)


__all__ = ["TRAIN_PRESETS", "main", "train"]

if __name__ == "__main__":
    sys.exit(main())
