"""`sepkit evaluate`: scores of stems that any tool has made, of installed methods, and of museval's own results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from . import evaluation_options as options
from .separate import Engine, RayAddress, check_engine

Cluster = tuple[str | None, int | None, str]
"""The address of a cluster, how many workers, and their device."""

app = typer.Typer()  # mounted by `sepkit` when it is called: reading so many options would slow every other command


@app.command(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
def evaluate(
    estimates: Annotated[
        Path | None, typer.Argument(metavar="ESTIMATES", help="Folder of <track>/<stem>.wav, or of one track's stems.")
    ] = None,
    references: Annotated[
        str | None, typer.Argument(metavar="REFERENCES", help="The true stems: such a folder, or musdb:PATH.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="Separate with these methods instead, commas between them.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help=f"For --method: {options.DATASETS}")] = None,
    museval_json: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Aggregate museval's JSON results; may be repeated.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="For --museval-json: runs to set beside; may be repeated.")
    ] = None,
    recipe: options.Recipes = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results; below runs/ by default.")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write museval's JSON, DIR/<method>/test/<track>.json.")
    ] = None,
    method_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the estimates; their folder's name by default.")
    ] = None,
    stem: Annotated[
        list[str] | None, typer.Option(metavar="STEM", help="Rows of this stem only; may be repeated.")
    ] = None,
    split: options.Split = None,
    track: options.OnlyTracks = None,
    limit: options.Limit = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Convert estimates of another sample rate; else an error.")
    ] = False,
    pad: Annotated[
        bool, typer.Option("--pad", help="Cut or fill lengths that differ by more than 1 s; else an error.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Tracks (with --method: methods) at once, in own processes; 1."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="ray: tracks on all cores or machines.")] = Engine.local,
    ray_address: RayAddress = None,
    fresh: options.Fresh = False,
    save_stems: Annotated[
        bool, typer.Option(help="Keep the sounds in the results' folder for its report; links where files are given.")
    ] = True,
    seed: options.Seed = 0,
    quality: options.Quality = "balanced",
    device: options.Device = "auto",
    checkpoint: options.Checkpoints = None,
    untrained: options.Untrained = None,
    budget_per_track: options.Budget = None,
    list_choices: options.ShowChoices = False,
) -> None:
    """Score stems against the true ones, matched by name; or --method on a --dataset; or --museval-json.

    Exit codes: 0 all fine; 1 a track, stem or method had no counterpart, could not be read, or has no value at all (its
    rows say why), the rest is scored; 2 nothing was started; 130 interrupted: the same command goes on where it
    stopped.
    """
    if list_choices:
        from ..evaluation.command import print_choices

        print_choices()
        return
    shared: dict[str, Any] = {
        "split": split,
        "tracks": tuple(track or ()),
        "recipes": tuple(recipe or ()),
        "limit": limit,
        "out": out,
        "seed": seed,
        "quality": quality,
        "jobs": jobs or 1,
        "fresh": fresh,
    }
    check_engine(engine, ray_address, None, [])
    cluster = (ray_address, jobs, device) if engine is Engine.ray else None
    for_methods: dict[str, Any] = {"dataset": dataset, "checkpoint": checkpoint, "budget-per-track": budget_per_track}
    for_methods["untrained"] = untrained
    for_methods["device"] = device if device != "auto" else None
    for_folders: dict[str, Any] = {"method-name": method_name, "stem": stem, "resample": resample, "pad": pad}
    if museval_json:
        _refuse(
            "--museval-json", {**for_methods, **for_folders, "method": method, "json": json, "ESTIMATES": estimates}
        )
        _refuse("--museval-json", {"track": track, "limit": limit, "fresh": fresh, "engine ray": cluster})
        raise typer.Exit(_museval(museval_json, run or [], shared))
    if method is not None:
        _refuse("--method", {**for_folders, "ESTIMATES": estimates, "run": run})
        settings = {"dataset": dataset or "demo", "device": device, "checkpoints": tuple(checkpoint or ())}
        settings["untrained"] = tuple(untrained or ())
        more: dict[str, Any] = {
            "methods": method,
            "budget_seconds": budget_per_track,
            "save_stems": save_stems,
            **settings,
        }
        raise typer.Exit(_methods({**shared, **more}, json, cluster))
    if estimates is None or references is None:
        raise OptionError(
            "Two folders are wanted, sepkit evaluate ESTIMATES REFERENCES; or --method NAME --dataset NAME; "
            "or --museval-json DIR."
        )
    _refuse("ESTIMATES REFERENCES", {**for_methods, "run": run})
    files = {"estimates": estimates, "references": references, "method_name": method_name, "keep_audio": save_stems}
    allow = {"resample": resample, "pad": pad}
    raise typer.Exit(_folders({**shared, **files, "stems": tuple(stem or ()), "allow": allow}, json, cluster))


def _folders(values: Mapping[str, Any], json: Path | None, cluster: Cluster | None) -> int:
    from ..evaluation.folder_command import FolderRequest, run_folders

    request = FolderRequest(**values)
    if cluster is None:
        return run_folders(request, _typed(), json)
    from ..many_machines.evaluating import Evaluators

    with Evaluators(*cluster) as evaluators:
        return run_folders(request, _typed(), json, evaluators.apply)


def _methods(values: Mapping[str, Any], json: Path | None, cluster: Cluster | None) -> int:
    from ..evaluation.command import MethodRun, run_methods

    run = MethodRun(**values)
    if cluster is None:
        return run_methods(run, _typed(), json)
    from ..many_machines.evaluating import Evaluators

    with Evaluators(*cluster) as evaluators:
        return run_methods(run, _typed(), json, evaluators.evaluate)


def _museval(folders: list[Path], runs: list[Path], shared: Mapping[str, Any]) -> int:
    from ..evaluation.museval_command import MusevalRequest, run_museval_json

    if len(shared["recipes"]) > 1:
        raise OptionError("--museval-json takes one --recipe, by which the results are aggregated.")
    chosen = {"recipe": shared["recipes"][0]} if shared["recipes"] else {}
    request = {"folders": tuple(folders), "runs": tuple(runs), "split": shared["split"], "out": shared["out"]}
    return run_museval_json(MusevalRequest(**request, **chosen))


def _typed() -> list[str]:
    return ["sepkit", *sys.argv[1:]]


def _refuse(mode: str, values: Mapping[str, Any]) -> None:
    """Raise OptionError for what was given and means nothing here, rather than leave it aside unsaid."""
    for name, value in values.items():
        if value:
            shown = name if name.isupper() else f"--{name}"
            raise OptionError(f"{shown} does not go with {mode}; leave one of them out.")
