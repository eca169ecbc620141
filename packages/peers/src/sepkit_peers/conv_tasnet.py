"""Conv-TasNet as torchaudio has it, channel by channel: `get_separator("conv_tasnet", checkpoint=FILE)`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from sepkit.checkpoint import load_state
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError
from sepkit.separator import SeparatorInfo, WindowSettings

from .missing import peer_module
from .options import Options, weights_of
from .published import RANDOM
from .seeded import seeded_globals
from .weights import origin

NAME = "conv_tasnet"
EXTRA = "torchaudio"
RELU = {"msk_activate": "relu"}  # as torchaudio's own conv_tasnet_base


class ConvTasNetOptions(Options):
    """What the weights do not say of themselves. `network` holds arguments of `torchaudio.models.ConvTasNet`."""

    stems: tuple[str, ...] = Field(default=("drums", "bass", "other", "vocals"), min_length=1)
    sample_rate: int = Field(default=44_100, gt=0)  # Hz
    window_seconds: float = Field(default=4.0, gt=0)
    network: dict[str, int | str] = Field(default_factory=dict)


QUALITIES = {"fast": 0.1, "balanced": 0.25, "best": 0.5}
"""Overlap of windows, a fraction."""


class ConvTasNetSeparator:
    """A WindowModel around a `torchaudio.models.ConvTasNet`, which hears one channel."""

    def __init__(
        self, network: nn.Module, options: ConvTasNetOptions, *, facts: dict[str, Any], provenance: dict[str, Any]
    ):
        self.network = network.eval()
        window_samples = max(1, round(options.window_seconds * options.sample_rate))
        self.info = SeparatorInfo(
            name=NAME,
            stems=options.stems,
            sample_rate=options.sample_rate,
            channels=1,
            window_samples=window_samples,
            overlap_samples=window_samples // 4,
            kind="multi-head",
            **facts,
        )
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.provenance = provenance

    def settings(self, quality: str | int) -> WindowSettings:
        """`fast`, `balanced` and `best` overlap windows by a tenth, a quarter and a half."""
        if quality not in QUALITIES:
            raise OptionError(f"{NAME} has no steps, so quality {quality!r} is unknown; wanted {', '.join(QUALITIES)}.")
        return WindowSettings(overlap=QUALITIES[str(quality)])

    def network_calls(self, settings: WindowSettings) -> int:
        """Passes of the network per window."""
        return 1

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b 1 t -> b s 1 t."""
        return rearrange(self.network(windows.float()), "b s t -> b s 1 t")


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> ConvTasNetSeparator:
    """Conv-TasNet with your own weights from a file, or random ones; for music nobody has published any.

    Raises OptionError, CheckpointError, or MissingPeerError without torchaudio.
    """
    given = validated(ConvTasNetOptions, options, f"The method {NAME!r}")
    if untrained and checkpoint is not None:
        raise OptionError(f"untrained was given with the checkpoint {checkpoint}; leave one of them out.")
    peer = peer_module("torchaudio.models", extra=EXTRA, method=NAME)
    files = [] if untrained else weights_of(NAME, checkpoint)
    sizes = _sizes(files[0].state) if files else {}
    with seeded_globals(given.seed):
        network = _made(peer.ConvTasNet, {"num_sources": len(given.stems), **RELU, **sizes, **given.network})
    if not files:
        provenance = {"untrained": NAME, "weights_seed": given.seed}
        return ConvTasNetSeparator(network, given, facts={"licence": RANDOM, "trained": False}, provenance=provenance)
    load_state(network, files[0].state)
    found = origin(files)
    return ConvTasNetSeparator(
        network, given, facts={"licence": found.licence}, provenance={"weights_sha256": found.sha256}
    )


def _made(network: Any, keywords: dict[str, Any]) -> Any:
    known = list(inspect.signature(network).parameters)
    unknown = [key for key in keywords if key not in known]
    if unknown:
        raise OptionError(f"ConvTasNet has no argument {unknown[0]!r}; it has {', '.join(known)}.")
    try:
        return network(**keywords)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"ConvTasNet does not take these arguments: {error}.") from error


def _sizes(state: dict[str, Tensor]) -> dict[str, int]:
    """What the weights' shapes tell; how the layers divide into stacks they do not, and `network` may say it."""
    first = "mask_generator.conv_layers.0.conv_layers"
    try:
        encoder, middle = state["encoder.weight"], state[f"{first}.3.weight"]
        blocks = {name.split(".")[2] for name in state if name.startswith("mask_generator.conv_layers.")}
        sizes = {
            "enc_num_feats": encoder.shape[0],
            "enc_kernel_size": encoder.shape[2],
            "msk_num_feats": state["mask_generator.input_conv.weight"].shape[0],
            "msk_num_hidden_feats": middle.shape[0],
            "msk_kernel_size": middle.shape[2],
        }
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"These are no weights of torchaudio's ConvTasNet: {error} is missing.") from error
    layers = 8 if len(blocks) % 8 == 0 else len(blocks)
    return sizes | {"msk_num_layers": layers, "msk_num_stacks": len(blocks) // layers}
