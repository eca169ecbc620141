"""Open-Unmix by its authors' package `openunmix`: `get_separator("umxhq", checkpoint=...)`.

The mixture goes whole through `openunmix.model.Separator`: one recurrent network for each stem, which masks
magnitudes, and then the peer's multichannel Wiener filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from sepkit.checkpoint import load_state
from sepkit.errors import CheckpointError, OptionError
from sepkit.separator import SeparatorInfo, WindowSettings

from .missing import peer_module
from .options import checked_options, weights_of
from .published import RANDOM
from .seeded import seeded_globals
from .weights import WeightsFile, origin

EXTRA = "openunmix"
STEMS = ("vocals", "drums", "bass", "other")  # the peer's order
SAMPLE_RATE = 44_100
FFT_SAMPLES = 4096
MAX_BIN = 1487  # up to 16 kHz, as published
HIDDEN = {"umxhq": 512, "umxl": 1024}
LEFT_OUT = ("stft.", "spec.", "transform.", "sample_rate")
"""Beginnings of names in published files that are no weights: windows and the rate, which the peer leaves out too."""


class OpenUnmixSettings(WindowSettings):
    """A quality's knob, under the peer's name: `niter` passes of the Wiener filter."""

    niter: int = Field(default=1, ge=0)


QUALITIES = {"fast": OpenUnmixSettings(niter=0), "balanced": OpenUnmixSettings(), "best": OpenUnmixSettings(niter=2)}


class OpenUnmixSeparator:
    """A WindowModel around an `openunmix.model.Separator`; it takes the whole track at once."""

    def __init__(self, separator: Any, name: str, *, facts: dict[str, Any], provenance: dict[str, Any]):
        self.separator = separator.eval()
        networks = list(separator.target_models.values())
        self.fft_samples = 2 * (networks[0].nb_output_bins - 1)
        self.info = SeparatorInfo(
            name=name,
            stems=tuple(separator.target_models),
            sample_rate=int(separator.sample_rate),
            channels=networks[0].fc3.out_features // networks[0].nb_output_bins,
            kind="dedicated",
            **facts,
        )
        self.parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
        self.provenance = provenance

    def settings(self, quality: str | int) -> OpenUnmixSettings:
        """`fast`: masks alone; `balanced`: one pass of the Wiener filter, as the peer does; `best`: two."""
        if quality not in QUALITIES:
            raise OptionError(
                f"{self.info.name} has no steps, so quality {quality!r} means nothing to it; wanted "
                f"{', '.join(QUALITIES)}."
            )
        return QUALITIES[str(quality)]

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.separator.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Whole tracks b c t -> b s c t; what is too short for one STFT frame is filled up with silence."""
        length_samples = windows.shape[-1]
        missing = max(0, self.fft_samples // 2 + 1 - length_samples)
        self.separator.niter = settings.niter if isinstance(settings, OpenUnmixSettings) else 1
        found: Tensor = self.separator(F.pad(windows.float(), (0, missing)))
        return found[..., :length_samples]


def build_umxhq(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> OpenUnmixSeparator:
    """Open-Unmix as trained on MUSDB18-HQ."""
    return build("umxhq", checkpoint, untrained, options)


def build_umxl(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> OpenUnmixSeparator:
    """Open-Unmix, twice as wide, trained on more data."""
    return build("umxl", checkpoint, untrained, options)


def build(name: str, checkpoint: str | Path | None, untrained: bool, given: dict[str, Any]) -> OpenUnmixSeparator:
    """A method of HIDDEN with weights from `checkpoint` (a folder of a file per stem, one file, `download`), or random.

    Raises OptionError, CheckpointError, or MissingPeerError without the package `openunmix`.
    """
    options = checked_options(name, given, checkpoint=checkpoint, untrained=untrained)
    peer = peer_module("openunmix.model", extra=EXTRA, method=name)
    if untrained:
        with seeded_globals(options.seed):
            bins = FFT_SAMPLES // 2 + 1
            networks = {
                stem: peer.OpenUnmix(nb_bins=bins, nb_channels=2, hidden_size=HIDDEN[name], max_bin=MAX_BIN)
                for stem in STEMS
            }
        provenance = {"untrained": name, "weights_seed": options.seed}
        return OpenUnmixSeparator(
            new_separator(peer, networks), name, facts={"licence": RANDOM, "trained": False}, provenance=provenance
        )
    files = weights_of(name, checkpoint, STEMS)
    found = origin(files)
    states = dict(zip(STEMS, (file.state for file in files), strict=True)) if len(files) > 1 else _split(files[0])
    with seeded_globals():
        networks = {stem: _network(peer, state) for stem, state in states.items()}
    facts = {"licence": found.licence, "extra_training_data": found.extra_training_data}
    return OpenUnmixSeparator(
        new_separator(peer, networks), name, facts=facts, provenance={"weights_sha256": found.sha256}
    )


def new_separator(peer: Any, networks: dict[str, nn.Module]) -> Any:
    """The peer's separator around a network for each stem, with the settings that it is published with."""
    first: Any = next(iter(networks.values()))
    fft_samples = 2 * (first.nb_output_bins - 1)
    return peer.Separator(
        target_models=networks,
        niter=1,
        sample_rate=float(SAMPLE_RATE),
        n_fft=fft_samples,
        n_hop=fft_samples // 4,
        nb_channels=first.fc3.out_features // first.nb_output_bins,
    )


def _split(file: WeightsFile) -> dict[str, dict[str, Tensor]]:
    """One file of a whole separator: target_models.<stem>.<weight>."""
    states: dict[str, dict[str, Tensor]] = {}
    for name, tensor in file.state.items():
        start, _, rest = name.partition(".")
        stem, _, weight = rest.partition(".")
        if start == "target_models" and weight:
            states.setdefault(stem, {})[weight] = tensor
    if not states:
        raise CheckpointError(
            f"{file.path} is one network, but a separator needs one for each stem. Give the folder that has the files "
            f"of {', '.join(STEMS)} (vocals-….pth and so on), or one file of a whole separator's weights."
        )
    return states


def _network(peer: Any, state: dict[str, Tensor]) -> Any:
    """A network of the size that the weights have."""
    state = {name: tensor for name, tensor in state.items() if not name.startswith(LEFT_OUT)}
    try:
        max_bin, bins = len(state["input_mean"]), len(state["output_mean"])
        network = peer.OpenUnmix(
            nb_bins=bins,
            nb_channels=state["fc3.weight"].shape[0] // bins,
            hidden_size=state["fc1.weight"].shape[0],
            nb_layers=sum(name.startswith("lstm.weight_ih_l") and not name.endswith("_reverse") for name in state),
            unidirectional="lstm.weight_ih_l0_reverse" not in state,
            max_bin=max_bin,
        )
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise CheckpointError(f"These are no weights of Open-Unmix: {error} is missing or empty.") from error
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(network, counters | state)  # early files have no counters of batch norm
    return network
