"""The variants of `benchmarks.cold_ablation`: which networks are trained, and how each walks back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.data import song
from sepkit.diffusion import KeyedNoise
from sepkit.diffusion.noise_sources import NoiseSource
from sepkit.separator import WindowSettings
from sepkit_waveform_diffusion.config import SCHEDULES, Betas, ColdConfig, ColdModel, UNetConfig
from sepkit_waveform_diffusion.network import ColdNetwork, new_network
from sepkit_waveform_diffusion.presets import PRESETS
from sepkit_waveform_diffusion.separator import CONFIG_VERSION, NAME, ColdSeparator, separator_info
from sepkit_waveform_diffusion.settings import ColdSettings
from sepkit_waveform_diffusion.signals import target_estimates, with_complement
from sepkit_waveform_diffusion.train import TRAIN_DEFAULT, TrainConfig, train

Deviation = Literal["none", "gaussian", "mixture"]
BASE = "vocals, beta_8"
QUICK_BACKBONE = UNetConfig(n_fft=256, hop_samples=128, widths=(2, 3, 4))


@dataclass(frozen=True)
class Variant:
    """One line of the tables: a network, and the settings of its way back."""

    name: str
    question: str
    model: ColdModel
    options: dict[str, Any] = field(default_factory=dict)
    deviation: Deviation = "none"

    @property
    def target(self) -> str:
        """The stem that is scored."""
        return self.model.targets[0]


def all_variants(quick: bool) -> list[Variant]:
    """Every variant, the one that others are compared with first; `quick`: tiny networks, a few of the variants."""
    base = PRESETS["cold_unet"].model_copy(update={"betas": SCHEDULES["beta_8"]})
    if quick:
        base = base.model_copy(update={"backbone": QUICK_BACKBONE, "betas": Betas(end=0.5, count=4)})

    def model(**changes: Any) -> ColdModel:
        return base.model_copy(update=changes)

    beta_ends = (0.9,) if quick else (0.02, 0.2, 0.9)
    accompaniments = ("beta_8",) if quick else ("beta_8", "beta_20", "beta_100")
    found = [
        Variant(BASE, "target of the network: the accompaniment (complement)", base),
        Variant("predicts the mixture", "target of the network: the mixture itself", model(predicts="mixture")),
        Variant("deviation: gaussian", "sigma_t z added, z Gaussian as loud as the mixture", base, {}, "gaussian"),
        Variant("deviation: mixture", "sigma_t z added, z the mixture", base, {}, "mixture"),
        Variant("self-consistent", "reverse process", base, {"process": "consistent"}),
        Variant("peak level", "level by the mixture's peak", base, {"level": "peak"}),
        Variant("clamped level", "level by clamping", base, {"level": "clamp"}),
    ]
    found += [Variant(f"beta_T = {end}", "last beta, T = 8", model(betas=Betas(end=end, count=8))) for end in beta_ends]
    if not quick:
        found += [
            Variant(f"vocals, {name}", "number of steps", model(betas=SCHEDULES[name]))
            for name in ("beta_1", "beta_20")
        ]
    return found + [
        Variant(f"accompaniment, {name}", "the other target", model(betas=SCHEDULES[name], targets=("accompaniment",)))
        for name in accompaniments
    ]


def training_config(
    variant: Variant,
    sources: Sequence[str],
    valid: Sequence[str],
    budget: int,
    cache: Path,
    *,
    quick: bool,
    initial: Path | None = None,
) -> TrainConfig:
    """The package's own default training of `budget` steps, with the variant's network; at a third of the rate where
    it begins with the weights of the checkpoint `initial`."""
    changes: dict[str, Any] = {"steps": budget, "validate_every": budget, "save_every": min(100, budget), "workers": 0}
    data: dict[str, Any] = {"sources": tuple(sources), "cache": str(cache)}
    if quick:
        changes["batch_size"], data["crop_samples"] = 2, 2048
    if initial is not None:
        changes["learning_rate"] = TRAIN_DEFAULT.fit.learning_rate / 3
    return TRAIN_DEFAULT.model_copy(
        update={
            "model": variant.model,
            "data": TRAIN_DEFAULT.data.model_copy(update=data),
            "fit": TRAIN_DEFAULT.fit.model_copy(update=changes),
            "initial": None if initial is None else str(initial),
            "validation": tuple(valid),
            "licence": "as the training data",
        }
    )


def digest(config: TrainConfig) -> str:
    """A short name for all settings of a training but the place of its cache."""
    content = config.model_copy(update={"data": config.data.model_copy(update={"cache": None})}).model_dump_json()
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def trained(config: TrainConfig, runs: Path) -> ColdNetwork:
    """The network after the training, whose folder is named by its settings; what is there is not done again."""
    folder = runs / digest(config)
    if not (folder / "finished").exists():
        train(config, folder)
        (folder / "finished").touch()
    found = load_checkpoint(folder / "best", separator=NAME, config_type=ColdConfig, config_version=CONFIG_VERSION)
    network = new_network(config.model, seed=0)
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(network, counters | {name.removeprefix("0."): value for name, value in found.state.items()})
    return network.eval()


class AblatedSeparator(ColdSeparator):
    """A variant as a method: every step is to be heard, and the deviation term may be there."""

    def __init__(self, variant: Variant, network: ColdNetwork, window_seconds: float):
        config = ColdConfig(models=(variant.model,), window_seconds=window_seconds)
        info = separator_info(config, licence="as the training data")
        super().__init__(config, [network], info, {"variant": variant.name}, variant.options)
        self.deviation = variant.deviation

    def iterate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Iterator[Tensor]:
        """The estimate after every step."""
        assert isinstance(settings, ColdSettings)
        noise = deviation_noise(self.deviation, windows, starts, seed)
        for estimate in target_estimates(self.networks[0], windows, settings, deviation=noise):
            yield with_complement(estimate, windows, self.networks[0])


def deviation_noise(kind: Deviation, mixture: Tensor, starts: Sequence[int], seed: int) -> NoiseSource | None:
    """The z of sigma_t z: none (as published), Gaussian with the mixture's standard deviation, or the mixture."""
    if kind == "none":
        return None
    if kind == "mixture":
        return lambda draw, like: mixture.to(like)
    keyed = KeyedNoise(seed, tuple(starts), key="cold deviation")
    loudness = mixture.double().std(dim=(1, 2), keepdim=True)
    return lambda draw, like: loudness.to(like) * keyed(draw, like)


def quick_songs(folder: Path) -> str:
    """A few seconds of made songs as a folder dataset with a train and a valid split; returns its spec."""
    import soundfile

    for split, seed in (("train", 0), ("valid", 1_000_000)):
        place = folder / split / f"song_{seed}"
        if place.exists():
            continue
        place.mkdir(parents=True)
        track = song(seed, seconds=1.5)
        for stem in track.stems:
            soundfile.write(place / f"{stem}.wav", track.load(stem).T.numpy(), track.sample_rate, subtype="PCM_16")
    return f"folder:{folder}"
