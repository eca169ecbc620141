"""Demucs v2, v3 and v4 by their authors' package `demucs`: `get_separator("htdemucs", checkpoint=...)`.

The mixture goes through `demucs.apply.apply_model` as `demucs.api.Separator` sends it: the whole track, less its mean
and over its deviation, cut into chunks with triangular weights by the peer's own code.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sepkit.checkpoint import load_state
from sepkit.errors import CheckpointError, OptionError
from sepkit.separator import SeparatorInfo, WindowSettings

from .missing import peer_module
from .options import checked_options, weights_of
from .published import PUBLISHED, RANDOM
from .seeded import seeded_globals
from .weights import WeightsFile, origin

EXTRA = "demucs"
STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Kind:
    """A method: its network's class and the arguments of the published ones, for untrained weights."""

    network: str
    keywords: dict[str, Any] = field(default_factory=dict)
    networks: int = 1
    segment_seconds: float | None = None  # for the published weights, in place of their own


V2 = {"gelu": False, "dconv_mode": 0, "norm_starts": 99, "lstm_layers": 2, "normalize": False}
"""Demucs v2 in the terms of the newer class; tests of ours found it equal inside, and different at a chunk's ends."""

HTDEMUCS = {"bottom_channels": 512, "t_layers": 5, "segment": Fraction(39, 5)}
KINDS = {
    "htdemucs": Kind("demucs.htdemucs.HTDemucs", HTDEMUCS),
    "htdemucs_ft": Kind("demucs.htdemucs.HTDemucs", HTDEMUCS, networks=4),
    "hdemucs": Kind("demucs.hdemucs.HDemucs", segment_seconds=44.0),
    "demucs_v2": Kind("demucs.demucs.Demucs", V2),
}


class DemucsSettings(WindowSettings):
    """A quality's knobs, under the peer's names: `split_overlap` is its `overlap`, a fraction of a chunk."""

    split_overlap: float = Field(default=0.25, ge=0.0, lt=1.0)
    shifts: int = Field(default=0, ge=0)  # runs over shifted copies, whose mean is taken


QUALITIES = {
    "fast": DemucsSettings(split_overlap=0.1),
    "balanced": DemucsSettings(),
    "best": DemucsSettings(shifts=2),
}


class DemucsSeparator:
    """A WindowModel around a network of Demucs, or a bag of them; it takes the whole track at once.

    `network` is put into evaluation mode; it says itself which stems, rate and channels it has.
    """

    def __init__(self, network: Any, name: str, *, facts: dict[str, Any], provenance: dict[str, Any]):
        self.network = network.eval()
        self.info = SeparatorInfo(
            name=name,
            stems=tuple(network.sources),
            sample_rate=int(network.samplerate),
            channels=int(network.audio_channels),
            kind="multi-head",
            **facts,
        )
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.provenance = provenance
        self._apply_model = peer_module("demucs.apply", extra=EXTRA, method=name).apply_model

    def settings(self, quality: str | int) -> DemucsSettings:
        """`fast`: less overlap of chunks; `balanced`: the peer's overlap; `best`: the mean of two shifted runs too."""
        if quality not in QUALITIES:
            raise OptionError(
                f"{self.info.name} has no steps, so quality {quality!r} means nothing to it; wanted "
                f"{', '.join(QUALITIES)}."
            )
        return QUALITIES[str(quality)]

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Whole tracks b c t -> b s c t, as `demucs.api.Separator` does it; shifts are always the same ones."""
        knobs = settings if isinstance(settings, DemucsSettings) else DemucsSettings()
        mono = windows.float().mean(dim=1, keepdim=True)
        mean = mono.mean(dim=-1, keepdim=True)
        # the deviation of a single sample is NaN
        deviation = (mono.std(dim=-1, keepdim=True) if mono.shape[-1] > 1 else torch.zeros_like(mean)) + 1e-8
        with seeded_globals():  # it draws its shifts, and an offset of zero, from python's generator
            found: Tensor = self._apply_model(
                self.network, (windows - mean) / deviation, shifts=knobs.shifts, overlap=knobs.split_overlap
            )
        return found * deviation[:, None] + mean[:, None]


def build_htdemucs(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> DemucsSeparator:
    """Hybrid Transformer Demucs (v4), one network for all stems."""
    return build("htdemucs", checkpoint, untrained, options)


def build_htdemucs_ft(
    *, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any
) -> DemucsSeparator:
    """Hybrid Transformer Demucs fine-tuned for each stem: four networks, four times the work."""
    return build("htdemucs_ft", checkpoint, untrained, options)


def build_hdemucs(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> DemucsSeparator:
    """Hybrid Demucs (v3)."""
    return build("hdemucs", checkpoint, untrained, options)


def build_demucs_v2(
    *, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any
) -> DemucsSeparator:
    """Demucs v2, on the waveform alone, by the newer package's class of it."""
    return build("demucs_v2", checkpoint, untrained, options)


def build(name: str, checkpoint: str | Path | None, untrained: bool, given: dict[str, Any]) -> DemucsSeparator:
    """A method of KINDS with weights from `checkpoint` (a file, a folder of the published ones, `download`), or random.

    Raises OptionError, CheckpointError, or MissingPeerError without the package `demucs`.
    """
    options = checked_options(name, given, checkpoint=checkpoint, untrained=untrained)
    kind = KINDS[name]
    peer_module("demucs.apply", extra=EXTRA, method=name)
    if untrained:
        with seeded_globals(options.seed):
            network = _bag([_class(kind.network, name)(list(STEMS), **kind.keywords) for _ in range(kind.networks)])
        provenance = {"untrained": name, "weights_seed": options.seed}
        return DemucsSeparator(network, name, facts={"licence": RANDOM, "trained": False}, provenance=provenance)
    signatures = tuple(file.signature for file in PUBLISHED[name].files)
    files = weights_of(name, checkpoint, signatures)
    if len(files) != kind.networks:
        raise CheckpointError(
            f"{name!r} is {kind.networks} networks: give a folder that has the files {PUBLISHED[name].names}, under "
            "these names or with another ending."
        )
    found = origin(files)
    networks = [_network(file, name) for file in files]
    if found.licence != "unknown" and kind.segment_seconds is not None:
        for network in networks:
            network.segment = kind.segment_seconds
    facts = {"licence": found.licence, "extra_training_data": found.extra_training_data}
    return DemucsSeparator(_bag(networks), name, facts=facts, provenance={"weights_sha256": found.sha256})


def _class(network: str, method: str) -> Any:
    module, _, name = network.rpartition(".")
    return getattr(peer_module(module, extra=EXTRA, method=method), name)


def _bag(networks: list[Any]) -> Any:
    """One network as it is; of four, each for its own stem, the peer's bag."""
    if len(networks) == 1:
        return networks[0]
    weights = [[float(row == column) for column in range(len(networks))] for row in range(len(networks))]
    return peer_module("demucs.apply", extra=EXTRA, method="htdemucs_ft").BagOfModels(networks, weights)


def _network(file: WeightsFile, method: str) -> Any:
    """The network of a file, with its weights; settings that its class no longer has are left out, as by the peer."""
    kind = KINDS[method]
    if file.network not in (None, kind.network):
        raise CheckpointError(f"{file.path} holds a {file.network}, but {method!r} is a {kind.network}.")
    made = _class(kind.network, method)
    if file.network is None:
        arguments: tuple[Any, ...] = (list(STEMS),)
        keywords = kind.keywords | (_v2_size(file) if method == "demucs_v2" else {})
    else:
        arguments, keywords = file.arguments, file.keywords
    known = inspect.signature(made).parameters
    try:
        with seeded_globals():
            network = made(*arguments, **{key: value for key, value in keywords.items() if key in known})
    except Exception as error:  # arguments are the file's, and a network may refuse them in any way
        raise CheckpointError(f"{file.path} has arguments that {kind.network} does not take: {error}.") from error
    load_state(network, _renamed(file.state, network))
    return network


def _v2_size(file: WeightsFile) -> dict[str, int]:
    """Channels and depth as the weights have them: those trained at 48 channels come as bare tensors as well."""
    first = file.state.get("encoder.0.0.weight")
    depth = len({name.split(".")[1] for name in file.state if name.startswith("encoder.")})
    return {} if first is None or depth == 0 else {"channels": first.shape[0], "depth": depth}


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Names of Demucs v2 as the newer class has them, which has a layer more before the last convolution."""
    renamed = dict(state)
    wanted = network.state_dict()
    for name in state:
        side, _, rest = name.partition(".")
        newer = f"{side}.{rest.replace('.2.', '.3.', 1)}"
        if side in ("encoder", "decoder") and name not in wanted and newer in wanted and newer not in state:
            renamed[newer] = renamed.pop(name)
    return renamed
