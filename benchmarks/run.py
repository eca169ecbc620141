"""Score methods on songs: `python -m benchmarks.run --methods all | NAME,…` prints tables and writes a report.

Exit codes: 0 all fine; 1 a method or a recipe could not be run (its rows say why); 2 nothing was started, by a wrong
option, name or dataset; 130 interrupted: the same command goes on where it stopped.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sepkit.cli import evaluation_options as options
from sepkit.cli import exit_codes
from sepkit.cli.terminal import print_error
from sepkit.errors import SepkitError
from sepkit.evaluation.command import MethodRun, print_choices, run_methods

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__, no_args_is_help=True)
def run(
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="all, a group, or names with commas between them.")
    ] = "all",
    dataset: Annotated[str, typer.Option(help=options.DATASETS)] = "demo",
    split: options.Split = None,
    track: options.OnlyTracks = None,
    recipe: options.Recipes = None,
    limit: options.Limit = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    quality: options.Quality = "balanced",
    device: options.Device = "auto",
    checkpoint: options.Checkpoints = None,
    untrained: options.Untrained = None,
    budget_per_track: options.Budget = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Methods at once; times then disturb another.")] = 1,
    fresh: options.Fresh = False,
    save_stems: options.SaveStems = True,
    uncertainty: options.Uncertainty = 0,
    list_methods: options.ShowChoices = False,
    paper: Annotated[
        str | None, typer.Option(help="Test published claims: ids of benchmarks/published.json with commas, or all.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="With --paper: NAME=PATH, such as musdb18=PATH; may be repeated.")
    ] = None,
) -> None:
    if list_methods:
        print_choices()
        return
    asked = MethodRun(
        methods=methods,
        dataset=dataset,
        split=split,
        tracks=tuple(track or ()),
        recipes=tuple(recipe or ()),
        limit=limit,
        out=out,
        seed=seed,
        quality=quality,
        device=device,
        checkpoints=tuple(checkpoint or ()),
        untrained=tuple(untrained or ()),
        budget_seconds=budget_per_track,
        jobs=jobs,
        fresh=fresh,
        save_stems=save_stems,
        uncertainty=uncertainty,
    )
    try:
        if paper is not None:
            from .claims_table import print_claims

            raise typer.Exit(print_claims(paper, data or [], asked))
        code = run_methods(asked, ["python", "-m", "benchmarks.run", *sys.argv[1:]])
    except SepkitError as error:
        print_error(str(error))
        code = exit_codes.USAGE
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m benchmarks.run")


if __name__ == "__main__":
    main()
