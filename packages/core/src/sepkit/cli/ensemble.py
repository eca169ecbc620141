"""`sepkit ensemble`: several methods as one, written to a folder, with weights fitted on songs with known stems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .method_options import parse_options
from .terminal import print_note, stdout

if TYPE_CHECKING:
    from ..ensemble_fitting import FittedStem

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False, add_completion=False
)


@app.command(no_args_is_help=True)
def ensemble(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder for ensemble.json.")],
    option: Annotated[
        list[str] | None,
        typer.Option("-O", "--option", metavar="KEY=VALUE", help="members=JSON and weights=JSON, see the docs."),
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Fit the weights on its songs: a folder, or folder:PATH, ...")
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, valid or test: one that no member was trained on.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many songs.")] = None,
    quality: Annotated[str, typer.Option("-q", "--quality", help="Of the members while fitting.")] = "balanced",
    seed: Annotated[int, typer.Option(help="Of random members while fitting.")] = 0,
    device: Annotated[str, typer.Option("-d", "--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace an ensemble.json that is there.")] = False,
) -> None:
    """Write an ensemble: `sepkit separate -m ensemble --checkpoint OUT` runs it."""
    from ..ensemble import EnsembleSeparator
    from ..ensemble_config import CONFIG_FILE, write_ensemble
    from ..partial_files import refuse_existing
    from ..registry import ENSEMBLE, get_separator

    refuse_existing(out / CONFIG_FILE, overwrite)
    separator = get_separator(ENSEMBLE, device=device, **parse_options(option or []))
    assert isinstance(separator, EnsembleSeparator)
    with separator:
        config = separator.config
        if fit is not None:
            from ..data.detection import dataset_spec
            from ..data.opening import open_dataset
            from ..ensemble_fitting import fit_weights

            spec = dataset_spec(fit) if Path(fit).is_dir() else fit
            tracks = open_dataset(spec, split)
            facts = {"dataset": Path(fit).name if Path(fit).is_dir() else spec, "split": split}
            config, fitted = fit_weights(
                separator,
                tracks[: limit or len(tracks)],
                seed=seed,
                quality=quality,
                facts=facts,
                report=lambda name: print_note(f"separating {name}"),
            )
            _print(fitted)
    print(write_ensemble(config, out) / CONFIG_FILE)


def _print(fitted: Sequence[FittedStem]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("stem", "member", "weight", "alone", "as given", "fitted"):
        table.add_column(column, justify="left" if column in ("stem", "member") else "right")
    for one in fitted:
        rows = zip(one.members, one.weights, one.alone_db, strict=True)
        for number, (member, weight, alone) in enumerate(rows):
            both = (f"{one.before_db:.2f} dB", f"{one.after_db:.2f} dB") if number == 0 else ("", "")
            cells = (one.stem if number == 0 else "", member, f"{weight:.4f}", f"{alone:.2f} dB", *both)
            table.add_row(*map(escape, cells))
    stdout().print(table)
