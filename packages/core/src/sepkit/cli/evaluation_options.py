"""The options that `sepkit evaluate` and `python -m benchmarks.run` share, as annotations for typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATASETS = "demo[:band], synthetic[:band][:COUNT], folder:PATH or musdb:PATH, see sepkit data."

Split = Annotated[str | None, typer.Option(help="train, valid or test, where the dataset has splits.")]
OnlyTracks = Annotated[list[str] | None, typer.Option("--track", help="Only this track; may be repeated.")]
Recipes = Annotated[list[str] | None, typer.Option("--recipe", help="How to score; may be repeated; --list names all.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N tracks.")]
Out = Annotated[Path | None, typer.Option(help="Folder for results; runs/<dataset> by default.")]
Seed = Annotated[int, typer.Option(help="For methods that draw at random.")]
Quality = Annotated[str, typer.Option(help="fast, balanced, best, steps, or a budget such as 30s.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", metavar="NAME=DIR|hf://…", help="Other weights for a method; may be repeated."),
]
Untrained = Annotated[
    list[str] | None,
    typer.Option("--untrained", metavar="NAME", help="Random weights for a method; may be repeated."),
]
Budget = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Stop a separation that takes longer; adds a column.")
]
Fresh = Annotated[bool, typer.Option("--fresh/--resume", help="Discard the folder's earlier run, or go on with it.")]
SaveStems = Annotated[bool, typer.Option(help="Keep the separated stems and the references as float WAV.")]
Uncertainty = Annotated[
    int, typer.Option(metavar="N", help="Draw N more results of random methods, whose spread the report shows.")
]
ShowChoices = Annotated[bool, typer.Option("--list", help="List methods, groups and recipes, and stop.")]
