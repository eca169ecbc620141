"""Train a LightSAFT or LaSAFT network.

`python -m sepkit_lightsaft.train --config train_default --source folder:SONGS --out RUN`
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sepkit.checkpoint import save_checkpoint
from sepkit.config import Frozen, validated
from sepkit.data.opening import open_dataset
from sepkit.data.track import Dataset
from sepkit.errors import OptionError, SepkitError, nearest
from sepkit.evaluation.recipe import find_recipe
from sepkit.training.loop import FitConfig, FitResult, fit

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
    recipe: str = "sdr_mdx"
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
    _check_choice(config)
    network = new_network(config.network, config.initial_seed)
    items = StemItems(
        config.data,
        stems=config.network.stems,
        length_samples=config.network.hop_samples * (config.data.frames - 1),
        sample_rate=config.network.sample_rate,
        channels=config.network.audio_channels,
        seed=config.fit.seed,
    )
    items.crops.prepare(_say_decoding)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
    tracks = [open_dataset(spec, split="valid", sample_rate=config.network.sample_rate) for spec in config.validation]

    def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
        write_checkpoint(out / "best", averaged, config, {"step": step, "validation": scores})

    loss = SpectrogramLoss(config.network, config.loss)
    layout = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fit(
        layout, loss, items, config.fit, out, validate=Validation(config, tracks), on_best=keep, stop_after=stop_after
    )


def _check_choice(config: TrainConfig) -> None:
    """Refuse a run that could never choose a checkpoint: now, and not at its first validation or after its end."""
    recipe = find_recipe(config.recipe).name
    if not config.validation:
        raise OptionError(
            "No validation data was given, so no checkpoint would ever be chosen: add for example --valid folder:PATH."
        )
    metrics = (recipe, *(f"{recipe}/{stem}" for stem in config.network.stems))
    if config.fit.metric not in metrics:
        raise OptionError(f"fit.metric is {config.fit.metric!r}: {nearest(str(config.fit.metric), metrics)}")


def _say_decoding(done: int, total: int) -> None:
    """A progress line for a terminal, and one line for a log."""
    if sys.stderr.isatty() or done == total:
        print(f"\rdecoding stem {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


class Validation:
    """Scores an averaged network on whole tracks: the mean by stem, and the mean over stems under the recipe's name."""

    def __init__(self, config: TrainConfig, datasets: list[Dataset]):
        self.config, self.datasets = config, datasets
        self.recipe = find_recipe(config.recipe)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        began, network = time.monotonic(), network.eval()
        by_stem: dict[str, list[float]] = {}
        for track in (track for dataset in self.datasets for track in dataset):
            view = track.view(self.config.network.stems)
            mixture = view.mixture
            estimates = separate_track(network, self.config.network, mixture, bf16=self.config.fit.precision == "bf16")
            names = self.config.network.stems
            references = {stem: view.load(stem).numpy() for stem in view.stems}
            found = {stem: estimates[names.index(stem)].numpy() for stem in view.stems}
            for row in self.recipe.score(references, found, mixture.numpy(), track.sample_rate):
                if row.value is not None and row.metric == self.recipe.metrics[0]:
                    by_stem.setdefault(row.stem, []).append(row.value)
        scores = {f"{self.recipe.name}/{stem}": float(np.mean(values)) for stem, values in by_stem.items()}
        scores[self.recipe.name] = float(np.mean(list(scores.values())))
        return {**scores, "seconds": time.monotonic() - began}


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


def load_train_config(name: str, arguments: argparse.Namespace) -> TrainConfig:
    """A preset's name or a JSON file, with the command line's sources, validation and overrides `section.key=value`."""
    if name in TRAIN_PRESETS:
        values = TRAIN_PRESETS[name].model_dump()
    elif Path(name).suffix == ".json":
        values = _file_content(Path(name))
    else:
        raise OptionError(f"--config {name!r} is neither a JSON file nor a preset: {nearest(name, TRAIN_PRESETS)}")
    for assignment in arguments.set:
        _assign(values, assignment)
    if arguments.source:
        values["data"]["sources"] = tuple(arguments.source)
    if arguments.share:
        values["data"]["shares"] = tuple(arguments.share)
    if arguments.valid:
        values["validation"] = tuple(arguments.valid)
    if arguments.cache:
        values["data"]["cache"] = arguments.cache
    return validated(TrainConfig, values, f"--config {name}")


def _file_content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = {"data": {"sources": ()}} | json.loads(path.read_text())
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(f"--config {path} cannot be read as a JSON object: {error}.") from error
    return content


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Put `section.key=value` into nested settings; a key that is unknown is the validation's to name."""
    key, equals, text = assignment.partition("=")
    *sections, last = key.split(".")
    for section in sections:
        if not isinstance(values.get(section), dict):
            known = [name for name, value in values.items() if isinstance(value, dict)]
            raise OptionError(f"--set {assignment}: there is no section {section!r}: {nearest(section, known)}")
        values = values[section]
    if not equals:
        raise OptionError(f"--set {assignment} has no value; write for example --set fit.steps=1000.")
    values[last] = _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sepkit_lightsaft.train", description=__doc__)
    parser.add_argument("--config", required=True, help=f"a JSON file, or one of {', '.join(TRAIN_PRESETS)}")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; an interrupted run in it goes on")
    parser.add_argument(
        "--source", action="append", default=[], help="training data, e.g. folder:PATH; may be repeated"
    )
    parser.add_argument("--share", action="append", type=float, default=[], help="how often each source is drawn")
    parser.add_argument(
        "--valid", action="append", default=[], help="validation data, e.g. folder:PATH; may be repeated"
    )
    parser.add_argument("--cache", help="folder of decoded audio")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="e.g. fit.steps=1000")
    parser.add_argument("--stop-after", type=int, help="stop after this step, with the state saved")
    arguments = parser.parse_args(given)
    try:
        result = train(load_train_config(arguments.config, arguments), arguments.out, stop_after=arguments.stop_after)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    best = f"best {result.best_score} at step {result.best_step}"
    print(f"step {result.step}; {best}; checkpoint in {arguments.out / 'best'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
