"""LightSAFT as a sepkit method: `get_separator("lightsaft")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import reduce
from pydantic import Field
from torch import Tensor, nn

from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.config import Frozen, validated
from sepkit.errors import CheckpointError, OptionError, UnknownNameError, nearest
from sepkit.separator import SeparatorInfo, WindowSettings

from .config import LightSaftConfig
from .inference import fuse
from .network import LightSaft, latent_attention
from .presets import PRESETS
from .spectrum import estimate, features, istft, stft

NAME = "lightsaft"
CONFIG_VERSION = 1
DEFAULT_PRESET = "lightsaft_small"  # of `untrained`: what the shipped checkpoint is


class Options(Frozen):
    """What `get_separator("lightsaft", ...)` takes beside the host's options."""

    preset: str | None = None  # with untrained: the network, a name of PRESETS
    seed: int = Field(default=0, ge=0)  # of random weights, with untrained
    fused: bool = True  # False runs the plain network, stem by stem, for comparison


class LightSaftSettings(WindowSettings):
    """A quality's knobs. `average`: mean over the input's mirror images (channels swapped, sign flipped)."""

    average: bool = False


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> LightSaftSeparator:
    """The method with the shipped weights, those of a checkpoint folder, or random ones (`untrained`).

    Raises OptionError for an unknown or contradictory option, CheckpointError for weights that are not there.
    """
    given = validated(Options, options, f"The method {NAME!r}")
    if untrained and checkpoint is not None:
        raise OptionError(f"untrained was given with the checkpoint {checkpoint}; leave one of them out.")
    if given.preset is not None and not untrained:
        raise OptionError(
            f"preset={given.preset!r} is for untrained=True: a checkpoint has its own network. Leave preset out, or "
            "name a checkpoint of that network."
        )
    if untrained:
        return _untrained(given)
    folder = Path(checkpoint) if checkpoint is not None else _shipped()
    loaded = load_checkpoint(folder, separator=NAME, config_type=LightSaftConfig, config_version=CONFIG_VERSION)
    network = new_network(loaded.config, seed=0)
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(network, counters | loaded.state)  # checkpoints leave out batch norm's counters
    return LightSaftSeparator(network, loaded.info, {"weights_sha256": loaded.sha256}, fused=given.fused)


def new_network(config: LightSaftConfig, seed: int) -> LightSaft:
    """A network with random weights drawn from `seed`; the global random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LightSaft(config)


def separator_info(config: LightSaftConfig, **facts: Any) -> SeparatorInfo:
    """What a network promises to the host; `facts` are licence and the like.

    Windows overlap by twice the trim, so that the cross-fade gives the edges, where context is missing, little weight.
    """
    return SeparatorInfo(
        name="lightsaft" if config.block == "lightsaft" else "lasaft",
        stems=config.stems,
        sample_rate=config.sample_rate,
        channels=config.audio_channels,
        window_samples=config.window_samples,
        overlap_samples=min(2 * config.trim_samples, config.window_samples // 2),
        kind="conditioned",
        **facts,
    )


class LightSaftSeparator:
    """A WindowModel around one network, which serves every stem.

    `network` is put into evaluation mode; with `fused` it is rebuilt for speed (equal to 1e-5) and not kept.
    """

    def __init__(self, network: LightSaft, info: SeparatorInfo, provenance: dict[str, Any], *, fused: bool = True):
        self.info = info
        self.config = network.config
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.provenance = {**provenance, "fused": fused}
        self.network: nn.Module = fuse(network) if fused else network.eval()
        self._fused = fused

    def settings(self, quality: str | int) -> LightSaftSettings:
        """`fast`: smallest overlap; `balanced`: a quarter; `best`: a half, and the mean over mirror images."""
        smallest = self.info.overlap_samples / self.config.window_samples
        known = {
            "fast": LightSaftSettings(overlap=smallest),
            "balanced": LightSaftSettings(overlap=max(smallest, 0.25)),
            "best": LightSaftSettings(overlap=0.5, average=True),
        }
        if quality not in known:
            raise OptionError(
                f"{self.info.name} has no steps, so quality {quality!r} means nothing to it; wanted {', '.join(known)}."
            )
        return known[str(quality)]

    def network_calls(self, settings: WindowSettings) -> int:
        """Passes of the network per window, each for all stems."""
        return len(list(self._images(settings)))

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b c t of any length -> b s c t; nothing is random, and silence gives silence."""
        total: Tensor | float = 0.0
        images = list(self._images(settings))
        for swapped, sign in images:
            given = windows.flip(1) if swapped else windows
            found = sign * self._separate(sign * given)
            total = total + (found.flip(2) if swapped else found)
        return torch.as_tensor(total) / len(images)

    def latent_attention(self, stem: str | Sequence[float]) -> dict[str, Tensor]:
        """Attention over latent sources in every block, name -> (l), for a stem or for soft weights over the stems.

        Raises UnknownNameError for a stem that the network does not have.
        """
        device = next(self.network.parameters()).device
        if isinstance(stem, str):
            if stem not in self.config.stems:
                raise UnknownNameError(f"No stem is named {stem!r}: {nearest(stem, self.config.stems)}")
            condition = torch.tensor([self.config.stems.index(stem)], device=device)
        else:
            if len(stem) != len(self.config.stems):
                names = ", ".join(self.config.stems)
                raise OptionError(f"{len(stem)} weights were given for the {len(self.config.stems)} stems {names}.")
            condition = torch.tensor([list(stem)], device=device, dtype=torch.float32)
        with torch.no_grad():
            # the fused network has the parts that this reads
            attention = latent_attention(cast(LightSaft, self.network), condition)
        return {block: weights[0].cpu() for block, weights in attention.items()}

    def _images(self, settings: WindowSettings) -> Iterator[tuple[bool, float]]:
        """The mirror images of a window that the network can tell apart: (channels swapped, sign)."""
        average = isinstance(settings, LightSaftSettings) and settings.average
        for swapped in (False, True) if average and self.config.audio_channels == 2 else (False,):
            # log magnitudes have no sign
            for sign in (1.0, -1.0) if average and self.config.features == "complex" else (1.0,):
                yield swapped, sign

    def _separate(self, windows: Tensor) -> Tensor:
        length_samples, hop = windows.shape[-1], self.config.hop_samples
        # whole hops, so that frames cover the last sample from both sides; and enough for the STFT's reflection
        padded = -(-max(length_samples, self.config.n_fft // 2 + 1) // hop) * hop
        spec = stft(F.pad(windows.float(), (0, padded - length_samples)), self.config)
        seen = features(spec, self.config)
        heard = reduce(spec != 0, "b c f n -> b 1 1 n", "any")  # a mapping's biases must not sound in silence
        stems = range(len(self.config.stems))
        outputs = self._outputs(seen, torch.tensor(stems, device=windows.device))
        found = (heard * estimate(outputs[:, stem].float(), spec, self.config) for stem in stems)
        return torch.stack([istft(spec, padded, self.config)[..., :length_samples] for spec in found], dim=1)

    def _outputs(self, seen: Tensor, stems: Tensor) -> Tensor:
        """Raw outputs b s o n f."""
        if self._fused:
            return self.network.stems(seen, stems)  # type: ignore[operator]
        return torch.stack([self.network(seen, stem.expand(len(seen))) for stem in stems], dim=1)


def _untrained(options: Options) -> LightSaftSeparator:
    preset = options.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} is not known: {nearest(preset, PRESETS)}")
    config = PRESETS[preset]
    info = separator_info(config, licence="MIT", trained=False)
    return LightSaftSeparator(
        new_network(config, options.seed),
        info,
        {"untrained": preset, "weights_seed": options.seed},
        fused=options.fused,
    )


def _shipped() -> Path:
    folder = Path(str(files("sepkit_lightsaft"))) / "checkpoints" / NAME
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is missing: this installation has no trained weights of {NAME!r}. Give checkpoint=FOLDER (train "
            "one with `python -m sepkit_lightsaft.train`), or ask for random weights with untrained=True."
        )
    return folder
