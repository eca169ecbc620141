"""Everything a run needs to go on as if it had never stopped, in safetensors and JSON."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CheckpointError


def save_state(
    folder: Path, *, networks: dict[str, nn.Module], optimiser: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write networks, optimiser and facts (plain JSON) to `folder`, replacing it only once all is written."""
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, network in networks.items():
        # copies: safetensors refuses tensors that share memory, as tied weights do
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
        save_file(tensors, partial / f"{name}.safetensors")
    save_file(_optimiser_tensors(optimiser), partial / "optimiser.safetensors")
    (partial / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
    previous = folder.with_name(f".{folder.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    if folder.exists():
        folder.rename(previous)
    partial.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def load_state(folder: Path, *, networks: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore what `save_state` wrote and return its facts.

    A run that was stopped between the two renames is found under its previous name. Raises CheckpointError when the
    state does not fit the networks or the optimiser.
    """
    previous = folder.with_name(f".{folder.name}.previous")
    if not folder.exists() and previous.exists():
        previous.rename(folder)
    try:
        facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
        for name, network in networks.items():
            network.load_state_dict(load_file(folder / f"{name}.safetensors"))
        _restore_optimiser(optimiser, load_file(folder / "optimiser.safetensors"))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"Training state in {folder} does not fit this run: {error}. Start in another folder, or with the settings "
            "it was made with."
        ) from error
    return facts


def exists(folder: Path) -> bool:
    """Whether `folder` holds a training state."""
    return folder.exists() or folder.with_name(f".{folder.name}.previous").exists()


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimiser state as flat tensors `index.name`; plain numbers become 0-d float64 tensors."""
    flat = {}
    for index, entries in optimiser.state_dict()["state"].items():
        for name, value in entries.items():
            tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
            flat[f"{index}.{name}"] = tensor.detach().cpu().contiguous().clone()
    return flat


def _restore_optimiser(optimiser: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
