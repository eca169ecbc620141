"""PyTorch-Lightning checkpoints, read without running anything that is in them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sepkit.errors import CheckpointError

CONTAINERS = (
    "argparse.",
    "collections.",
    "omegaconf.",
    "pytorch_lightning.",
    "lightning.",
    "lightning_fabric.",
    "typing.",
)
"""Modules whose classes Lightning leaves in a checkpoint beside the weights: settings, callback states."""

ADVICE = (
    "On a machine that trusts the file, save only what is needed: c = torch.load(FILE, weights_only=False); "
    "torch.save({'state_dict': c['state_dict'], 'hyper_parameters': dict(c['hyper_parameters'])}, NEW)."
)


class StandIn:
    """Takes the place of any container class in a checkpoint: makes an empty OrderedDict and does nothing.

    That is the one type into which torch's weights-only reader puts both items and attributes.
    """

    def __new__(cls, *given: object, **named: object) -> OrderedDict[str, Any]:  # type: ignore[misc]
        return OrderedDict()


def read_lightning(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the saved hyper-parameters of a Lightning checkpoint.

    Raises CheckpointError for a file that is none, or that needs code to be read.
    """
    content = _load(file)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{file} is no Lightning checkpoint: it has no 'state_dict' of tensors. {ADVICE}")
    names = [name for name in ("hyper_parameters", "hparams") if name in content]
    return dict(state), _unwrapped(content[names[0]] if names else {})


def _load(file: Path) -> Any:
    try:
        with _stand_ins(file):
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} does not exist; give the checkpoint that was downloaded.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        said = [line for line in lines if "GLOBAL" in line or "Can only" in line] or lines  # out of torch's long advice
        reason = said[0].strip() if said else type(error).__name__
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
    """Settings as a dict, out of the containers of argparse (attributes) and omegaconf (`_content`, `_val`)."""
    content = _parts(settings)
    content = _parts(content.get("_content", content))
    return {str(key): _parts(value).get("_val", value) for key, value in content.items()}


def _parts(value: Any) -> dict[Any, Any]:
    """Attributes and items of what a stand-in collected; nothing for plain values."""
    if not isinstance(value, Mapping):
        return {}
    return {**getattr(value, "__dict__", {}), **value}
