"""PyTorch-Lightning checkpoints, read without running anything that is in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from sepkit.errors import CheckpointError
from torch import Tensor

CONTAINERS = ("argparse.", "collections.", "omegaconf.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "typing.")
"""Modules whose classes Lightning leaves in a checkpoint beside the weights: settings, callback states."""

ADVICE = (
    "On a machine that trusts the file, save only what is needed: c = torch.load(FILE, weights_only=False); "
    "torch.save({'state_dict': c['state_dict'], 'hyper_parameters': dict(c['hyper_parameters'])}, NEW)."
)


class StandIn(dict[Any, Any]):
    """Takes the place of any container class in a checkpoint: keeps what is put into it and does nothing."""

    def __new__(cls, *given: object, **named: object) -> StandIn:
        return super().__new__(cls)

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        if isinstance(state, Mapping):
            self.update(state)

    def append(self, item: object) -> None:
        """A list's items are not kept: no setting that we read lies in a list class."""

    def extend(self, items: object) -> None:
        """As `append`."""


def read_lightning(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the saved hyper-parameters of a Lightning checkpoint.

    Raises CheckpointError for a file that is none, or that needs code to be read.
    """
    content = _load(file)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{file} is no Lightning checkpoint: it has no 'state_dict' of tensors. {ADVICE}")
    settings = content.get("hyper_parameters") or content.get("hparams") or {}
    return dict(state), _unwrapped(settings)


def _load(file: Path) -> Any:
    try:
        with _stand_ins(file):
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} does not exist; give the checkpoint that was downloaded.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{file} cannot be read as weights only ({reason}). {ADVICE}") from error


@contextmanager
def _stand_ins(file: Path) -> Iterator[None]:
    """Let the container classes that the file names be read as `StandIn`; every other class stays refused."""
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except (RuntimeError, ValueError, pickle.UnpicklingError, EOFError):
        named = []  # no zip file: torch.load itself says what is wrong with it
    refused = sorted(name for name in named if not name.startswith(CONTAINERS))
    if refused:
        raise CheckpointError(f"{file} names code that is not loaded: {', '.join(refused[:5])}. {ADVICE}")
    with torch.serialization.safe_globals([(StandIn, name) for name in named]):
        yield


def _unwrapped(settings: Any) -> dict[str, Any]:
    """Settings as a dict, out of the containers of omegaconf (`_content`, `_val`)."""
    if isinstance(settings, Mapping) and "_content" in settings:
        settings = settings["_content"]
    if not isinstance(settings, Mapping):
        return {}
    return {
        str(key): value["_val"] if isinstance(value, Mapping) and "_val" in value else value
        for key, value in settings.items()
    }
