"""Score methods on songs: `python -m benchmarks.run --methods all | NAME,…` prints tables and writes a report.

Exit codes: 0 all fine; 1 a method or a recipe could not be run (its rows say why); 2 nothing was started, by a wrong
option, name or dataset; 130 interrupted: the same command goes on where it stopped.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sepkit.cli import exit_codes
from sepkit.cli.terminal import print_error, print_note
from sepkit.data.opening import KINDS, open_dataset
from sepkit.errors import OptionError, SepkitError
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.methods import Method, available_methods, find_methods, with_checkpoint
from sepkit.evaluation.museval_engine import load_museval
from sepkit.evaluation.progress import RunProgress
from sepkit.evaluation.recipe import RECIPES, Recipe, find_recipe
from sepkit.evaluation.report import write_results
from sepkit.evaluation.score import Score, now
from sepkit.quality import parse_quality

from .suites import groups

DEFAULT_RECIPES = ["sdr_mdx", "si_sdri_4s"]  # museval takes longer than most methods: by name

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__, no_args_is_help=True)
def run(
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="all, a group, or names with commas between them.")
    ] = "all",
    dataset: Annotated[str, typer.Option(help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()))] = "demo",
    split: Annotated[str | None, typer.Option(help="train, valid or test, where the dataset has splits.")] = None,
    track: Annotated[list[str] | None, typer.Option(help="Only this track; may be repeated.")] = None,
    recipe: Annotated[
        list[str] | None, typer.Option(help=f"How to score; may be repeated. {', '.join(RECIPES)}.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N tracks.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results; runs/<dataset> by default.")] = None,
    seed: Annotated[int, typer.Option(help="For methods that draw at random.")] = 0,
    quality: Annotated[str, typer.Option(help="fast, balanced, best, steps, or a budget such as 30s.")] = "balanced",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="Other weights for a method; may be repeated.")
    ] = None,
    budget_per_track: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop a separation that takes longer; adds a column.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Methods at once; times then disturb another.")] = 1,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Discard what the folder holds, or go on with it.")
    ] = False,
    save_stems: Annotated[bool, typer.Option(help="Keep the separated stems and the references as float WAV.")] = True,
    list_methods: Annotated[bool, typer.Option("--list", help="List methods, groups and recipes, and stop.")] = False,
) -> None:
    if list_methods:
        _print_list()
        return
    try:
        parse_quality(quality)
        chosen = _chosen_methods(methods, checkpoint or [])
        recipes = [find_recipe(name) for name in dict.fromkeys(recipe or DEFAULT_RECIPES)]
        folder = out or Path("runs", re.sub(r"[^\w\-+.]+", "-", dataset).strip("-"))
        tracks = open_dataset(dataset, split)
        tracks = tracks.named(*track) if track else tracks
        tracks = tracks[: limit or len(tracks)]
        settings = RunSettings(
            dataset=f"{dataset}:{split}" if split else dataset,
            seed=seed,
            quality=quality,
            device=device,
            budget_seconds=budget_per_track,
            jobs=jobs,
            fresh=fresh,
            save_stems=save_stems,
        )
        unusable = _unusable_recipes(recipes)
        started, clock = now(), time.monotonic()
        with RunProgress() as watch:
            rows = evaluate(chosen, tracks, recipes, folder, settings, watch)
        seconds = time.monotonic() - clock
    except SepkitError as error:
        print_error(str(error))
        raise typer.Exit(exit_codes.USAGE) from error
    except KeyboardInterrupt:
        print_error("interrupted; the same command goes on where it stopped.")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    _write_run_file(folder, settings, chosen, recipes, [one.name for one in tracks], started, seconds)
    facts = _facts(settings, len(tracks), seconds)
    _print_results(write_results(folder, rows, recipes, facts, budget_seconds=budget_per_track), folder)
    if unusable or _failed(rows, chosen):
        raise typer.Exit(exit_codes.FAILED)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m benchmarks.run")


def _chosen_methods(names: str, checkpoints: Sequence[str]) -> list[Method]:
    chosen = find_methods([name.strip() for name in names.split(",") if name.strip()], groups())
    if not chosen:
        raise OptionError(f"--methods {names!r} names no method; write all, or names with commas between them.")
    folders = {}
    for given in checkpoints:
        name, equals, path = given.partition("=")
        if not equals or name not in {method.name for method in chosen}:
            raise OptionError(f"--checkpoint {given!r} fits no chosen method; write NAME=FOLDER.")
        folders[name] = path
    return [with_checkpoint(method, folders[method.name]) if method.name in folders else method for method in chosen]


def _unusable_recipes(recipes: Sequence[Recipe]) -> list[str]:
    """Recipes whose engine is missing here: said at once, and then once more in every row."""
    unusable = []
    for recipe in recipes:
        if recipe.engine == "museval":
            try:
                load_museval()
            except SepkitError as error:
                print_error(f"{recipe.name} will be undefined: {error}")
                unusable.append(recipe.name)
    return unusable


def _failed(rows: Sequence[Score], chosen: Sequence[Method]) -> list[Score]:
    """Rows of chosen methods that stand for a failure; being over budget is an answer, not a failure."""
    names = {method.name for method in chosen}
    return [row for row in rows if row.failed and row.method in names and not row.cost.over_budget]


def _facts(settings: RunSettings, tracks: int, seconds: float) -> dict[str, Any]:
    machine = machine_facts()
    return {
        "dataset": settings.dataset,
        "tracks": tracks,
        "quality": settings.quality,
        "seed": settings.seed,
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "this run": f"{seconds:.0f} s, {settings.jobs} method(s) at once",
    }


def _write_run_file(
    folder: Path,
    settings: RunSettings,
    methods: Sequence[Method],
    recipes: Sequence[Recipe],
    tracks: Sequence[str],
    started: str,
    seconds: float,
) -> None:
    """OUT/run.json: what was asked, by which command, where and with what."""
    distributions = {method.facts.distribution for method in methods} - {None, "sepkit"}
    content = {
        "command": shlex.join(["python", "-m", "benchmarks.run", *sys.argv[1:]]),
        "started": started,
        "seconds": seconds,
        "settings": settings.model_dump(mode="json"),
        "methods": [method.model_dump(mode="json") for method in methods],
        "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        "tracks": list(tracks),
        "machine": machine_facts(),
        "versions": package_versions(tuple(sorted(str(name) for name in distributions))),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")


def _print_results(grids: Sequence[Any], folder: Path) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for grid in grids:
        console.print()
        console.print(grid.rich())
        for note in grid.notes:
            console.print(f"  {note}", style="dim", markup=False, soft_wrap=True)
    print_note(f"Results: {folder / 'summary.md'}, {folder / 'scores.jsonl'}; look and listen: {folder / 'index.html'}")


def _print_list() -> None:
    for name, method in available_methods().items():
        print(f"{name:24} {method.facts.kind or 'method':12} {method.facts.distribution} {method.facts.version}")
    for name, members in groups().items():
        print(f"{name:24} {'group':12} {', '.join(members)}")
    for name, recipe in RECIPES.items():
        print(f"{name:24} {'recipe':12} {recipe.source}")


if __name__ == "__main__":
    main()
