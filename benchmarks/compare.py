"""Settings or checkpoints of methods, side by side on the same songs in one run.

`python -m benchmarks.compare --variant "T = 1" cold_diffusion checkpoint=RUN1/best --variant "T = 8" cold_diffusion
checkpoint=RUN8/best --along "T = 8" --test synthetic:8 --out runs/compare/steps` scores every variant by SDR
(`sdr_mdx`), SIR and SAR (`musdb18`), compares each with the first song by song, and writes .json, .md and .svg. A value
is JSON or else text; `quality=best` and `seed=3` are the separation's, all others are options of `get_separator`.
`--along` also scores the estimate after every step of that variant. What is scored is not scored again. METHOD may be a
reference point (mixture, silence, ideal_ratio_mask, wiener_oracle …), for the stems of the first method, or
`codec_ceiling checkpoint=RUN/best`: the true stems through the codec of a multi-source prior. `--recipe
msdm_slakh` scores by SI-SDRi instead, `--recipe beyond_sdr` by mrstft and what is heard of bleed and artefacts;
`--published TABLE` puts a table of the ledger (published.json) below.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sepkit import get_separator
from sepkit.audio import Audio
from sepkit.data.opening import open_dataset
from sepkit.data.track import Track
from sepkit.errors import OptionError, SepkitError, UnknownNameError, nearest
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.recipe import find_recipe
from sepkit.evaluation.reference_points import REFERENCE_POINTS, ReferencePoint
from sepkit.partial_files import replacing, write_text
from sepkit.separator import Separator

from .claims_schema import read_ledger
from .codec_points import CODEC_CEILING, CodecCeiling
from .compare_page import markdown, plot
from .excerpts import excerpt

SHOWN = {
    "sdx23": {"sdr_mdx": "SDR"},
    "musdb18": {"sir_bss4_median": "SIR", "sar_bss4_median": "SAR"},
    "msdm_slakh": {"si_sdri_4s": "SI-SDRi", "si_sdri_4s_active": "SI-SDRi, active"},
    "beyond_sdr": {"mrstft": "mrstft", "bleedless": "bleedless", "fullness": "fullness"},
}
"""Recipe -> its metrics that the page shows, and their names there."""
RECIPES = ("sdx23", "musdb18")  # where none is named
CALL = ("quality", "seed")  # what belongs to the separation, not to the method


@dataclass(frozen=True)
class Variant:
    """A method with options, under a name of its own."""

    label: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_reference_point(self) -> bool:
        """Whether it is one of `benchmarks.run`'s, which may know the truth."""
        return self.method == CODEC_CEILING or self.method in REFERENCE_POINTS

    def reference_point(self) -> ReferencePoint:
        """That one, ready; raises SepkitError for what it refuses."""
        if self.method == CODEC_CEILING:
            return CodecCeiling.of(self.label, self.options)
        if self.options:
            raise OptionError(f"--variant {self.label!r}: {self.method} takes no options, given {self.options}.")
        return REFERENCE_POINTS[self.method]()

    def built(self) -> Separator:
        """The method, ready; raises SepkitError for what it refuses."""
        return get_separator(self.method, **{name: x for name, x in self.options.items() if name not in CALL})

    def call(self) -> dict[str, Any]:
        """Options of the separation."""
        return {name: x for name, x in self.options.items() if name in CALL}

    def digest(self, track: Track, recipes: Sequence[str], stems: Sequence[str], *, along: bool) -> str:
        """A short name for all that a score depends on; a checkpoint counts by its contents."""
        song = [track.name, track.seconds, *([track.sample_rate] if track.channels == 1 else [])]
        facts = {**self.options, "method": self.method, "along": along, "song": song}
        if tuple(recipes) != RECIPES:
            facts["recipes"] = list(recipes)
        if self.is_reference_point:
            facts["stems"] = list(stems)
        if "checkpoint" in self.options:
            weights = Path(self.options["checkpoint"]) / "weights.safetensors"
            facts["checkpoint"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def variant_of(words: list[str]) -> Variant:
    """LABEL METHOD NAME=VALUE ...; raises OptionError for other words."""
    if len(words) < 2:
        raise OptionError(f"--variant takes LABEL METHOD NAME=VALUE ..., not {' '.join(words)!r}.")
    options: dict[str, Any] = {}
    for word in words[2:]:
        name, equals, text = word.partition("=")
        if not equals:
            raise OptionError(f"--variant {words[0]!r}: {word!r} is no NAME=VALUE.")
        try:
            options[name] = json.loads(text)
        except json.JSONDecodeError:
            options[name] = text
    return Variant(words[0], words[1], options)


def scores(
    stems: Mapping[str, Audio], track: Track, mixture: Audio, recipes: Sequence[str] = RECIPES
) -> dict[str, dict[str, float | None]]:
    """Stem -> metric -> value of one estimate; a metric of windows is their mean."""
    view = track.view(tuple(stems))
    references = {stem: view.load(stem).numpy() for stem in view.stems}
    estimates = {stem: stems[stem].numpy() for stem in view.stems}
    found: dict[str, dict[str, float | None]] = {stem: {} for stem in view.stems}
    for recipe in recipes:
        for row in find_recipe(recipe).score(references, estimates, mixture.numpy(), mixture.sample_rate):
            if row.metric in SHOWN[recipe] and row.stem in found:
                found[row.stem][row.metric] = row.value
    return found


def measured(
    variant: Variant, separator: Separator | None, track: Track, stems: Sequence[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """One song: scores of every step (of the end alone unless asked for), and the CPU time of separating."""
    along, recipes = variant.label in arguments.along, arguments.recipe
    view = track.view(tuple(stems))
    mixture = Audio(view.mixture, track.sample_rate)
    truths = {stem: view.load(stem).numpy() for stem in view.stems} if separator is None else {}
    began = time.process_time()
    if separator is None:
        made = variant.reference_point()(mixture.numpy(), truths, track.sample_rate)
        found = [{stem: Audio(torch.from_numpy(made[stem]), track.sample_rate) for stem in made}]
    elif along:
        found = list(separator.separate_iter(mixture, **variant.call()))  # type: ignore[attr-defined]
    else:
        found = [separator.separate(mixture, **variant.call())]  # type: ignore[list-item]
    seconds = time.process_time() - began
    steps = [scores(step, track, mixture, recipes) for step in found]
    return {"song": track.name, "cpu_seconds": seconds, "seconds": track.seconds, "steps": steps}


def songs_of(
    variant: Variant, tests: Mapping[str, list[Track]], stems: Sequence[str], arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Every song's scores, from `arguments.runs` where they are there already."""
    separator, along = None, variant.label in arguments.along
    for test, tracks in tests.items():
        for track in tracks:
            path = arguments.runs / f"{variant.digest(track, arguments.recipe, stems, along=along)}.json"
            if not path.exists():
                if not variant.is_reference_point:
                    separator = separator or variant.built()
                    stems = separator.info.stems
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(measured(variant, separator, track, stems, arguments)) + "\n")
            yield {"test": test, **json.loads(path.read_text(encoding="utf-8"))}


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", action="append", nargs="+", required=True, metavar=("LABEL", "WORD"))
    parser.add_argument("--along", action="append", default=[], metavar="LABEL", help="score after every step")
    parser.add_argument("--test", action="append", default=[], help="dataset spec, may be repeated [synthetic:8]")
    parser.add_argument("--recipe", action="append", choices=SHOWN, help=f"may be repeated [{', '.join(RECIPES)}]")
    parser.add_argument("--published", action="append", default=[], metavar="TABLE", help="a table of the ledger")
    parser.add_argument("--limit", type=int, metavar="SONGS", help="of each test, the first ones [all]")
    parser.add_argument("--excerpt", type=float, metavar="SECONDS", help="of each song, where most stems sound [all]")
    parser.add_argument("--mono", type=int, metavar="HZ", help="the channels' mean at that rate [as it is]")
    parser.add_argument("--title", default="Variants side by side")
    parser.add_argument("--runs", type=Path, default=Path("runs/compare/scores"), help="scores so far")
    parser.add_argument("--out", type=Path, required=True, help="path without suffix")
    arguments = parser.parse_args(given)
    arguments.recipe = tuple(arguments.recipe or RECIPES)
    return arguments


def opened(spec: str) -> list[Track]:
    """Test tracks of a dataset with splits, all others whole."""
    split = "test" if spec.partition(":")[0] in ("synthetic", "musdb") else None
    return list(open_dataset(spec, split))


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every variant, scored; raises SepkitError for a wrong variant before anything runs."""
    variants = [variant_of(words) for words in arguments.variant]
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise OptionError(f"Two variants have the same label: {', '.join(labels)}.")
    for label in arguments.along:
        if label not in labels:
            raise OptionError(f"--along {label!r} is none of the variants: {', '.join(labels)}.")
    methods = [variant.built() for variant in variants if not variant.is_reference_point]
    for variant in variants:
        if variant.is_reference_point:
            variant.reference_point()
    if not methods:
        raise OptionError("Every variant is a reference point, and only a method says for which stems: add one.")
    published = [published_table(name) for name in arguments.published]
    specs = arguments.test or ["synthetic:8"]
    tests = {
        ":".join(part.rpartition("/")[2] for part in spec.split(":")): opened(spec)[: arguments.limit] for spec in specs
    }
    if arguments.excerpt or arguments.mono:
        wanted = methods[0].info.stems
        tests = {
            test: [excerpt(track, wanted, arguments.excerpt, arguments.mono) for track in tracks]
            for test, tracks in tests.items()
        }
    results: dict[str, Any] = {}
    for variant in variants:
        print(f"{variant.label} …", flush=True)
        songs = list(songs_of(variant, tests, methods[0].info.stems, arguments))
        options = {n: "/".join(Path(x).parts[-2:]) if n == "checkpoint" else x for n, x in variant.options.items()}
        results[variant.label] = {"method": variant.method, "options": options, "songs": songs}
    return {
        "title": arguments.title,
        "recipes": list(arguments.recipe),
        "limit": arguments.limit,
        "excerpt": arguments.excerpt,
        "mono": arguments.mono,
        "metrics": {metric: name for recipe in arguments.recipe for metric, name in SHOWN[recipe].items()},
        "results": results,
        "published": published,
        "along": arguments.along,
        "machine": machine_facts(),
        "versions": package_versions(("sepkit",)),
    }


def published_table(name: str) -> dict[str, Any]:
    """A table of the ledger by its id; raises UnknownNameError for none of that name."""
    ledger = read_ledger()
    tables = {table.id: table for table in ledger.tables}
    if name not in tables:
        raise UnknownNameError(f"The ledger has no table {name!r}: {nearest(name, tables)}")
    table = tables[name]
    rows = {row.model: list(row.values) for row in table.rows}
    columns = [f"{column.id} ({column.unit})" for column in table.columns]
    return {"id": name, "title": table.title, "columns": columns, "rows": rows, "caveats": list(table.caveats)}


def main(given: list[str] | None = None) -> int:
    """Separate, score, print and write."""
    arguments = parsed(given)
    try:
        report = report_of(arguments)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
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
