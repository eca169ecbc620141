"""`sepkit finetune`: a method that ships trained learns stems of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import exit_codes
from .method_options import parse_options
from .terminal import print_note, stderr

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False, add_completion=False
)


@app.command(no_args_is_help=True)
def finetune(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Which method, for example lightsaft.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for each song, with a file for each stem.")],
    stems: Annotated[str, typer.Option(help="The new stems, commas between them: tabla,violin.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="RUN", help="The run's folder; a run in it goes on.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How long to train; 600 by default.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Or as many steps as fit into this time.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="DIR|hf://OWNER/NAME", help="Start from other weights than the shipped ones.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", "--licence", help="Of the new weights: what your recordings allow.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of examples.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option("-O", "--option", metavar="KEY=VALUE", help="Of the method's training."),
    ] = None,
    device: Annotated[str, typer.Option("-d", "--device", help="Of the comparison: auto, cpu, cuda.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the songs and foretell the time, no more.")] = False,
) -> None:
    """Teach a trained method new stems from songs of yours: checks them, foretells the time, trains, compares.

    Leaves RUN/best, a checkpoint (sepkit separate -m METHOD --checkpoint RUN/best), and RUN/comparison/index.html.
    """
    if steps is not None and minutes is not None:
        raise typer.BadParameter("--steps and --minutes exclude each other: keep one.")
    from ..data.check_cli import print_report
    from ..finetuning import prepare, settled_steps, tuner_of
    from ..training.loop import clock

    run = out or Path("runs", f"{method}-{'-'.join(stems.replace(',', ' ').split())}")
    given = {"seed": seed, "options": parse_options(option or [])} | ({"licence": licence} if licence else {})
    prepared = prepare(
        method, folder, stems.split(","), run, checkpoint=checkpoint, show=print_report, watch=_say, **given
    )
    tuner = tuner_of(prepared)
    count = settled_steps(prepared, tuner, steps, minutes)
    seconds = tuner.predicted_seconds(count)
    print_note(f"{count} steps will take about {clock(seconds)} (h:mm:ss) here, by a few timed steps.")
    if dry_run:
        return
    before = tuner.begin()
    after = tuner.train(count)
    from ..finetuning_comparison import compare

    changes, page = compare(prepared, before, after, device=device)
    print_note(f"Checkpoint: {after}; listen: {page}")
    if all(one.after is None for one in changes if one.likeness is None):
        raise typer.Exit(exit_codes.FAILED)


def _say(done: int, total: int, name: str) -> None:
    if name and stderr().is_terminal:
        print_note(f"checking {name} ({done + 1} of {total})")
