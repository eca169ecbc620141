"""Steps, eta and the cutoff of the refinement noise: the sampling table of arXiv 2511.21342 on other data.

`python -m benchmarks.sampler_ablation --checkpoint FOLDER --test synthetic:4` separates the same songs with every
setting of the paper's table (`--grid full`: with every combination) and writes sampler_ablation.json, .md and .svg.
Where eta is above 0 several seeds are drawn, as in the paper. What is scored is not scored again, so that a run that
was stopped goes on. `--quick` takes seconds, with random weights, and shows only that it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sepkit.audio import Audio
from sepkit.data.opening import open_dataset
from sepkit.data.synthetic import synthetic_set
from sepkit.data.track import Track
from sepkit.errors import OptionError, SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.recipe import find_recipe
from sepkit.host import HostedSeparator
from sepkit.partial_files import replacing, write_text
from sepkit_waveform_diffusion.conditional.separator import ConditionalSeparator, build

from .claims_schema import read_ledger
from .sampler_ablation_page import markdown, plot

RESULTS = Path(__file__).parent / "results"
RECIPE, METRIC = "sdx23", "sdr_mdx"
LEDGER_TABLE = "dmx25-sampling"
QUICK_SECONDS = 1.0


class Point(NamedTuple):
    """One setting of the sampler; `cutoff_hz` 0 is white noise, and all there is where eta is 0."""

    steps: int
    eta: float
    cutoff_hz: float


def published() -> dict[Point, float]:
    """What the paper says, from the ledger: SDR in dB of its best network, trained on private data, on MUSDB18-HQ."""
    found = {}
    for row in read_ledger().tables_by_id[LEDGER_TABLE].rows:
        steps, eta, cutoff = (row.settings[name] for name in Point._fields)
        if row.values[0] is not None:
            found[Point(int(steps), float(eta), float(cutoff or 0))] = row.values[0]
    return found


def grid(kind: str) -> list[Point]:
    """The settings of a grid by its name: paper, full (every combination of its values), or quick."""
    if kind == "paper":
        return list(published())
    if kind == "quick":
        return [Point(1, 0.0, 0.0), Point(2, 0.0, 0.0), Point(2, 0.4, 0.0), Point(2, 0.4, 600.0)]
    steps, etas, cutoffs = (20, 50, 100), (0.0, 0.2, 0.4, 0.8), (0.0, 600.0, 2000.0, 5000.0)
    return [Point(t, eta, cutoff) for t in steps for eta in etas for cutoff in (cutoffs if eta else (0.0,))]


def scored(separator: ConditionalSeparator, track: Track, seed: int) -> float | None:
    """SDR in dB of the first target on a whole song."""
    view = track.view(separator.info.stems)
    mixture = Audio(view.mixture, track.sample_rate)
    with HostedSeparator(separator, device="cpu") as hosted:
        estimates = hosted.separate(mixture, seed=seed)
    target = separator.info.stems[0]
    references = {stem: view.load(stem).numpy() for stem in view.stems}
    found = {stem: estimates[stem].numpy() for stem in view.stems}
    rows = find_recipe(RECIPE).score(references, found, mixture.numpy(), mixture.sample_rate)
    return next(row.value for row in rows if row.metric == METRIC and row.stem == target)


def measured(
    base: ConditionalSeparator, point: Point, tracks: Iterable[Track], seeds: int, runs: Path
) -> dict[str, dict[str, float | None]]:
    """Seed -> song -> score, from `runs` where it is there already."""
    weights = hashlib.sha256(json.dumps(base.provenance, sort_keys=True).encode()).hexdigest()[:12]
    fixed = {**base.fixed, **point._asdict()}
    separator = ConditionalSeparator(base.config, base.network, base.info, base.provenance, fixed)
    found: dict[str, dict[str, float | None]] = {}
    for seed in range(seeds if point.eta else 1):
        for track in tracks:
            name = f"{weights}-{point.steps}-{point.eta:g}-{point.cutoff_hz:g}-{seed}-{track.name}-{track.seconds:g}s"
            path = runs / f"{name}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                value = scored(separator, track, seed)
                write_text(path, json.dumps(value) + "\n")
            found.setdefault(str(seed), {})[track.name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The command line; `--quick` brings its own network and songs."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampler_ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path, help="folder of a trained network; by default the shipped one")
    parser.add_argument("--test", default="synthetic:4", help="dataset spec; its test split")
    parser.add_argument("--grid", choices=("paper", "full"), default="paper")
    parser.add_argument("--seeds", type=int, default=5, help="draws for each setting with eta above 0")
    parser.add_argument("--quick", action="store_true", help="random weights: only to see that it runs")
    parser.add_argument("--runs", type=Path, default=Path("runs/sampler_ablation"), help="scores so far")
    parser.add_argument("--out", type=Path, default=RESULTS / "sampler_ablation", help="path without suffix")
    arguments = parser.parse_args(given)
    if arguments.quick:
        arguments.grid, arguments.seeds, arguments.test = "quick", 2, "synthetic:1"
    return arguments


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every setting of the grid, scored; raises OptionError for no seed."""
    if arguments.seeds < 1:
        raise OptionError(f"--seeds is {arguments.seeds}; wanted 1 or more.")
    base = build(untrained=True, preset="tiny") if arguments.quick else build(checkpoint=arguments.checkpoint)
    tracks = synthetic_set(1, seconds=QUICK_SECONDS) if arguments.quick else list(open_dataset(arguments.test, "test"))
    results, paper = [], published()
    for point in grid(arguments.grid):
        print(f"T = {point.steps}, eta = {point.eta:g}, cutoff {point.cutoff_hz:g} Hz …", flush=True)
        scores = measured(base, point, tracks, arguments.seeds, arguments.runs)
        results.append({**point._asdict(), "scores": scores, "published": paper.get(point)})
    settings = {name: getattr(arguments, name) for name in ("test", "grid", "seeds", "quick")}
    return {
        "results": results,
        "settings": {**settings, "target": base.info.stems[0], "weights": base.provenance},
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-waveform-diffusion", "audio-diffusion-pytorch")),
    }


def main(given: list[str] | None = None) -> int:
    """Separate, score, print and write."""
    arguments = parsed(given)
    try:
        report = report_of(arguments)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
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
