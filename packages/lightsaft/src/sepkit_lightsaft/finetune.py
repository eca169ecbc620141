"""LightSAFT on stems of one's own: the embedding grows, and the old network teaches the new one what it knew.

Songs of tabla and violin have no reference of drums. Where an example asks for a stem that the songs lack, what the
old network gives for it is what the new one should give (Li and Hoiem 2016, Learning without Forgetting).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import default_collate

from sepkit.checkpoint import load_checkpoint, load_state, read_header
from sepkit.config import Frozen, validated
from sepkit.data.opening import open_dataset
from sepkit.errors import DatasetError
from sepkit.finetuning import FineTuneRequest
from sepkit.training.curve import without_place
from sepkit.training.items import StemData, StemItems
from sepkit.training.loop import FitConfig, fit
from sepkit.training.validation import Validation

from .config import LightSaftConfig
from .growing import grow
from .loss import LossWeights, SpectrogramLoss
from .network import LightSaft
from .separator import CONFIG_VERSION, NAME, new_network
from .spectrum import estimate
from .train import TRAIN_DEFAULT, TrainConfig, separate_track, write_checkpoint

TIMED_STEPS = 2
VALIDATIONS = 5
LISTENED_SECONDS = 6.0  # of a track, to foretell how long a whole one takes


class Options(Frozen):
    """What `sepkit finetune lightsaft -O` takes. Defaults: those that the shipped weights were trained with, slower."""

    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=8, gt=1)
    frames: int = Field(default=128, ge=2)  # STFT frames of an example
    remix_probability: float = Field(default=0.5, ge=0, le=1)  # of examples, stems from different songs
    precision: str = Field(default="fp32", pattern="fp32|bf16")
    workers: int = Field(default=0, ge=0)
    cache: str | None = None  # folder of decoded audio; None: the user's cache folder


def finetuner(request: FineTuneRequest) -> LightSaftTuner:
    """What the entry point names; raises OptionError for an unknown option, CheckpointError for other weights."""
    return LightSaftTuner(request, validated(Options, request.options, f"The fine-tuning of {NAME!r}"))


class LightSaftTuner:
    """A FineTuner: see `sepkit.finetuning`."""

    def __init__(self, request: FineTuneRequest, options: Options):
        self.request, self.out = request, Path(request.out)
        loaded = load_checkpoint(
            request.checkpoint, separator=NAME, config_type=LightSaftConfig, config_version=CONFIG_VERSION
        )
        self.teacher = new_network(loaded.config, seed=0)
        counters = {k: v for k, v in self.teacher.state_dict().items() if k.endswith("num_batches_tracked")}
        load_state(self.teacher, counters | loaded.state)
        self.teacher.eval().requires_grad_(False)
        self.network = grow(self.teacher, request.stems).requires_grad_(True)
        heard = tuple(stem for stem in self.network.config.stems if stem in _heard(request.dataset))
        self.config = _train_config(request, options, self.network.config)
        self.items = TargetItems(self.config.data, heard, self.network.config, request)
        self.loss = TaughtLoss(self.network.config, self.config.loss, self.teacher, heard)

    def begin(self) -> Path:
        """Write the grown, untrained network as `out/before`."""
        card = f"# {NAME}, grown for {', '.join(self.request.stems)}, before any training\n"
        write_checkpoint(self.out / "before", self.network, _without_places(self.config), {"step": 0}, card)
        return self.out / "before"

    def predicted_seconds(self, steps: int) -> float:
        """Timed: a few steps on a copy of the network, with their examples, and a stretch of the held-out song."""
        if not hasattr(self, "_step_seconds"):
            self._step_seconds, self._look_seconds = self._timed_steps(), self._timed_look()
        looks = steps // _validate_every(steps) + (steps % _validate_every(steps) > 0)
        return steps * self._step_seconds + looks * self._look_seconds

    def train(self, steps: int) -> Path:
        """Train, or go on, and return `out/best`: the averaged weights of the step with the best mean score."""
        self.items.prepare()
        settled = self.config.fit.model_copy(update={"steps": steps, "validate_every": _validate_every(steps)})
        config = self.config.model_copy(update={"fit": settled})
        self.out.mkdir(parents=True, exist_ok=True)
        best = self.out / "best"

        def keep(averaged: nn.Module, scores: dict[str, float], step: int) -> None:
            extra = {"step": step, "validation": scores, "grown_from": self._origin()}
            write_checkpoint(best, averaged, _without_places(config), extra, _card(self.request, step, scores))

        fit(self.network, self.loss, self.items, config.fit, self.out, validate=self._validation(), on_best=keep)
        return best

    def _validation(self) -> Validation:
        network = self.network.config

        def separate(averaged: nn.Module, mixture: Tensor) -> dict[str, Tensor]:
            found = separate_track(averaged, network, mixture, bf16=self.config.fit.precision == "bf16")
            return dict(zip(network.stems, found, strict=True))

        specs = (self.request.dataset,)
        return Validation(specs, network.stems, network.sample_rate, self.config.recipe, separate)

    def _origin(self) -> dict[str, Any]:
        header = read_header(self.request.checkpoint)
        return {"weights_sha256": header.weights.sha256, "licence": header.info.licence}

    def _timed_steps(self) -> float:
        network, count = deepcopy(self.network).train(), self.config.fit.batch_size
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network.to(device)
        optimiser = torch.optim.AdamW(network.parameters())
        seconds = []
        with torch.random.fork_rng():
            for step in range(1 + TIMED_STEPS):  # the first is a warm-up: it decodes, and asks for memory
                started = time.perf_counter()
                batch = default_collate([self.items[index] for index in range(step * count, (step + 1) * count)])
                batch = {name: value.to(device) for name, value in batch.items()}
                with torch.autocast(device, torch.bfloat16, enabled=self.config.fit.precision == "bf16"):
                    value = self.loss(network, batch)
                torch.autograd.backward(value)
                optimiser.step()
                optimiser.zero_grad()
                seconds.append(time.perf_counter() - started)
        return sum(seconds[1:]) / TIMED_STEPS

    def _timed_look(self) -> float:
        network = self.network.config
        length = round(LISTENED_SECONDS * network.sample_rate)
        started = time.perf_counter()
        separate_track(
            deepcopy(self.network).eval(), network, torch.zeros(network.audio_channels, length),
            bf16=self.config.fit.precision == "bf16",
        )  # fmt: skip
        each = (time.perf_counter() - started) / LISTENED_SECONDS
        return each * sum(song.seconds for song in open_dataset(self.request.dataset, "valid"))


class TargetItems(StemItems):
    """Examples of the stems that the songs have, which ask for any stem of the network; every other for a new one."""

    def __init__(self, data: StemData, heard: Sequence[str], network: LightSaftConfig, request: FineTuneRequest):
        frames = getattr(data, "frames")  # noqa: B009 (of the DataConfig that this is)
        super().__init__(
            data,
            stems=heard,
            length_samples=network.hop_samples * (frames - 1),
            sample_rate=network.sample_rate,
            channels=network.audio_channels,
            seed=request.seed,
        )
        new = [network.stems.index(stem) for stem in request.stems]
        old = [k for k in range(len(network.stems)) if k not in new]
        pairs = max(len(new), len(old))
        self.targets = [k for i in range(pairs) for k in (new[i % len(new)], old[i % len(old)])]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return super().__getitem__(index) | {"target": torch.tensor(self.targets[index % len(self.targets)])}


class TaughtLoss(SpectrogramLoss):
    """The training loss, whose truth for a stem that the songs lack is what the teacher, the old network, gives."""

    def __init__(self, config: LightSaftConfig, weights: LossWeights, teacher: LightSaft, heard: Sequence[str]):
        super().__init__(config, weights)
        self.teacher = teacher
        self.places = torch.tensor([heard.index(stem) if stem in heard else -1 for stem in config.stems])

    def wanted(self, specs: Tensor, mixture: Tensor, seen: Tensor, target: Tensor) -> Tensor:
        """The target's spectrogram b c f n: its own where it is among the stems b s c f n, else the teacher's."""
        places = self.places.to(target.device)[target]
        found = specs[torch.arange(len(specs), device=target.device), places.clamp(min=0)]
        if (taught := places < 0).any():
            output = self.teacher.to(seen.device)(seen[taught], target[taught])
            found[taught] = estimate(output.float(), mixture[taught], self.config).to(found.dtype)
        return found


def _heard(spec: str) -> set[str]:
    """The stems that the songs to be learnt from have; raises DatasetError for none."""
    found = {stem for song in open_dataset(spec, "train") for stem in song.stems}
    if not found:
        raise DatasetError(f"{spec} has no stem at all to learn from.")
    return found


def _train_config(request: FineTuneRequest, options: Options, network: LightSaftConfig) -> TrainConfig:
    """The recipe of the shipped weights with what is asked for; the steps are not settled yet."""
    data = TRAIN_DEFAULT.data.model_copy(
        update={
            "sources": (request.dataset,),
            "frames": options.frames,
            "remix_probability": options.remix_probability,
            "cache": options.cache,
        }
    )
    changes = options.model_dump(include={"learning_rate", "batch_size", "precision", "workers"})
    training = FitConfig.model_validate(TRAIN_DEFAULT.fit.model_dump() | changes | {"seed": request.seed})
    loss = TRAIN_DEFAULT.loss if network.output == "masking" else LossWeights(mse=1.0)
    return TRAIN_DEFAULT.model_copy(
        update={
            "network": network,
            "data": data,
            "fit": training,
            "loss": loss,
            "validation": (request.dataset,),
            "licence": request.licence,
        }
    )


def _without_places(config: TrainConfig) -> TrainConfig:
    """The settings that a checkpoint records: where the songs lay is their owner's concern."""
    sources = tuple(without_place(spec) for spec in config.data.sources)
    data = config.data.model_copy(update={"sources": sources, "cache": None})
    return config.model_copy(update={"data": data, "validation": sources})


def _validate_every(steps: int) -> int:
    return max(1, steps // VALIDATIONS)


def _card(request: FineTuneRequest, step: int, scores: dict[str, float]) -> str:
    songs = {split: open_dataset(request.dataset, split) for split in ("train", "valid")}
    header = read_header(request.checkpoint)
    folder = Path(request.dataset.rpartition(":")[2]).name
    hours = sum(song.seconds for song in songs["train"]) / 3600
    learnt = ", ".join(song.name for song in islice(songs["train"], 20)) + (" ..." if len(songs["train"]) > 20 else "")
    score = ", ".join(f"{name} {value:.2f}" for name, value in scores.items() if name != "seconds")
    return f"""# {NAME}, fine-tuned: {", ".join(request.stems)}

Made by `sepkit finetune {NAME} {folder} --stems {",".join(request.stems)}` from weights of {NAME} for
{", ".join(header.info.stems)} (licence {header.info.licence}, sha256 {header.weights.sha256[:16]}...).

| | |
|---|---|
| stems | {", ".join((*header.info.stems, *request.stems))} |
| weights' licence | {request.licence} |
| learnt from | {len(songs["train"])} songs of `{folder}`, {hours:.2f} hours: {learnt} |
| held out | {", ".join(song.name for song in songs["valid"])} |
| steps | {step}, the best of the run by the held-out songs: {score} (dB) |

Stems that the songs have no reference of were taught by the old weights. They may have changed all the same.
"""
