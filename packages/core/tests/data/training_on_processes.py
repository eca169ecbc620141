"""Trains small networks in folders below the one given; tests run it alone and under `accelerate launch`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sepkit.errors import OptionError
from sepkit.training.draws import batch_draws
from sepkit.training.loop import FitConfig, fit

STEPS, BATCH, ACCUMULATE = 6, 4, 2
SAVE_EVERY = 2
PER_STEP = BATCH * ACCUMULATE


class Points:
    """Item i: a point drawn from i alone, with i itself. `bad` is not a number, and `deadly` kills who draws it."""

    def __init__(self, bad: int | None = None, deadly: int | None = None):
        self.bad, self.deadly = bad, deadly

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        x = torch.from_numpy(np.random.default_rng([7, index]).standard_normal(5).astype(np.float32))
        return {"x": x * float("nan") if index == self.bad else x, "y": x.sum()}


class SometimesUsed(nn.Module):
    """A network with a layer that only some items need, and, if `normed`, a batch norm in front of all."""

    def __init__(self, normed: bool = False):
        super().__init__()
        self.norm = nn.BatchNorm1d(5) if normed else nn.Identity()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.LayerNorm(16), nn.Linear(16, 1))
        self.rare, self.never = nn.Linear(5, 1), nn.Linear(5, 1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        found = self.body(torch.cat([self.norm(x), sigma[:, None].log()], dim=1))
        rare = x[:, 0] > 1.2
        return torch.where(rare[:, None], found + self.rare(x), found) if rare.any() else found


def new_network(normed: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SometimesUsed(normed)


def denoising(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """A loss with levels and noise of its own, and a second look at the items that chance picks."""
    x, draws = batch["x"], batch_draws(len(batch["x"]))
    sigma = 0.1 + draws.uniform((len(x),))
    chosen = draws.uniform_of_all((len(x),)) < 0.3
    picked = chosen[draws.own]
    if chosen.any():
        x = x.clone()
        x[picked] = x[picked] + draws.among(chosen).normal(x[picked].shape)
    noisy = x + sigma[:, None] * draws.normal(x.shape)
    return (network(noisy, sigma)[:, 0] - batch["y"]).square().mean()


def config(**changes: object) -> FitConfig:
    values = {
        "steps": STEPS, "batch_size": BATCH, "accumulate": ACCUMULATE, "learning_rate": 1e-2, "clip_norm": 0.5,
        "save_every": SAVE_EVERY, "validate_every": 3, "metric": "score", "ema_decay": 0.9,
    }  # fmt: skip
    return FitConfig.model_validate({**values, **changes})


def run(folder: Path, items: Points | None = None, *, normed: bool = False, stop_after: int | None = None) -> nn.Module:
    """A whole run, or one that goes on; its validation counts calls in the folder."""
    network = new_network(normed)

    def validate(averaged: nn.Module) -> dict[str, float]:
        with (folder / "validations").open("a") as file:
            file.write("x")
        return {"score": -float(averaged.rare.weight.square().sum())}

    result = fit(
        network, denoising, items or Points(), config(), folder, validate=validate, stop_after=stop_after,
        on_best=lambda _, scores, step: (folder / "best").write_text(f"{step}"),
    )  # fmt: skip
    (folder / f"result-{os.environ.get('RANK', 'alone')}").write_text(result.model_dump_json())
    return network


def main(root: Path) -> None:
    run(root / "whole")
    run(root / "bad", Points(bad=PER_STEP + BATCH - 1))  # in the last process's share alone
    run(root / "normed", normed=True)
    run(root / "begun_alone")
    try:
        fit(new_network(), denoising, Points(), config(batch_size=5), root / "odd")
    except OptionError as error:
        print(error)
    run(root / "killed", Points(deadly=5 * PER_STEP + BATCH - 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
