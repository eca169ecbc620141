"""Scores of ours for published claims: found in run folders, or made where the data is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepkit.data.opening import KINDS, open_dataset
from sepkit.errors import OptionError, SepkitError
from sepkit.evaluation.harness import RunSettings, Watcher, evaluate
from sepkit.evaluation.methods import Method
from sepkit.evaluation.out_folder import file_name
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.run_file import NAME as RUN_FILE
from sepkit.evaluation.run_file import write_run_file
from sepkit.evaluation.score import MethodFacts, Score, now, read_scores

from .claims_schema import Claim, Ours, PaperData
from .claims_verdict import COUNT_TOLERANCE

SUBSTITUTE = "substitute"
"""The name under which `--data` takes songs for differences where the paper's own are not there."""
SAME_METRIC = {"sdx23": ("sdx23", "mdx21"), "mdx21": ("mdx21", "sdx23")}
"""Recipes whose track scores are the same numbers; the table's own aggregation over tracks is used anyway."""


@dataclass(frozen=True)
class Found:
    """Scores of one system on one dataset: tracks by stems, NaN where a stem has none, in the order of the names."""

    label: str  # the dataset, as the rows name it
    tracks: tuple[str, ...]
    values: NDArray[np.float64]  # t s
    weights: NDArray[np.float64]  # t s
    facts: MethodFacts
    failed: tuple[str, ...]  # reasons, where no track has a score


@dataclass(frozen=True)
class RunFolder:
    """A folder that benchmarks.run, sepkit evaluate or a claim's own run has written."""

    path: Path

    @cached_property
    def rows(self) -> list[Score]:
        return read_scores(self.path / "scores.jsonl")

    @cached_property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """Method name -> options that it was built with; empty where the folder does not say."""
        file = self.path / RUN_FILE
        if not file.is_file():
            return {}
        content = json.loads(file.read_text(encoding="utf-8"))
        return {method["name"]: method.get("options", {}) for method in content.get("methods", [])}

    def labels(self, ours: Ours) -> list[str]:
        """The datasets on which it holds rows of this system."""
        return list(dict.fromkeys(row.dataset for row in self._rows_of(ours)))

    def find(self, claim: Claim, ours: Ours, label: str) -> Found | None:
        """The scores of a system under a claim's table and column on one dataset; None where there are no rows."""
        table, column = claim.table, claim.column
        recipes = SAME_METRIC.get(str(table.recipe), (table.recipe,))
        rows = [row for row in self._rows_of(ours) if row.dataset == label and row.recipe in recipes]
        if not rows:
            return None
        stems = stems_of(claim)
        scored = [r for r in rows if r.metric == column.metric and r.stem in stems and r.value is not None]
        names = tuple(sorted({row.track for row in scored}))
        values, weights = np.full((len(names), len(stems)), np.nan), np.ones((len(names), len(stems)))
        for row in scored:
            place = names.index(row.track), stems.index(row.stem)
            values[place], weights[place] = row.value, row.windows or 1
        if column.stem == "mean":  # a mean over other stems than the paper's would be another number
            whole = ~np.isnan(values).any(axis=1)
            names = tuple(name for name, kept in zip(names, whole, strict=True) if kept)
            values, weights = values[whole], weights[whole]
        reasons = tuple(dict.fromkeys(row.reason for row in rows if row.reason))
        return Found(label, names, values, weights, rows[-1].facts, reasons)

    def _rows_of(self, ours: Ours) -> list[Score]:
        if ours.options and dict(self.options.get(ours.method, {})) != ours.options:
            return []
        return [row for row in self.rows if row.method == ours.method and ours.quality in (None, row.quality)]


def stems_of(claim: Claim) -> list[str]:
    """The stems behind a claim's column: its own, or for the mean every other one of the table."""
    if claim.column.stem != "mean":
        return [str(claim.column.stem)]
    named = [str(column.stem) for column in claim.table.columns if column.stem not in (None, "mean")]
    return named or ["vocals", "drums", "bass", "other"]


def run_folders(out: Path) -> list[RunFolder]:
    """`out` itself where it is a run, and every run in it, by name."""
    candidates = [out, *sorted(path for path in out.iterdir() if path.is_dir())] if out.is_dir() else []
    return [RunFolder(path) for path in candidates if (path / "scores.jsonl").is_file()]


def is_own_data(label: str, data: PaperData, given: str | None) -> bool:
    """Whether a run's dataset is the paper's: what the user said it is, or our kind for it in the right split."""
    if given is not None and label in (given, f"{given}:{data.split}"):
        return True
    kind, _, rest = label.partition(":")
    other_split = any(rest.endswith(f":{split}") for split in ("train", "valid"))
    return data.kind is not None and kind == data.kind and bool(rest) and not other_split


def parse_data(given: Sequence[str], kinds: Mapping[str, str | None]) -> dict[str, str]:
    """`NAME=PATH` or `NAME=SPEC` to dataset specs; a bare path gets the kind of its name.

    Raises OptionError for a name that is not known, or a path to a dataset that has no kind of its own.
    """
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not value or name not in kinds:
            raise OptionError(f"--data {one!r} names no dataset: write NAME=PATH, NAME one of {', '.join(kinds)}.")
        if value.partition(":")[0] in KINDS:
            found[name] = value
        elif kinds[name] in KINDS:
            found[name] = f"{kinds[name]}:{value}"
        else:
            raise OptionError(f"--data {one!r}: there is no reader for {name}; give folder:PATH of stems.")
    return found


def other_weights(ours: Ours, facts: MethodFacts) -> str | None:
    """Why these weights are not the published system's, or None as far as can be told."""
    if facts.kind == "reference":
        return None
    if facts.trained is False:
        return "weights missing: the network is untrained"
    if ours.parameters and facts.parameters and abs(facts.parameters / ours.parameters - 1) > COUNT_TOLERANCE:
        return (
            f"weights missing: these are of a network of {facts.parameters / 1e6:.2f} M parameters, the published one "
            f"has {ours.parameters / 1e6:.2f} M; give --checkpoint {ours.method}=FOLDER"
        )
    if facts.extra_training_data:
        return "weights missing: these were trained on other data than the published ones"
    return None


def needed_run(
    claim: Claim, method: Method, spec: str, out: Path, watch: Watcher, settings: RunSettings, limit: int | None = None
) -> None:
    """Evaluate a claim's system on a dataset into a folder of its own; what is finished there is not done again.

    Raises SepkitError where the dataset cannot be read; a method that fails leaves rows with the reason.
    """
    ours = claim.row.ours
    assert ours is not None
    method = method.model_copy(update={"options": ours.options})
    quality = ours.quality or settings.quality
    chosen = settings.model_copy(update={"dataset": spec, "quality": quality})
    options = "+".join(f"{name}={value}" for name, value in sorted(ours.options.items()))
    folder = out / file_name(f"{spec.partition(':')[0]}-{ours.method}-{quality}{'-' if options else ''}{options}")
    recipe, started = RECIPES[str(claim.table.recipe)], now()
    tracks = open_dataset(spec, "test" if spec.partition(":")[0] in ("musdb", "synthetic") else None)
    tracks = tracks[: limit or len(tracks)]
    evaluate([method], tracks, [recipe], folder, chosen, watch)
    write_run_file(
        folder,
        command=["python", "-m", "benchmarks.run", "--paper", claim.table.id],
        started=started,
        seconds=0.0,
        settings=chosen,
        methods=[method],
        recipes=[recipe],
        tracks=[track.name for track in tracks],
    )


def parameters_of(ours: Ours) -> float:
    """Millions of parameters of a network of ours, built with random weights; raises SepkitError where it cannot be."""
    from sepkit.registry import get_separator

    separator = get_separator(ours.method, untrained=True, device="cpu", **ours.options)
    count = getattr(getattr(separator, "model", None), "parameters", None)
    if not isinstance(count, int):
        raise SepkitError(f"{ours.method} does not tell its number of parameters")
    return count / 1e6
