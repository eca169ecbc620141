"""Latent diffusion as a sepkit method: `get_separator("latent_diffusion")`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.codecs import Codec
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError, nearest
from sepkit.separator import SeparatorInfo, WindowSettings

from .codec.checkpoints import build_codec, count_parameters, frozen, is_own
from .config import LatentConfig
from .network import LatentNetwork, new_network
from .presets import DEFAULT_PRESET, PRESETS
from .sampling import as_stems, iterate_targets
from .settings import BEST_STEPS, FAST_STEPS, LatentSettings, Options
from .windows_on_grid import frame_grid

NAME = "latent_diffusion"
CONFIG_VERSION = 1
CODEC, NETWORK = "codec.", "network."
"""What the names of a checkpoint's weights begin with."""


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> LatentSeparator:
    """The method with the shipped weights, those of a checkpoint folder, or random ones (`untrained`).

    Raises OptionError for an unknown or contradictory option, CheckpointError for weights that are not there.
    """
    given = validated(Options, options, f"The method {NAME!r}")
    if untrained and checkpoint is not None:
        raise OptionError(f"untrained was given with the checkpoint {checkpoint}; leave one of them out.")
    if given.of_untrained and not untrained:
        name, value = next(iter(given.of_untrained.items()))
        raise OptionError(
            f"{name}={value!r} is for untrained=True: a checkpoint has its own network. Leave {name} out, or name a "
            "checkpoint of that network."
        )
    if untrained:
        return _untrained(given)
    folder = Path(checkpoint) if checkpoint is not None else _shipped()
    loaded = load_checkpoint(folder, separator=NAME, config_type=LatentConfig, config_version=CONFIG_VERSION)
    codec = stored_codec(loaded.config, loaded.state, given.codec_weights)
    network = new_network(loaded.config, codec.features, seed=0)
    load_state(network, part_of(loaded.state, NETWORK))
    facts = {"weights_sha256": loaded.sha256, **_codec_facts(given)}
    return LatentSeparator(loaded.config, codec, network, loaded.info, facts, given.fixed)


def separator_info(config: LatentConfig, codec: Codec, **facts: Any) -> SeparatorInfo:
    """What a checkpoint promises to the host; `facts` are licence and the like.

    Windows and the way between them are whole steps of the codec's grid, so that windows share their frames.
    """
    grid = frame_grid(codec)
    window = grid.whole(config.window_seconds * codec.sample_rate, config.ratio)
    hop = min(window, grid.whole((1 - config.overlap) * window))
    return SeparatorInfo(
        name=NAME,
        stems=config.stems,
        sample_rate=codec.sample_rate,
        channels=codec.audio_channels,
        window_samples=window,
        overlap_samples=window - hop,
        random=True,
        kind="generative",
        sums_to_mixture=len(config.targets) == 1,
        **facts,
    )


class LatentSeparator:
    """A WindowModel around a codec and the networks in its latents; `fixed` are settings that win over a quality's."""

    def __init__(
        self,
        config: LatentConfig,
        codec: Codec,
        network: LatentNetwork,
        info: SeparatorInfo,
        provenance: dict[str, Any],
        fixed: dict[str, Any] | None = None,
    ):
        self.config, self.codec, self.info = config, frozen(codec), info
        self.network = network.eval().requires_grad_(False)
        self.provenance = dict(provenance)
        self.parameters = count_parameters(network) + count_parameters(codec)
        self.fixed = dict(fixed or {})
        self.settings("balanced")  # refuses options that cannot be, now

    def settings(self, quality: str | int) -> LatentSettings:
        """`fast`: 10 steps; `balanced`: 20; `best`: 50, and the mean of 4 samples; or so many steps.

        Options given to `get_separator` win. Raises OptionError for guidance of a network that never learned it.
        """
        known: dict[str, dict[str, Any]] = {
            "fast": {"steps": FAST_STEPS},
            "balanced": {},
            "best": {"steps": BEST_STEPS, "samples": 4},
        }
        if isinstance(quality, int):
            chosen: dict[str, Any] = {"steps": quality}
        elif quality in known:
            chosen = known[quality]
        else:
            raise OptionError(f"quality {quality!r} is not known: {nearest(quality, list(known))}")
        settings = validated(LatentSettings, {**chosen, **self.fixed}, NAME)
        if settings.guidance != 1 and not self.config.guided:
            raise OptionError(
                f"guidance is {settings.guidance:g}, but this network never learned to do without the mixture: leave "
                "it at 1, or train one with model.condition_dropout=0.1."
            )
        return settings

    def network_calls(self, settings: WindowSettings) -> int:
        """Passes of the generator per window; the conditioner is called once or, with guidance, twice in all."""
        assert isinstance(settings, LatentSettings)
        return settings.steps * settings.samples * (1 if settings.guidance == 1 else 2)

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)
        if isinstance(self.codec, nn.Module):
            self.codec.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b c t of any length -> b s c t; noise is keyed by `seed` and the windows' `starts`."""
        return deque(self._estimates(windows, starts, seed, settings, every_step=False), maxlen=1).pop()

    def iterate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Iterator[Tensor]:
        """The estimate after every step, then the mean of ever more samples; the last is that of `separate_windows`."""
        return self._estimates(windows, starts, seed, settings, every_step=True)

    def _estimates(
        self, windows: Tensor, starts: Sequence[int], seed: int, settings: WindowSettings, *, every_step: bool
    ) -> Iterator[Tensor]:
        assert isinstance(settings, LatentSettings)
        found = iterate_targets(
            self.codec, self.network, windows, starts, seed=seed, settings=settings, every_step=every_step
        )
        for targets in found:
            yield as_stems(targets, windows, settings, self.info.sample_rate)


def part_of(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def stored_codec(config: LatentConfig, state: dict[str, Tensor], codec_weights: str | None) -> Codec:
    """The codec of a checkpoint: its own, or a published one with the weights that the user has.

    Raises CheckpointError where these are missing, OptionError where they are given for a codec that is all there.
    """
    if not is_own(config.codec):
        return build_codec(config.codec, weights=codec_weights)
    if codec_weights is not None:
        raise OptionError(
            f"codec_weights={codec_weights!r} was given, but the checkpoint has its own codec, "
            f"{config.codec.name!r}: leave it out."
        )
    return build_codec(config.codec, state=part_of(state, CODEC))


def _untrained(options: Options) -> LatentSeparator:
    preset = options.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} is not known: {nearest(preset, PRESETS)}")
    config = PRESETS[preset].model_copy(update={"targets": (options.target or "vocals",)})
    codec = build_codec(config.codec, weights=options.codec_weights)
    info = separator_info(config, codec, licence="MIT", trained=False)
    network = new_network(config, codec.features, options.weights_seed)
    facts = {"untrained": preset, "weights_seed": options.weights_seed, **_codec_facts(options)}
    return LatentSeparator(config, codec, network, info, facts, options.fixed)


def _codec_facts(options: Options) -> dict[str, Any]:
    return {} if options.codec_weights is None else {"codec_weights": Path(options.codec_weights).name}


def _shipped() -> Path:
    folder = Path(str(files("sepkit_latent_diffusion"))) / "checkpoints" / NAME
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is missing: this installation has no trained weights of {NAME!r}. Give checkpoint=FOLDER (train "
            "one with `python -m sepkit_latent_diffusion.train`), or ask for random weights with untrained=True."
        )
    return folder
