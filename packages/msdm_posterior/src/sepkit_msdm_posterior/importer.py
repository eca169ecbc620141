"""Priors from the published Lightning checkpoints of multi-source diffusion (audio-diffusion-pytorch 0.0.43)."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sepkit.checkpoint import load_state, save_checkpoint
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError

from .config import BAND, LegacyConfig, MsdmConfig
from .network import PriorNetwork, new_network
from .presets import PRESETS
from .separator import CONFIG_VERSION, NAME, separator_info

PREFIXES = ("model.unet.", "model.diffusion.net.", "unet.", "diffusion.net.")
"""What stands before the network's names: Lightning's attribute `model`, then the library's; both hold one network."""


def import_checkpoint(source: str | Path, out: str | Path) -> Path:
    """Turn a published .ckpt into a checkpoint folder that `get_separator("msdm_dirac", checkpoint=out)` takes.

    A folder with a file of one channel for each stem (`bass.ckpt`, `drums.ckpt`, ...) becomes the weakly supervised
    form, a network for each. Tensors alone are read (weights_only). Raises CheckpointError for anything else.
    """
    source = Path(source)
    files = {path.stem: path for path in source.glob("*.ckpt")} if source.is_dir() else {"": source}
    states = {stem: legacy_state(read_tensors(path)) for stem, path in files.items()}
    config = _config_of(states, source)
    names = [files[stem].name for stem in (config.stems if source.is_dir() else ("",))]
    network = filled([states[stem] for stem in (config.stems if source.is_dir() else ("",))], config)
    return save_checkpoint(
        out,
        separator=NAME,
        config=config,
        config_version=CONFIG_VERSION,
        info=separator_info(config, licence="unknown: ask the authors of the weights"),
        state=network.state_dict(),
        card=f"# {NAME}\n\nImported from {', '.join(names)}.\n",
        extra={"imported_from": names},
    )


def _config_of(states: Mapping[str, Mapping[str, Tensor]], source: Path) -> MsdmConfig:
    """The config of one joint network, or of one for each stem; raises CheckpointError where they are neither."""
    layouts = {legacy_config(state) for state in states.values()}
    channels = {state["to_in.module_list.0.block.block1.project.weight"].shape[1] for state in states.values()}
    wanted = 1 if source.is_dir() else len(BAND)
    if channels != {wanted} or len(layouts) != 1:
        found = f"{len(states)} networks of {sorted(channels)} channels in {len(layouts)} layouts"
        raise CheckpointError(
            f"{source} holds {found}; wanted a file with one of {len(BAND)} ({', '.join(BAND)}), or a folder of files "
            "bass.ckpt, drums.ckpt, ... of one channel and layout each."
        )
    stems = tuple(sorted(states, key=lambda stem: (BAND.index(stem) if stem in BAND else len(BAND), stem)))
    update: dict[str, Any] = {"network": layouts.pop(), "independent": source.is_dir()}
    update |= {"stems": stems} if source.is_dir() else {}
    return PRESETS["msdm_published"].model_copy(update=update)


def filled(states: Sequence[Mapping[str, Tensor]], config: MsdmConfig) -> PriorNetwork:
    """The network of `config` with one state dict of the old layout in each of its backbones."""
    network = new_network(config, seed=0)
    load_state(network, {f"backbones.{i}.{name}": v for i, state in enumerate(states) for name, v in state.items()})
    return network


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of a Lightning or plain torch file; raises CheckpointError where there is none to be had."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} cannot be read as a torch file of tensors alone ({type(error).__name__}: {error}). Weights that "
            "were saved together with other objects are refused: save them anew with only their state_dict."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    tensors = {name: value for name, value in (state or {}).items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no state dict; wanted a Lightning checkpoint or a dict of tensors.")
    return tensors


def legacy_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors under their own names, float32; the first of PREFIXES that occurs counts."""
    for prefix in PREFIXES:
        found = {n.removeprefix(prefix): value.float() for n, value in tensors.items() if n.startswith(prefix)}
        if "to_time.0.0.weights" in found:
            return found
    some = ", ".join(sorted(tensors)[:3])
    raise CheckpointError(
        f"No network of audio-diffusion-pytorch 0.0.43 is among {len(tensors)} tensors ({some}, ...): wanted names as "
        f"{PREFIXES[0]}to_in.module_list.0.block.block1.project.weight."
    )


def legacy_config(state: Mapping[str, Tensor]) -> LegacyConfig:
    """The settings that a state dict is of, read off its names and shapes.

    Shapes do not tell the number of heads, of norm groups, nor whether skips are scaled: those are the published ones.
    Raises CheckpointError for a state that no settings fit.
    """
    try:
        channels = 2 * len(state["to_time.0.0.weights"])
        levels = _count(state, "downsamples")
        patches = _count(state, "to_in.module_list")
        last = state[f"to_in.module_list.{patches - 1}.block.block1.project.weight"].shape[0]
        kernels = [state[f"downsamples.{i}.downsample.weight"].shape[2] for i in range(levels)]
        widths = [state[f"downsamples.{i}.downsample.weight"].shape[0] for i in range(levels)]
        attends = [f"downsamples.{i}.transformer.feed_forward.1.weight" for i in range(levels)]
        attention = next((name for name in state if name.endswith("to_q.weight")), None)
        heads = LegacyConfig.model_fields["attention_heads"].default
        wide = [state[name].shape[0] // state[name].shape[1] for name in attends if name in state]
        given: dict[str, Any] = {
            "channels": channels,
            "patch_blocks": patches,
            "patch_factor": channels // last,
            "multipliers": (1, *(width // channels for width in widths)),
            "factors": tuple((kernel - 1) // 2 for kernel in kernels),
            "num_blocks": tuple(_count(state, f"downsamples.{i}.blocks") for i in range(levels)),
            "attentions": tuple(name in state for name in attends),
            "attention_bottleneck": "bottleneck.attention.fn.to_q.weight" in state,
            "nearest_upsample": any(name.endswith("upsample.1.weight") for name in state),
        }
        given |= {"attention_multiplier": wide[0]} if wide else {}
        given |= {"attention_features": state[attention].shape[0] // heads} if attention else {}
    except KeyError as error:
        raise CheckpointError(f"The state dict lacks {error}: it is of another version of the library.") from error
    try:
        return validated(LegacyConfig, given, "the state dict")
    except OptionError as error:
        raise CheckpointError(str(error)) from error


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered modules stand under a name."""
    return len({name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")})
