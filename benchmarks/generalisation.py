"""How scores fall from one kind of song to another: `python -m benchmarks.generalisation --methods all`.

Every method on every domain: MUSDB18, MedleyDB and Saraga where they are given, then made, rendered and real songs. A
domain that is not given is a line with its reason. Finished runs are not done again. Exit codes as of benchmarks.run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sepkit.cli import evaluation_options as options
from sepkit.cli import exit_codes
from sepkit.cli.terminal import print_error, print_note
from sepkit.config import Frozen
from sepkit.data.track import Dataset
from sepkit.errors import OptionError, SepkitError
from sepkit.evaluation.command import asked_names, choose_methods, failures, interrupted
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.machine import machine_facts
from sepkit.evaluation.methods import Method
from sepkit.evaluation.peers import with_weights
from sepkit.evaluation.progress import RunProgress
from sepkit.evaluation.recipe import Recipe, find_recipe
from sepkit.evaluation.run_file import write_run_file
from sepkit.evaluation.score import Score, now
from sepkit.evaluation.statistics import mean_interval
from sepkit.partial_files import replacing, write_text

from .claims_runs import parse_data
from .degraded_songs import excerpts, sounding
from .domains import KINDS, Domain, open_domains
from .generalisation_page import draw, markdown
from .score_points import ScorePoint, matrix, notes_of, numbers_of, stem_rows, stems_behind
from .unpaired import unpaired_interval

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class DomainPoint(ScorePoint):
    """A score on one domain; `drop` is from the first domain that the method has a score on, songs unpaired."""

    domain: str
    mixture: str


class Report(Frozen):
    """What a run of this benchmark found, as it is saved."""

    command: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    domains: tuple[Domain, ...]
    points: tuple[DomainPoint, ...]
    notes: tuple[str, ...]


@app.command(help=__doc__, no_args_is_help=True)
def run(
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="all, a group, or names with commas between them.")
    ] = "all",
    data: Annotated[
        list[str] | None, typer.Option(help=f"NAME=PATH or NAME=SPEC, NAME one of {', '.join(KINDS)}; may be repeated.")
    ] = None,
    domains: Annotated[str, typer.Option(help="Only these domains, with commas; all by default.")] = "all",
    rendered: Annotated[int, typer.Option(min=1, help="Songs to render, where none are given.")] = 4,
    seconds: Annotated[float | None, typer.Option(min=0.5, help="Only the middle of each song.")] = None,
    limit: options.Limit = None,
    recipe: Annotated[str, typer.Option(help="How to score.")] = "sdx23",
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/generalisation"),
    report: Annotated[Path | None, typer.Option(help="Path of the report without suffix; OUT/generalisation.")] = None,
    seed: options.Seed = 0,
    quality: options.Quality = "balanced",
    device: options.Device = "auto",
    checkpoint: options.Checkpoints = None,
    budget_per_track: options.Budget = None,
    fresh: options.Fresh = False,
    save_stems: options.SaveStems = False,
) -> None:
    try:
        chosen, without = with_weights(choose_methods(methods, checkpoint or ()), asked_names(methods))
        how, given, wanted = find_recipe(recipe), parse_data(data or (), KINDS), _wanted(domains)
        opened = open_domains(given, out, rendered, wanted)
        for note in without:
            print_note(note)
        settings = RunSettings(
            dataset="", seed=seed, quality=quality, device=device, budget_seconds=budget_per_track, fresh=fresh,
            save_stems=save_stems,
        )  # fmt: skip
        rows, known = {}, []
        for domain, songs in opened:
            if songs is not None:
                cut = sounding(excerpts(songs[: limit or len(songs)], seconds))
                domain = domain.model_copy(update={"songs": len(cut)})
                label = f"{domain.spec}{f', {seconds:g} s' if seconds else ''}"
                here = settings.model_copy(update={"dataset": label})
                rows[domain.name] = _evaluate(chosen, cut, how, out / domain.name, here)
            known.append(domain)
    except SepkitError as error:
        print_error(str(error))
        raise typer.Exit(exit_codes.USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(interrupted()) from None
    whole = Report(
        command=" ".join(["python -m benchmarks.generalisation", *sys.argv[1:]]),
        settings={**settings.model_dump(mode="json"), "recipe": recipe, "seconds": seconds, "limit": limit},
        machine=machine_facts(),
        domains=tuple(known),
        points=tuple(points_of(rows, how)),
        notes=tuple(f"{name}: {note}" for name, own in rows.items() for note in notes_of(own, how)),
    )
    _write(whole, report or out / "generalisation")
    every = [row for own in rows.values() for row in own]
    raise typer.Exit(exit_codes.FAILED if failures(every, chosen) else exit_codes.OK)


def points_of(rows: Mapping[str, Sequence[Score]], recipe: Recipe) -> list[DomainPoint]:
    """Scores and drops by method, stem and domain, domains in the order given."""
    values: dict[tuple[str, str], dict[str, dict[str, dict[str, float]]]] = {}  # (method, mixture) -> domain -> stem …
    views: dict[tuple[str, str], tuple[str, ...]] = {}
    for domain, own in rows.items():
        for row in own:
            if row.recipe == recipe.name and row.metric == recipe.metrics[0] and row.value is not None:
                key = row.method, row.mixture
                stems = values.setdefault(key, {}).setdefault(domain, {})
                stems.setdefault(row.stem, {})[row.track] = row.value
                views[key] = tuple(dict.fromkeys((*views.get(key, ()), *row.view)))
    points = []
    for (method, mixture), by_domain in values.items():
        present = {stem: True for stems in by_domain.values() for stem in stems}
        for stem in stem_rows(views[(method, mixture)], present):
            behind = stems_behind(stem, list(present))
            whole = {d: stems for d, stems in by_domain.items() if all(stems.get(name) for name in behind)}
            tables = {d: matrix(s, behind, sorted({t for n in behind for t in s[n]})) for d, s in whole.items()}
            first = next(iter(tables.values()), None)
            for domain, table in tables.items():
                assert first is not None
                score = mean_interval(table, np.ones_like(table), recipe.over_tracks)
                numbers = numbers_of(score, unpaired_interval(table, first, recipe.over_tracks))
                points.append(DomainPoint(method=method, stem=stem, domain=domain, mixture=mixture, **numbers))
    return points


def _wanted(domains: str) -> list[str]:
    names = list(KINDS) if domains == "all" else [name.strip() for name in domains.split(",") if name.strip()]
    if not names or not set(names) <= set(KINDS):
        raise OptionError(f"--domains {domains!r} names no domain; known: {', '.join(KINDS)}, or all.")
    return names


def _evaluate(
    methods: Sequence[Method], songs: Dataset, recipe: Recipe, folder: Path, settings: RunSettings
) -> list[Score]:
    started = now()
    with RunProgress() as watch:
        rows = evaluate(methods, songs, [recipe], folder, settings, watch)
    write_run_file(
        folder,
        command=["python", "-m", "benchmarks.generalisation", *sys.argv[1:]],
        started=started,
        seconds=0.0,
        settings=settings,
        methods=methods,
        recipes=[recipe],
        tracks=[song.name for song in songs],
    )
    names = {method.name for method in methods}
    return [row for row in rows if row.method in names]


def _write(report: Report, path: Path) -> None:
    """PATH.json, PATH.md and PATH.svg; says where the plot is missing and why."""
    plot: str | None = path.with_suffix(".svg").name
    try:
        with replacing(path.with_suffix(".svg"), overwrite=True) as partial:
            draw(report.points, [domain.name for domain in report.domains], partial)
    except ImportError:
        plot = None
        print_note("no plot: matplotlib is not installed (pip install 'sepkit[eval]')")
    text = json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_text(path.with_suffix(".json"), text + "\n")
    page = markdown(report.points, report.domains, report.notes, plot, report.command, report.settings)
    write_text(path.with_suffix(".md"), page)
    print(page)
    print_note(f"Results: {path.with_suffix('.md')}, {path.with_suffix('.json')}")


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m benchmarks.generalisation")


if __name__ == "__main__":
    main()
