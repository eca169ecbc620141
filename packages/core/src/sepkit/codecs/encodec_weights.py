"""Weights for codecs of the EnCodec class: drawn, from a file, or, only when asked for, the published ones."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checkpoint import load_state
from ..errors import CheckpointError, MissingExtraError, OptionError, PluginError
from ..partial_files import replacing

if TYPE_CHECKING:
    from types import ModuleType

PUBLISHED = {"encodec_24khz": "encodec_24khz-d7cc33bc.th", "encodec_48khz": "encodec_48khz-7e698e3e.th"}
"""The files that the makers of EnCodec offer; each name ends in the beginning of its sha256."""
PARTS = ("encoder.", "decoder.")


def encodec_module(name: str) -> ModuleType:
    """A module of the package `encodec`; raises MissingExtraError without it, PluginError if it cannot be imported."""
    try:
        importlib.import_module("encodec")
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == "encodec":
            raise MissingExtraError("encodec", "codecs", "A codec of the EnCodec class") from error
        raise _broken(error) from error
    except (ImportError, OSError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> PluginError:
    return PluginError(
        f"The package 'encodec' is installed but cannot be imported: {type(error).__name__}: {error}. It needs a "
        "torchaudio of exactly the version of torch."
    )


def published_state(name: str) -> dict[str, Tensor]:
    """The published weights of that codec, downloaded into torch's hub folder once, their hash verified.

    Raises OptionError for a codec without published weights, CheckpointError where the download fails.
    """
    if name not in PUBLISHED:
        raise OptionError(
            f"The codec {name!r} has no published weights; give weights=FILE, or weights='random' to train it."
        )
    root = str(encodec_module("encodec.model").ROOT_URL)
    try:
        content = torch.hub.load_state_dict_from_url(
            root + PUBLISHED[name], map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"The published weights of {name!r} cannot be had from {root}: {error}. Get {PUBLISHED[name]} another way "
            "and give weights=FILE."
        ) from error
    return _coder_parts(content, PUBLISHED[name])


def file_state(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Encoder and decoder weights of a safetensors file, or of a torch file that needs no code to be read.

    Raises CheckpointError for any other file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return _coder_parts(load_file(path), path)
        return _coder_parts(torch.load(path, map_location="cpu", weights_only=True), path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; give the file with the codec's weights.") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as weights only ({type(error).__name__}: {str(error).splitlines()[0]}); give a "
            "safetensors file, or a torch file that holds nothing but a state dict."
        ) from error


def load_coder(network: nn.Module, state: Mapping[str, Tensor], source: object) -> None:
    """Load weights under `encodec`'s own names into a network with `encoder` and `decoder`, all or none."""
    try:
        load_state(network, state)
    except CheckpointError as error:
        raise CheckpointError(
            f"The weights of {source} do not fit the codec's settings: {error} Names are those of the package "
            "'encodec' (encoder.model..., decoder.model...), not of its port to 'transformers'."
        ) from error


def save_coder(network: nn.Module, path: str | PathLike[str]) -> None:
    """Write encoder and decoder weights as safetensors, complete or not at all; an older file is replaced."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(Path(path), overwrite=True) as partial:
        save_file(state, partial)
        partial.chmod(0o644)  # safetensors makes it private


def _coder_parts(content: Any, source: object) -> dict[str, Tensor]:
    """What belongs to encoder and decoder; the quantiser, which is not used here, is left out."""
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{source} is no state dict: wanted names and tensors, and nothing else.")
    return {str(name): tensor for name, tensor in content.items() if str(name).startswith(PARTS)}
