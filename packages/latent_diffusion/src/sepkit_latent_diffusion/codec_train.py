"""Train the codec in whose latents latent diffusion works.

`python -m sepkit_latent_diffusion.codec_train --config train_default --source folder:SONGS --valid folder:SONGS \
--out RUN`
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from pydantic import Field
from torch import Tensor, nn

from sepkit.codecs import CodecSettings
from sepkit.config import Frozen
from sepkit.data.opening import open_dataset
from sepkit.errors import OptionError
from sepkit.training.command import record_settings, run_training
from sepkit.training.loop import FitConfig, FitResult, fit

from .codec.checkpoints import PUBLISHED, build_codec, save_codec
from .codec.critic import CriticConfig
from .codec.lapped_autoencoder import LappedAutoencoder
from .codec.spectral_loss import SpectralLossConfig, distances
from .codec.trainee import SILENCE_RMS, CodecLoss, SoundItems, Trainee, frozen_trip
from .items import PairData, crop_items
from .pairs import MIXTURE, pair_dataset

STEMS = ("vocals", "drums", "bass", "other")
MEASURED_ITEMS = 48  # from which the bands' usual sizes are learned
PIECE_SECONDS = 10.0  # of a validation song at a time


class CodecTrainConfig(Frozen):
    """A whole codec training: the codec, its data, its loss, the loop, and what validation listens to.

    `targets` are the stems that the codec must tell beside mixtures and what is left of them.
    """

    model: CodecSettings
    data: PairData
    fit: FitConfig
    loss: SpectralLossConfig = SpectralLossConfig()
    critic: CriticConfig = CriticConfig()
    targets: tuple[str, ...] = Field(default=("vocals",), min_length=1)
    stems: tuple[str, ...] = STEMS
    validation: tuple[str, ...] = ()  # dataset specs; their valid split
    licence: str = "unknown: say what the training data allows"


_DATA = PairData(
    sources=(), crop_seconds=2.0, remix_probability=0.5, gain_db=(-5.0, 5.0), swap_channels=0.5, speed=(0.87, 1.15)
)

# For one CPU core: linear where it encodes.
TRAIN_DEFAULT = CodecTrainConfig(
    model=CodecSettings(name="lapped_autoencoder", settings={"sample_rate": 22_050}),
    data=_DATA,
    fit=FitConfig(
        steps=3000,
        batch_size=6,
        learning_rate=1e-3,
        schedule="one_cycle",
        warmup_fraction=0.05,
        clip_norm=1.0,
        ema_decay=0.995,
        save_every=250,
        validate_every=500,
        metric="minus_loss",
    ),
)

# EnCodec's class at a size that a CPU can train at all.
TRAIN_SEANET = TRAIN_DEFAULT.model_copy(
    update={
        "model": CodecSettings(
            name="seanet",
            settings={
                "sample_rate": 22_050,
                "audio_channels": 2,
                "dimension": 384,
                "n_filters": 8,
                "ratios": (8, 4, 4, 4),
                "lstm_layers": 0,
                "causal": False,
            },
        )
    }
)

# EnCodec's class at its published size, mono at 24 kHz, with its adversary: for GPUs. Steps and batch are ours.
TRAIN_PAPER = CodecTrainConfig(
    model=CodecSettings(name="seanet", settings={"sample_rate": 24_000}),
    data=_DATA.model_copy(update={"crop_seconds": 1.0}),
    critic=CriticConfig(adversarial=0.3, matching=0.3, filters=32),
    fit=FitConfig(
        steps=400_000,
        batch_size=64,
        learning_rate=3e-4,
        schedule="one_cycle",
        warmup_fraction=0.02,
        clip_norm=1.0,
        ema_decay=0.999,
        workers=8,
        save_every=5000,
        validate_every=10_000,
        metric="minus_loss",
    ),
)

TRAIN_PRESETS = {"train_default": TRAIN_DEFAULT, "train_seanet": TRAIN_SEANET, "train_paper": TRAIN_PAPER}


def train(config: CodecTrainConfig, out: Path, *, stop_after: int | None = None) -> FitResult:
    """Train, and write the best averaged codec by its own loss on the validation songs as a checkpoint in `out/best`.

    A run that was stopped goes on where its last state was saved. Raises SepkitError for empty or unfit data.
    """
    _check(config)
    codec = build_codec(config.model)
    items = crop_items(
        config.data,
        targets=config.targets,
        stems=config.stems,
        length_samples=round(config.data.crop_seconds * codec.sample_rate),
        sample_rate=codec.sample_rate,
        channels=codec.audio_channels,
        seed=config.fit.seed,
    )
    items.prepare()
    record_settings(config, out)
    sounds = SoundItems(items)
    if isinstance(codec, LappedAutoencoder):
        codec.fit_usual(sounds[index]["sound"][None] for index in range(MEASURED_ITEMS))
    trainee = Trainee(codec, config.critic, config.fit.seed)

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        assert isinstance(averaged, Trainee)
        training = {"config": config.model_dump(mode="json"), "step": step, "validation": scores}
        save_codec(out / "best", averaged.codec, licence=config.licence, extra={"training": training})

    loss = CodecLoss(config.loss, config.critic)
    validate = CodecValidation(config)
    return fit(trainee, loss, sounds, config.fit, out, validate=validate, on_best=keep, stop_after=stop_after)


class CodecValidation:
    """How well sounds of the valid split come back, mixture and targets each: the mean over their pieces.

    `sdr/NAME` dB, `spectrogram/NAME` and, over all, `minus_loss`, the loss without a critic's part.
    """

    def __init__(self, config: CodecTrainConfig):
        self.config = config

    def __call__(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, Trainee)
        found: dict[str, list[float]] = defaultdict(list)
        for name, x in self.pieces(network):
            apart = distances(x, frozen_trip(network.codec, x), self.config.loss.sizes)
            found[f"sdr/{name}"].append(-10 * float(apart.waveform.mean()))
            found[f"spectrogram/{name}"].append(float(apart.spectrogram.mean()))
            found["minus_loss"].append(-float(apart.total(self.config.loss).mean()))
        if not found:
            raise OptionError(f"The valid split of {', '.join(self.config.validation)} has no sound to validate with.")
        return {name: fmean(values) for name, values in found.items()}

    def pieces(self, network: Trainee) -> Iterator[tuple[str, Tensor]]:
        """Name and sound (b c t) of what is heard, at the level that it has in a mixture of RMS 1."""
        codec = network.codec
        device = next(codec.parameters()).device
        length = round(PIECE_SECONDS * codec.sample_rate)
        for spec in self.config.validation:
            dataset = open_dataset(spec, split="valid", sample_rate=codec.sample_rate)
            for song in pair_dataset(dataset, self.config.targets):
                for start in range(0, song.length_samples, length):
                    sounds = {name: song.load(name, start, length) for name in song.stems}
                    rms = sounds[MIXTURE].square().mean().sqrt().clamp(min=SILENCE_RMS)
                    for name, x in sounds.items():
                        if x.abs().max() > SILENCE_RMS:
                            yield name, in_channels(x / rms, codec.audio_channels).to(device)


def in_channels(x: Tensor, channels: int) -> Tensor:
    """Sound c t as a batch for a codec of another number of channels: b c t, channel by channel or doubled."""
    if len(x) == channels:
        return x[None]
    return x[:, None] if channels == 1 else x.expand(channels, -1)[None]


def _check(config: CodecTrainConfig) -> None:
    """Refuse what could never be trained or chosen, now and not after its first steps."""
    if config.model.name in (*PUBLISHED, "waveform", "lapped"):
        raise OptionError(
            f"model.name is {config.model.name!r}, which has nothing to train; wanted lapped_autoencoder or seanet."
        )
    if config.data.mode == "latents":
        raise OptionError("data.mode is 'latents', but there are none before there is a codec: stems or pairs.")
    if not config.validation:
        raise OptionError(
            "No validation data was given, so no checkpoint would ever be chosen: add for example --valid folder:PATH."
        )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_training("python -m sepkit_latent_diffusion.codec_train", __doc__, TRAIN_PRESETS, train, given)


if __name__ == "__main__":
    sys.exit(main())
