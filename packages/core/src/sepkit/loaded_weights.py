"""Which checkpoint a separator was loaded from, and the licences that hold for it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from .checkpoint import read_header
from .errors import CheckpointError
from .separator import Separator

_LOADED_FROM: WeakKeyDictionary[Any, tuple[str, str | Path | None]] = WeakKeyDictionary()


def remember(separator: Separator, name: str, checkpoint: str | Path | None) -> None:
    """Note that `separator` is the method `name` with the weights of a checkpoint folder (None: the shipped ones)."""
    _LOADED_FROM[separator] = (name, checkpoint)


def checkpoint_of(separator: Separator) -> Path:
    """The folder whose weights `get_separator` loaded into this; raises CheckpointError where there is none."""
    from .registry import list_separators

    name, given = _LOADED_FROM.get(separator, (separator.info.name, None))
    shipped = {summary.name: summary.config_path for summary in list_separators()}.get(name)
    folder = Path(given) if given is not None else shipped.parent if shipped is not None else None
    if separator not in _LOADED_FROM or folder is None:
        raise CheckpointError(
            f"This {name!r} has no checkpoint: it was not made by get_separator, has random weights, or needs none."
        )
    loaded = getattr(getattr(separator, "model", None), "provenance", {}).get("weights_sha256")
    if loaded is not None and loaded != read_header(folder).weights.sha256:
        raise CheckpointError(f"This {name!r} has other weights than those in {folder}; give the folder they are from.")
    return folder


def licences_of(separator: Separator) -> list[str]:
    """The licences that hold for its weights: what the method says, and what the checkpoint says that it loaded."""
    licences = [separator.info.licence]
    with suppress(CheckpointError):  # no weights from a file, so the method's own word is all there is
        licences.append(read_header(checkpoint_of(separator)).info.licence)
    return list(dict.fromkeys(licences))
