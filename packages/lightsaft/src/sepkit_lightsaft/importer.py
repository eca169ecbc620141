"""Published LaSAFT and LightSAFT weights: from the reference's names and settings to our network and checkpoint."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from sepkit.checkpoint import save_checkpoint
from sepkit.errors import CheckpointError

from .config import LightSaftConfig
from .lightning import read_lightning
from .network import LightSaft
from .separator import CONFIG_VERSION, NAME, separator_info

DEFAULTS: dict[str, Any] = {
    "hop_length": 1024,
    "num_frame": 128,
    "n_blocks": 7,
    "internal_channels": 24,
    "n_internal_layers": 5,
    "bn_factor": 16,
    "min_bn_units": 16,
    "num_tdfs": 6,
    "dk": 32,
    "embedding_dim": 32,
    "control_n_layer": 4,
    "t_down_layers": None,
}
"""The reference's defaults. n_fft and input_channels have several there: missing ones are read from the weights."""

FIXED: dict[str, Any] = {
    "first_conv_activation": "relu",
    "last_activation": "identity",
    "tfc_tdf_activation": "relu",
    "tfc_tdf_bias": False,
    "kernel_size_t": 3,
    "kernel_size_f": 3,
    "control_type": "dense",
    "pocm_type": "matmul",
    "pocm_norm": "batch_norm",
    "condition_to": "decoder",
    "spec_type": "complex",
    "spec_est_mode": "mapping",
}
"""Settings of the reference of which we have one value only, the one of every published checkpoint."""

STEMS = ("vocals", "drums", "bass", "other")  # the reference's fixed order of source ids
PREFIX = re.compile(r"(conditional_)?spec2spec\.")  # the second name is that of the older code
IGNORED = re.compile(r"(^|\.)num_batches_tracked$|^stft\.|(^|\.)activation\.")
LICENCE = "as the authors of the imported weights say; the published ones were trained on MUSDB18 (academic use)"

# ours -> the reference's, applied in order to the names of our parameters and statistics
_RENAMED = (
    (r"^generator\.control\.", "condition_generator.dense_control_block.linear."),
    (r"^generator\.(gamma|beta)\.0\.", r"condition_generator.linear_\1.0."),
    (r"^generator\.(gamma|beta)\.1\.", r"condition_generator.linear_\1.2."),
    (r"^first\.", "first_conv."),
    (r"^last\.", "last_conv.0."),
    (r"^downs\.", "downsamplings."),
    (r"^ups\.", "upsamplings."),
    (r"^middle\.", "mid_block."),
    (r"\.tfc\.layers\.", ".tfc.H."),
    (r"\.attention\.query\.", ".linear_query."),
    (r"\.attention\.keys$", ".keys"),
)
_RENAMED_BLOCK = {
    "lightsaft": (
        (r"\.transform\.compress\.", ".LaSAFT_bn_layer.0."),
        (r"\.transform\.compress_norm\.", ".LaSAFT_bn_layer.1."),
        (r"\.transform\.expand\.", ".LaSIFT.0."),
        (r"\.transform\.expand_norm\.", ".LaSIFT.1."),
    ),
    "lasaft": (
        (r"\.transform\.compress\.", ".tdfs.tdf.0."),
        (r"\.transform\.compress_norm\.", ".tdfs.tdf.1."),
        (r"\.transform\.expand\.", ".tdfs.tdf.3."),
        (r"\.transform\.expand_norm\.", ".tdfs.tdf.4."),
    ),
}


def network_from_reference(state_dict: Mapping[str, Tensor], settings: Mapping[str, Any]) -> LightSaft:
    """The network with a reference checkpoint's weights, in evaluation mode: (spec b c n f, condition b) -> b c n f.

    `settings` are the reference's constructor settings under its names; missing ones take its defaults, and the block
    kind (LightSAFT or LaSAFT) is told from the keys. Names may carry the prefix `spec2spec.`.
    Raises CheckpointError that lists missing, unexpected and differently shaped tensors by the reference's names.
    """
    state = _own_keys(state_dict)
    network = LightSaft(config_from_reference(state, settings))
    wanted = network.state_dict()
    names = {reference_name(name, network.config.block): name for name in wanted if not IGNORED.search(name)}
    _check_fit(state, {name: wanted[ours] for name, ours in names.items()}, settings)
    network.load_state_dict({names[name]: tensor.float() for name, tensor in state.items()}, strict=False)
    return network.eval()


def import_checkpoint(file: str | Path, out: str | Path) -> Path:
    """Turn a published Lightning checkpoint into a sepkit checkpoint folder and return it; runs nothing of the file's.

    Raises CheckpointError for a file that is no such checkpoint, holds objects we don't know, or another network.
    """
    state, settings = read_lightning(Path(file))
    network = network_from_reference(state, settings)
    config = network.config
    info = separator_info(config, licence=LICENCE, extra_training_data=False)
    kept = {key: value for key, value in network.state_dict().items() if not IGNORED.search(key)}
    return save_checkpoint(
        out,
        separator=NAME,
        config=config,
        config_version=CONFIG_VERSION,
        info=info,
        state=kept,
        card=_card(Path(file), config),
        extra={"imported": {"file": Path(file).name, "settings": _plain(settings)}},
    )


def config_from_reference(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> LightSaftConfig:
    """Our settings for a reference checkpoint's; raises CheckpointError for what our network cannot be."""
    for name, value in FIXED.items():
        if settings.get(name) not in (None, value):
            raise CheckpointError(
                f"The checkpoint's {name} is {settings[name]!r}; only networks with {value!r} can be imported."
            )
    block = _block_kind(state)
    first = _tensor(state, "first_conv.0.weight")
    widest = _tensor(state, f"encoders.0.{'LaSAFT_bn_layer' if block == 'lightsaft' else 'tdfs.tdf'}.0.weight")
    given = {**DEFAULTS, "n_fft": 2 * widest.shape[1], "input_channels": first.shape[1]}
    given |= {key: value for key, value in settings.items() if value is not None}
    if given["input_channels"] % 2:
        raise CheckpointError(
            f"input_channels is {given['input_channels']}; wanted real and imaginary parts, so an even number."
        )
    stems = len(_tensor(state, "embedding.weight"))
    try:
        config = LightSaftConfig(
            stems=STEMS if stems == len(STEMS) else tuple(f"stem_{k}" for k in range(stems)),
            audio_channels=given["input_channels"] // 2,
            n_fft=given["n_fft"],
            hop_samples=given["hop_length"],
            window_frames=given["num_frame"],
            block=block,
            blocks=2 * (given["n_blocks"] // 2) + 1,  # the reference halves it, so 8 makes the net of 9
            channels=given["internal_channels"],
            tfc_layers=given["n_internal_layers"],
            latent_sources=given["num_tdfs"],
            key_dim=given["dk"],
            embedding_dim=given["embedding_dim"],
            control_layers=given["control_n_layer"],
            bottleneck_factor=given["bn_factor"],
            bottleneck_min=given["min_bn_units"],
            time_levels=_levels(given["t_down_layers"]),
        )
    except ValidationError as error:
        first_error = error.errors()[0]
        place = ".".join(str(part) for part in first_error["loc"]) or "settings"
        raise CheckpointError(f"The reference's settings make no network: {place}: {first_error['msg']}.") from error
    return config.model_copy(update={"trim_samples": _trim(config)})


def reference_name(name: str, block: str) -> str:
    """The reference's name for one of our parameters or statistics."""
    for pattern, replacement in (*_RENAMED, *_RENAMED_BLOCK[block]):
        name = re.sub(pattern, replacement, name)
    return name


def _own_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors, without prefix and without what holds no weights."""
    return {PREFIX.sub("", name, count=1): tensor for name, tensor in state.items() if not IGNORED.search(name)}


def _block_kind(state: Mapping[str, Tensor]) -> Any:
    if any(".tfc_lightsaft." in name or ".pocm_generator." in name for name in state):
        raise CheckpointError(
            "This is a LASAFT-Net-v2 checkpoint, another network; only LaSAFT and LightSAFT (v1) import."
        )
    kinds = {"lightsaft": ".LaSAFT_bn_layer.", "lasaft": ".tdfs."}
    found = [kind for kind, part in kinds.items() if any(part in name for name in state)]
    if len(found) != 1:
        shown = ", ".join(sorted(state)[:3]) or "none"
        raise CheckpointError(
            "The block kind cannot be told: wanted keys with LaSAFT_bn_layer (LightSAFT) or with tdfs (LaSAFT), not "
            f"{'both' if found else 'neither'}. The first of the {len(state)} keys: {shown}."
        )
    return found[0]


def _tensor(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise CheckpointError(
            f"The weights have no {name!r}: they are not those of a whole LaSAFT or LightSAFT network."
        )
    return state[name]


def _levels(given: Any) -> tuple[int, ...] | None:
    """t_down_layers in any of the reference's spellings: absent, a list, or text such as "[0, 1]"."""
    if given is None or given == "None":
        return None
    if isinstance(given, str):
        given = re.findall(r"\d+", given)
    return tuple(int(level) for level in given)


def _trim(config: LightSaftConfig) -> int:
    """What the reference drops at each side of a window: 5000 samples in whole hops; less in windows that are short."""
    trim = math.ceil(5000 / config.hop_samples) * config.hop_samples
    return trim if 4 * trim <= config.window_samples else config.window_samples // 8


def _check_fit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    problems = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "other shape": [
            f"{name} is {_shape(tensor)}, wanted {_shape(wanted[name])}"
            for name, tensor in state.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    shown = [
        f"{what}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}" for what, names in problems.items() if names
    ]
    if shown:
        raise CheckpointError(
            f"The weights do not fit the settings {_plain(settings)}: {'; '.join(shown)}. "
            "Give the settings that the weights were trained with."
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as JSON can hold them."""
    simple = (str, int, float, bool, type(None))
    return {str(key): value if isinstance(value, simple) else str(value) for key, value in settings.items()}


def _card(file: Path, config: LightSaftConfig) -> str:
    return (
        f"# Imported from {file.name}\n\n"
        f"A {'LightSAFT' if config.block == 'lightsaft' else 'LaSAFT'} network of the LaSAFT authors, converted by "
        "`sepkit import lasaft`. Data, licence and scores are those that its authors state.\n"
    )
