"""What every peer is built with: weights from somewhere, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from sepkit.config import Frozen, validated
from sepkit.errors import OptionError

from .published import download, missing_weights
from .weights import WeightsFile, find_file, read_weights

DOWNLOAD = "download"


class Options(Frozen):
    """Options of every peer beside `checkpoint` and `untrained`."""

    seed: int = Field(default=0, ge=0)  # of random weights


def checked_options(method: str, given: dict[str, Any], *, checkpoint: object, untrained: bool) -> Options:
    """The options, refused where they contradict each other; raises OptionError."""
    options = validated(Options, given, f"The method {method!r}")
    if untrained and checkpoint is not None:
        raise OptionError(f"untrained was given with the checkpoint {checkpoint}; leave one of them out.")
    return options


def weights_of(method: str, checkpoint: str | Path | None, names: tuple[str, ...] = ()) -> list[WeightsFile]:
    """The files that a method was asked to load: published ones on `download`, a file, or a folder of one per name.

    Raises CheckpointError without a checkpoint, for missing files and for files that cannot be read safely.
    """
    if checkpoint is None:
        raise missing_weights(method)
    if checkpoint == DOWNLOAD:
        paths = download(method)
    elif Path(checkpoint).is_dir() and names:
        paths = [find_file(Path(checkpoint), name) for name in names]
    else:
        paths = [Path(checkpoint)]
    return [read_weights(path) for path in paths]
