"""Networks from the TensorFlow reference's arrays (genisplaja/diffusion-vocal-sep), under plain names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sepkit.checkpoint import load_state, save_checkpoint
from sepkit.config import validated
from sepkit.errors import CheckpointError

from .config import Betas, ColdConfig, ColdModel, WaveNetConfig
from .wavenet import WaveNet

NETWORK_SETTINGS = ("channels", "num_layers", "num_cycles", "embedding_size", "embedding_proj")


def network_from_reference(weights: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> WaveNet:
    """The network in evaluation mode, with TensorFlow's layouts turned into torch's.

    `weights` under plain names (`layers.3.dilated_conv.kernel`); Dense kernels are [in, out], convolutions
    [k, in, out]. `settings` as in the reference's config: channels, num_layers, num_cycles, embedding_size,
    embedding_proj (others, as iter, noise_start and noise_end, belong to the schedule).
    Raises CheckpointError that lists what is missing, unexpected or of another shape.
    """
    chosen = {name: int(settings[name]) for name in NETWORK_SETTINGS if name in settings}
    network = WaveNet(validated(WaveNetConfig, chosen, "the reference's settings"))
    load_state(network, {torch_name(name): torch_layout(name, array) for name, array in weights.items()})
    return network.eval()


def betas_from_reference(settings: Mapping[str, Any]) -> Betas:
    """The schedule of the reference's config: iter, noise_start, noise_end."""
    given = {"count": int(settings["iter"]), "start": float(settings["noise_start"]), "end": settings["noise_end"]}
    return validated(Betas, given | {"end": float(given["end"])}, "the reference's settings")


def torch_name(name: str) -> str:
    """`layers.0.dilated_conv.kernel` -> `layers.0.dilated_conv.weight`."""
    return f"{name.removesuffix('kernel')}weight" if name.endswith(".kernel") else name


def torch_layout(name: str, array: NDArray[Any]) -> Tensor:
    """[in, out] -> [out, in], [k, in, out] -> [out, in, k], and the dilated convolution's bias [1, 1, out] -> [out]."""
    tensor = torch.from_numpy(np.array(array, dtype=np.float32))
    if name.endswith(".bias"):
        return tensor.reshape(-1)
    return tensor.permute(*reversed(range(tensor.ndim))).contiguous()


def import_checkpoint(source: str | Path, out: str | Path) -> Path:
    """Turn an .npz of the reference's arrays (`config/*`, `weights/*`) into a checkpoint folder.

    A TensorFlow checkpoint is turned into such an .npz where TensorFlow is installed; docs/methods has the ten lines.
    Raises CheckpointError for a file that is no such .npz.
    """
    from .separator import CONFIG_VERSION, NAME, separator_info

    try:
        with np.load(Path(source), allow_pickle=False) as file:
            settings = {name.removeprefix("config/"): file[name] for name in file.files if name.startswith("config/")}
            weights = {name.removeprefix("weights/"): file[name] for name in file.files if name.startswith("weights/")}
        network, betas = network_from_reference(weights, settings), betas_from_reference(settings)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{source} is no .npz with config/* (channels ... noise_end) and weights/* of the reference: {error}."
        ) from error
    config = ColdConfig(models=(ColdModel(backbone=network.config, betas=betas),))
    info = separator_info(config, licence="unknown: ask the authors of the weights")
    return save_checkpoint(
        out,
        separator=NAME,
        config=config,
        config_version=CONFIG_VERSION,
        info=info,
        state={f"0.backbone.{name}": value for name, value in network.state_dict().items()},
        card=f"# cold_diffusion\n\nImported from {Path(source).name}.\n",
        extra={"imported_from": Path(source).name},
    )
