"""ChurnedEuler against multi-source diffusion's own sampler, draw for draw, with both of its posteriors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Denoiser, Karras, Level

DATA = Path(__file__).parent / "data"


def load(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files if arrays[key].dtype.kind != "U"}


def sample(case: dict[str, Tensor], denoise: Denoiser, stems: list[int]) -> Tensor:
    steps = len(case["sigmas"]) - 1
    schedule = Karras(sigma_min=float(case["sigmas"][-2]), sigma_max=float(case["sigmas"][0]))
    sampler = ChurnedEuler(steps=steps, churn=float(case["s_churn"]), passes=int(case["num_resamples"]))
    draws = case["noise_draws"][:, :, stems]
    start = case["sigmas"][0] * case["initial_noise"][:, stems]
    return sampler(denoise, start, schedule, lambda draw, like: draws[draw - 1])


def prior(case: dict[str, Tensor], x: Tensor, level: Level) -> Tensor:
    gain = case["prior_var"] / (case["prior_var"] + level.sigma**2)
    return case["prior_mean"] + gain * (x - case["prior_mean"])


def test_the_dirac_posterior() -> None:
    """Only the free stems are sampled; the constrained one is what is left of the mixture."""
    case = load("dirac_churn_resample")
    bound = int(case["source_id"])
    free = [stem for stem in range(case["initial_noise"].shape[1]) if stem != bound]

    def posterior(u: Tensor, level: Level) -> Tensor:
        full = torch.empty_like(case["initial_noise"])
        full[:, free], full[:, [bound]] = u, case["mixture"] - u.sum(1, keepdim=True)
        clean = prior(case, full, level)
        return clean[:, free] + (full - clean)[:, [bound]]

    result = sample(case, posterior, free)
    wanted = case["estimate"][:, free]
    assert (result - wanted).abs().max() < 1e-8 * wanted.abs().max()
    left = case["mixture"][:, 0] - result.sum(1)
    assert (left - case["estimate"][:, bound]).abs().max() < 1e-4 * wanted.abs().max()


def test_the_gaussian_posterior() -> None:
    """Unstable by design of the reference at this churn: rounding grows, and must still stay small."""
    case = load("gaussian_churn_resample")
    gamma = float(case["gamma"])

    def posterior(x: Tensor, level: Level) -> Tensor:
        pull = 1 / (2 * gamma**2)  # sigma² / (2 (gamma · sigma)²)
        return prior(case, x, level) + pull * (case["mixture"] - x.sum(1, keepdim=True))

    result = sample(case, posterior, list(range(case["initial_noise"].shape[1])))
    assert (result - case["estimate"]).abs().max() < 1e-8 * case["estimate"].abs().max()


@pytest.mark.parametrize("name", ["dirac_churn_resample", "gaussian_churn_resample"])
def test_every_recorded_draw_is_numbered(name: str) -> None:
    case = load(name)
    steps, passes = len(case["sigmas"]) - 1, int(case["num_resamples"])
    asked: list[int] = []

    def noise(draw: int, like: Tensor) -> Tensor:
        asked.append(draw)
        return torch.zeros_like(like)

    sampler = ChurnedEuler(steps=steps, churn=1.0, passes=passes)
    sampler(lambda x, level: x, case["initial_noise"], Karras(sigma_min=1e-4, sigma_max=1.0), noise)
    assert asked == list(range(1, len(case["noise_draws"]) + 1))
