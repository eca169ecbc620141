"""A fine-tuned method beside what it was, on songs that were held out: scores, how far old stems moved, a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .audio import Audio
from .checkpoint import CARD_FILE
from .data.opening import open_dataset
from .data.track import Dataset
from .evaluation.command import run_facts, write_all
from .evaluation.harness import RunSettings, evaluate
from .evaluation.methods import Method
from .evaluation.out_folder import file_name
from .evaluation.progress import RunProgress
from .evaluation.recipe import find_recipe
from .evaluation.score import Score
from .finetuning import Prepared
from .partial_files import write_text

BEFORE, AFTER = "before", "after"
RECIPE = "sdx23"
SCORES = "\n## Before and after\n"


class StemChange(NamedTuple):
    """One stem on the held-out songs, means in dB, None where no song has a reference of it.

    `likeness` is the energy of the estimate before over that of the change: None for a new stem.
    """

    stem: str
    before: float | None
    after: float | None
    likeness: float | None


def compare(prepared: Prepared, before: Path, after: Path, *, device: str = "auto") -> tuple[list[StemChange], Path]:
    """Separate the held-out songs with both checkpoints, score them, and write the report into `out/comparison`.

    Prints the table of scores, and adds the changes to the model card of `after`. Returns them and the report's page.
    """
    request = prepared.request
    songs = open_dataset(request.dataset, "valid")
    out = Path(request.out) / "comparison"
    methods = [
        Method(
            name=name,
            factory="sepkit.registry:get_separator",
            options={"name": request.method, "checkpoint": str(folder), "device": device},
        )
        for name, folder in ((BEFORE, before), (AFTER, after))
    ]
    recipe = find_recipe(RECIPE)
    settings = RunSettings(dataset=f"held out of {_place(request.dataset)}", seed=request.seed, fresh=True)
    with RunProgress() as watch:
        rows = evaluate(methods, songs, [recipe], out, settings, watch)
    facts = {"fine-tuned": request.method, "new stems": ", ".join(request.stems), **run_facts("two checkpoints")}
    write_all(out, rows, [recipe], facts, costs=False)
    changes = [_change(stem, rows, recipe.metrics[0], songs, out, prepared) for stem in prepared.stems]
    _add_to_card(after, changes, songs, recipe.metrics[0])
    return changes, out / "index.html"


def change_table(changes: Sequence[StemChange], metric: str) -> str:
    """The changes as a Markdown table."""
    lines = [f"| stem | {metric} before | after | likeness of old stems |", "|---|---:|---:|---:|"]
    for one in changes:
        likeness = "new" if one.likeness is None else _decibels(one.likeness)
        lines.append(f"| {one.stem} | {_decibels(one.before)} | {_decibels(one.after)} | {likeness} |")
    return "\n".join(lines)


def _change(stem: str, rows: Sequence[Score], metric: str, songs: Dataset, out: Path, prepared: Prepared) -> StemChange:
    def mean(method: str) -> float | None:
        found = [
            row.value
            for row in rows
            if (row.method, row.stem, row.metric) == (method, stem, metric) and row.value is not None
        ]
        return float(np.mean(found)) if found else None

    old = stem in prepared.header.info.stems
    return StemChange(stem, mean(BEFORE), mean(AFTER), _likeness(stem, songs, out) if old else None)


def _likeness(stem: str, songs: Dataset, out: Path) -> float | None:
    """Over all held-out songs: 10 log10 of the energy of the estimate before over that of what changed."""
    kept = changed = 0.0
    for song in songs:
        first, second = (out / "stems" / name / file_name(song.name) / f"{stem}.wav" for name in (BEFORE, AFTER))
        if not first.exists() or not second.exists():
            return None
        one, two = (Audio.read(path).samples.double() for path in (first, second))
        kept += float(one.square().sum())
        changed += float((two - one).square().sum())
    return 10 * float(np.log10(max(kept, 1e-12) / max(changed, 1e-12)))


def _add_to_card(folder: Path, changes: Sequence[StemChange], songs: Dataset, metric: str) -> None:
    path = folder / CARD_FILE
    card = path.read_text(encoding="utf-8").partition(SCORES)[0]
    names = ", ".join(song.name for song in songs)
    text = (
        f"{card}{SCORES}\nOn {names}, held out of the training but used to pick the step of the weights, so a little "
        f"optimistic; means in dB. Likeness: energy of the old estimate over that of its change.\n\n"
        f"{change_table(changes, metric)}\n"
    )
    write_text(path, text)


def _place(spec: str) -> str:
    return Path(spec.rpartition(":")[2]).name


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
