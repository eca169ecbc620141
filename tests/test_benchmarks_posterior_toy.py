"""The toy of the posteriors runs through, says what its bound refuses, and its toys are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("sepkit_msdm_posterior", reason="it is about that package")

from benchmarks import posterior_toy
from benchmarks.posterior_toy import Run, curve_runs, measured, table_runs, weight_runs
from benchmarks.posterior_toy_page import markdown
from benchmarks.posterior_toys import MEAN, gaussian_toy, mixture_toy
from sepkit.diffusion import Level
from sepkit_msdm_posterior.posteriors import Gaussian, Projected


def test_quick_runs(tmp_path: Path) -> None:
    assert posterior_toy.main(["--quick", "--out", str(tmp_path / "toy")]) == 0
    report = json.loads((tmp_path / "toy.json").read_text())
    page = (tmp_path / "toy.md").read_text()
    assert page == markdown(report)
    assert "mean nothing" in page
    assert "<svg" in (tmp_path / "toy.svg").read_text()
    assert len(report["scripts"]) == 10
    exact = next(row for row in report["results"] if row["label"] == "projected, gain")
    assert "| projected, gain | 4 | 4 | 1 | 4 |" in page
    assert exact["residual"] < 1e-12


def test_what_diverges_is_a_row_and_not_a_crash() -> None:
    toy = gaussian_toy(1, 10, 0)
    rows = measured(toy, [Run("Gaussian", Gaussian(gamma=0.5), 150, 40.0, 2)], 0)
    assert "diverges" in rows[0]["refused"]
    assert "sdr" not in rows[0]


def test_the_tables_hold_the_published_settings_and_equal_numbers_of_calls() -> None:
    rows = table_runs(gaussian_toy(1, 10, 0))
    found = {(row.label, row.steps, row.churn, row.passes) for row in rows}
    assert {("Dirac", 150, 20.0, 2), ("Gaussian, gamma 0.75", 150, 40.0, 2)} <= found
    for runs in (rows, curve_runs(), weight_runs()):
        assert len({(row.label, row.steps, row.churn, row.passes) for row in runs}) == len(runs)
    calls = {row.label: [run.calls for run in curve_runs() if run.label == row.label] for row in curve_runs()}
    assert len({tuple(counts) for counts in calls.values()}) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_no_sample_beats_the_mean_of_the_posterior(seed: int) -> None:
    """It would if the sampler's noise were the numbers that the stems were made of."""
    toy = gaussian_toy(4, 2000, seed)
    runs = [Run("", Projected(), steps, 20.0, 1, samples) for steps, samples in [(4, 1), (6, 1), (20, 1), (20, 4)]]
    best = toy.scores(toy.known[MEAN])["sdr"]
    assert all(row["sdr"] < best for row in measured(toy, runs, seed))


@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_the_denoisers_are_the_best_there_are(sigma: float) -> None:
    """Scaling or shifting the estimate of either prior makes its squared error larger."""
    for toy in (gaussian_toy(2, 8000, 0), mixture_toy(2, 8000, 8, 0)):
        generator = torch.Generator().manual_seed(1)
        noisy = toy.stems + sigma * torch.randn(toy.stems.shape, generator=generator, dtype=torch.float64)
        estimate = toy.denoise(noisy, Level(1.0, sigma, sigma))
        best = (estimate - toy.stems).square().mean()
        for other in (0.9 * estimate, 1.1 * estimate, 0.95 * estimate + 0.05 * noisy):
            assert (other - toy.stems).square().mean() > best
        again = toy.denoise(0.5 * noisy, Level(0.5, 0.5 * sigma, 0.0))
        assert torch.allclose(again, estimate, rtol=0, atol=1e-12)
