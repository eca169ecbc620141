"""How well each posterior samples, and with how many network calls, where the truth is known exactly.

`python -m benchmarks.posterior_toy` writes posterior_toy.json, .md and .svg: Dirac, Gaussian and projected posteriors
on a Gaussian prior; projected weights on one that is not Gaussian; the published latent script beside its correction.
No network and no songs; one or two minutes. `--quick` takes seconds, on too little data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Karras, Level
from sepkit.errors import OptionError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.partial_files import replacing, write_text
from sepkit_msdm_posterior.averaging import average
from sepkit_msdm_posterior.posteriors import Dirac, Gaussian, Posterior, Projected, check_stable
from sepkit_msdm_posterior.published import LatentScript, noise_network, separate_latent
from sepkit_msdm_posterior.sampling import sample_posterior

from .posterior_toy_page import markdown, plot
from .posterior_toys import DEVIATION, STEMS, Toy, gaussian_toy, mixture_toy

RESULTS = Path(__file__).parent / "results"
SCHEDULE = Karras(sigma_min=1e-4, sigma_max=1.0)  # multi-source diffusion's own
BLOCK = 8
NOISE_SEEDS = 10**6  # where the seeds of noise begin: with a toy's own seed, the noise would be the stems themselves
CALLS = (6, 10, 20, 50, 100, 300)  # of the curves


class Run(NamedTuple):
    """One way to sample; `samples` of it are averaged."""

    label: str
    posterior: Posterior
    steps: int
    churn: float
    passes: int
    samples: int = 1

    @property
    def calls(self) -> int:
        """Network calls."""
        return self.steps * self.passes * self.samples


def table_runs(toy: Toy) -> list[Run]:
    """The rows of the first table: published settings, those around them, and projected ones."""
    dirac = [Run("Dirac", Dirac(), 150, churn, passes) for churn, passes in [(0.0, 1), (20.0, 1), (20.0, 2), (40.0, 2)]]
    last = Run("Dirac, last stem constrained", Dirac(source=STEMS - 1), 150, 20.0, 2)
    gaussian = [
        Run(f"Gaussian, gamma {gamma:g}", Gaussian(gamma=gamma), 150, 40.0, 2) for gamma in (0.5, 0.75, 1.0, 1.5, 2.0)
    ]
    true = Projected(weights="calibrated", error_variance=toy.error_variance)
    weights = {"gain": Projected(), "true variances": true, "power": Projected(by="power")}
    weights["uniform"] = Projected(weights="uniform")
    projected = [
        Run(f"projected, {name}", posterior, steps, churn, passes)
        for name, posterior in weights.items()
        for steps, churn, passes in [(20, 0.0, 1), (20, 20.0, 1), (150, 20.0, 2)]
    ]
    return [*dirac, last, *gaussian, *projected, Run("projected, gain, mean of 8", Projected(), 20, 20.0, 1, 8)]


def curve_runs() -> list[Run]:
    """The points of the plot: each posterior as it does best, with few calls and many."""
    two: list[tuple[str, Posterior, float]] = [("Dirac", Dirac(), 20.0), ("Gaussian", Gaussian(), 40.0)]
    one = [("projected, gain", Projected()), ("projected, power", Projected(by="power"))]
    one.append(("projected, uniform", Projected(weights="uniform")))
    return [
        *(Run(label, posterior, calls // 2, churn, 2) for label, posterior, churn in two for calls in CALLS),
        *(Run(label, posterior, calls, 20.0, 1) for label, posterior in one for calls in CALLS),
    ]


def weight_runs() -> list[Run]:
    """The rows of the second table: projected weights, alone and averaged over neighbours."""
    kinds = {"gain": Projected(), "power": Projected(by="power"), "uniform": Projected(weights="uniform")}
    for by in ("gain", "power"):
        for smooth in (3, 7):
            kinds[f"{by}, {smooth} neighbours"] = Projected.model_validate({"by": by, "smooth": (smooth,)})
    projected = [
        Run(f"projected, {name}", kinds[name], 20, churn, 1) for name in sorted(kinds) for churn in (0.0, 20.0)
    ]
    return [Run("Dirac", Dirac(), 150, 20.0, 2), Run("Gaussian", Gaussian(), 150, 40.0, 2), *projected]


def measured(toy: Toy, runs: Iterable[Run], seed: int) -> list[dict[str, Any]]:
    """Scores of every run; one that the stability bound refuses has the reason instead."""
    rows = []
    for run in runs:
        row = {name: value for name, value in run._asdict().items() if name != "posterior"} | {"calls": run.calls}
        try:
            sigmas = [float(level.sigma) for level in SCHEDULE.levels(run.steps)]
            check_stable(run.posterior, sigmas, run.churn, STEMS)
            samples = (sample(toy, run, seed * 1000 + number) for number in range(run.samples))
            row |= toy.scores(average(samples).mean)
        except OptionError as error:
            row["refused"] = str(error)
        rows.append(row)
        print(f"{run.label}: {run.calls} calls, SDR {row.get('sdr', float('nan')):.2f} dB", flush=True)
    return rows


def sample(toy: Toy, run: Run, seed: int) -> Tensor:
    """One sample of the posterior."""
    return sample_posterior(
        toy.denoise,
        toy.mixture,
        stems=STEMS,
        schedule=SCHEDULE,
        sampler=ChurnedEuler(steps=run.steps, churn=run.churn, passes=run.passes),
        posterior=run.posterior,
        noise=Draws(seed),
    )


class Draws:
    """White noise for numbered draws, each asked for once and in order: all that this needs, and quicker than keys."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(NOISE_SEEDS + seed)

    def __call__(self, draw: int, like: Tensor, /) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=torch.float64)


def script_rows(toy: Toy, steps: int, seed: int) -> list[dict[str, Any]]:
    """The latent script, fault by fault, on latents of unit variance that add up, with an ideal network."""

    def scaled(x: Tensor, level: Level, /) -> Tensor:  # a latent is a signal over DEVIATION
        return toy.denoise(x * DEVIATION, Level(level.alpha, level.sigma * DEVIATION, level.t)) / DEVIATION

    rows = []
    for kind in ("dirac", "gaussian"):
        published = LatentScript.model_validate({"posterior": kind})
        right = published.corrected()
        repaired = {
            "as published": {},
            "steps matched": {"timesteps": "matched"},
            "sum held": {"constraint": "sum"},
            "both": {"timesteps": "matched", "constraint": "sum"},
            "corrected": {name: getattr(right, name) for name in ("timesteps", "constraint", "schedule")},
        }
        for name, changes in repaired.items():
            sampler = ChurnedEuler(steps=steps, churn=published.sampler.churn, passes=published.sampler.passes)
            script = published.model_copy(update={**changes, "sampler": sampler})
            network = noise_network(scaled, script.trained)
            z = separate_latent(toy.mixture / DEVIATION, network, script, stems=STEMS, noise=Draws(seed))
            rows.append({"posterior": kind, "script": name, "steps": steps, **toy.scores(DEVIATION * z)})
            print(f"{kind}, {name}: SDR {rows[-1]['sdr']:.2f} dB", flush=True)
    return rows


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """All three experiments."""
    songs, coefficients, seed = arguments.songs, arguments.coefficients, arguments.seed
    toy = gaussian_toy(songs, coefficients, seed)
    unknown = mixture_toy(songs, coefficients // 2 // BLOCK * BLOCK, BLOCK, seed)
    few = [Run("Dirac", Dirac(), 4, 4.0, 2), Run("Gaussian", Gaussian(), 4, 4.0, 2)]
    few.append(Run("projected, gain", Projected(), 4, 4.0, 1))
    quick = arguments.quick
    return {
        "known": {name: toy.scores(estimate) for name, estimate in toy.known.items()},
        "results": measured(toy, few if quick else table_runs(toy), seed),
        "curves": measured(toy, few if quick else curve_runs(), seed),
        "known_unknown": {name: unknown.scores(estimate) for name, estimate in unknown.known.items()},
        "weights": measured(unknown, few if quick else weight_runs(), seed),
        "scripts": script_rows(toy, 8 if quick else 200, seed),
        "settings": {"songs": songs, "coefficients": coefficients, "block": BLOCK, "seed": seed, "quick": quick},
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-msdm-posterior",)),
    }


def main(given: list[str] | None = None) -> int:
    """Sample, score, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.posterior_toy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--coefficients", type=int, default=5000, help="of each song")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="too little data: only to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "posterior_toy", help="path without suffix")
    arguments = parser.parse_args(given)
    if arguments.quick:
        arguments.songs, arguments.coefficients = 1, 200
    report = report_of(arguments)
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    try:
        with replacing(arguments.out.with_suffix(".svg"), overwrite=True) as partial:
            plot(report, partial)
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'sepkit[eval]')", file=sys.stderr)
    print(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
