"""The cold-diffusion paper's design claims, one by one, as tables and plots.

`python -m benchmarks.cold_ablation --source synthetic:24 --budget 300` trains a small network for every variant by the
package's own training command, each for the same number of steps and, with `--initial`, from the same weights. It
scores all of them on the same made songs, and writes cold_ablation.json, .md and .svg. What is finished is not done
again. `--quick` takes seconds and shows only that it runs.

Claims: the network should be asked for the accompaniment and not for the mixture; the deviation term sigma_t z of the
reverse process is better left out; a large last beta; more steps for the accompaniment; the first steps do most;
a song gains the more the worse its first step was; SIR rises along the steps, and SAR falls slowly.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sepkit.audio import Audio
from sepkit.data.opening import open_dataset
from sepkit.data.synthetic import synthetic_set
from sepkit.data.track import Track
from sepkit.errors import SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.recipe import find_recipe
from sepkit.host import HostedSeparator
from sepkit.partial_files import replacing, write_text
from sepkit.training.curve import without_place

from .cold_ablation_page import markdown, plot
from .cold_ablation_variants import (
    BASE,
    AblatedSeparator,
    Variant,
    all_variants,
    digest,
    quick_songs,
    trained,
    training_config,
)

RESULTS = Path(__file__).parent / "results"
STEMS = ("vocals", "accompaniment")
QUICK_SECONDS = 1.5


def measured(separator: AblatedSeparator, track: Track, target: str, *, every_step: bool) -> dict[str, Any]:
    """One song after each step: SDR (`sdr_mdx`), the energy changed, and SIR and SAR (`musdb18`).

    The energy is that of the difference to the step before (before the first: the mixture), over the mixture's. SIR
    and SAR are taken at the end alone unless `every_step`.
    """
    view = track.view(STEMS)
    mixture = Audio(view.mixture, track.sample_rate)
    references = {stem: view.load(stem).numpy() for stem in STEMS}
    before, energy = mixture.numpy(), float(np.sum(np.square(mixture.numpy(), dtype=np.float64)))
    found: dict[str, Any] = {"song": track.name, "sdr": [], "changed": [], "sir": [], "sar": []}
    estimates: dict[str, Any] = {}
    with HostedSeparator(separator, device="cpu") as hosted:
        count = separator.network_calls(separator.settings("balanced"))
        for step, stems in enumerate(hosted.separate_iter(mixture), start=1):
            estimates = {stem: stems[stem].numpy() for stem in STEMS}
            found["changed"].append(float(np.sum(np.square(estimates[target] - before, dtype=np.float64)) / energy))
            found["sdr"].append(_score("sdx23", references, estimates, mixture, target)["sdr_mdx"])
            before = estimates[target]
            if every_step or step == count:
                bss = _score("musdb18", references, estimates, mixture, target)
                found["sir"].append(bss["sir_bss4_median"])
                found["sar"].append(bss["sar_bss4_median"])
    return found


def _score(
    recipe: str, references: dict[str, Any], estimates: dict[str, Any], mixture: Audio, target: str
) -> dict[str, float | None]:
    rows = find_recipe(recipe).score(references, estimates, mixture.numpy(), mixture.sample_rate)
    return {row.metric: row.value for row in rows if row.stem == target}


def scored(variant: Variant, arguments: argparse.Namespace, tracks: Iterable[Track]) -> list[dict[str, Any]]:
    """A variant's songs, trained and measured now or earlier."""
    cache = arguments.runs / "cache"
    config = training_config(
        variant, arguments.source, arguments.valid, arguments.budget, cache,
        quick=arguments.quick, initial=arguments.initial,
    )  # fmt: skip
    network = None
    songs = []
    for track in tracks:
        deviation = f"{variant.deviation}-{'-'.join(map(str, variant.options.values()))}"
        path = arguments.runs / "scores" / f"{digest(config)}-{deviation}-{track.name}-{track.seconds:g}s.json"
        if not path.exists():
            network = network if network is not None else trained(config, arguments.runs)
            separator = AblatedSeparator(variant, network, QUICK_SECONDS if arguments.quick else 12.0)
            found = measured(separator, track, variant.target, every_step=variant.name == BASE)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(found) + "\n")
        songs.append(json.loads(path.read_text(encoding="utf-8")))
    return songs


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The command line; `--quick` brings its own data."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cold_ablation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--budget", type=int, default=300, help="training steps of every network")
    parser.add_argument(
        "--source", action="append", default=[], help="training data, e.g. folder:PATH; may be repeated"
    )
    parser.add_argument("--valid", action="append", default=[], help="validation data")
    parser.add_argument("--test", default="synthetic:8", help="dataset spec; its test split")
    parser.add_argument("--initial", type=Path, help="checkpoint folder with whose weights every network begins")
    parser.add_argument("--quick", action="store_true", help="tiny networks and songs: only to see that it runs")
    parser.add_argument("--runs", type=Path, default=Path("runs/cold_ablation"), help="trainings and scores so far")
    parser.add_argument("--out", type=Path, default=RESULTS / "cold_ablation", help="path without suffix")
    arguments = parser.parse_args(given)
    if arguments.quick:
        arguments.budget = min(arguments.budget, 2)
        arguments.test = "synthetic:2"
        arguments.source = arguments.valid = [quick_songs(arguments.runs / "songs")]
    arguments.source = arguments.source or ["synthetic:24"]
    arguments.valid = arguments.valid or ["synthetic:1"]
    return arguments


def main(given: list[str] | None = None) -> int:
    """Train, score, print and write."""
    arguments = parsed(given)
    try:
        tracks = synthetic_set(2, seconds=QUICK_SECONDS) if arguments.quick else open_dataset(arguments.test, "test")
        results = {}
        for variant in all_variants(arguments.quick):
            print(f"{variant.name} ({variant.question}) …", flush=True)
            songs = scored(variant, arguments, tracks)
            results[variant.name] = {
                "question": variant.question, "target": variant.target, "betas": variant.model.betas.model_dump(),
                "songs": songs,
            }  # fmt: skip
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = {
        "results": results,
        "settings": {
            "source": [without_place(spec) for spec in arguments.source],
            "valid": [without_place(spec) for spec in arguments.valid],
            "initial": arguments.initial and "/".join(arguments.initial.parts[-2:]),
            **{name: getattr(arguments, name) for name in ("budget", "test", "quick")},
        },
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-waveform-diffusion",)),
    }
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
