"""Mixture-conditioned diffusion as a sepkit method: `get_separator("conditional_diffusion")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError, nearest
from sepkit.separator import SeparatorInfo, WindowSettings

from .config import ConditionalConfig
from .network import ConditionalNetwork, new_network
from .presets import DEFAULT_PRESET, PRESETS
from .sampling import iterate_targets, with_complement
from .settings import FAST_STEPS, ConditionalSettings, Options

NAME = "conditional_diffusion"
CONFIG_VERSION = 1


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> ConditionalSeparator:
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
    loaded = load_checkpoint(folder, separator=NAME, config_type=ConditionalConfig, config_version=CONFIG_VERSION)
    network = new_network(loaded.config, seed=0)
    load_state(network, loaded.state)
    return ConditionalSeparator(loaded.config, network, loaded.info, {"weights_sha256": loaded.sha256}, given.fixed)


def separator_info(config: ConditionalConfig, **facts: Any) -> SeparatorInfo:
    """What a checkpoint promises to the host; `facts` are licence and the like."""
    window = round(config.window_seconds * config.sample_rate)
    return SeparatorInfo(
        name=NAME,
        stems=config.stems,
        sample_rate=config.sample_rate,
        channels=config.audio_channels,
        window_samples=window,
        overlap_samples=round(config.overlap * window),
        random=True,
        kind="generative",
        sums_to_mixture=len(config.targets) == 1,
        **facts,
    )


class ConditionalSeparator:
    """A WindowModel around the two networks; `fixed` are settings that win over those of a quality."""

    def __init__(
        self,
        config: ConditionalConfig,
        network: ConditionalNetwork,
        info: SeparatorInfo,
        provenance: dict[str, Any],
        fixed: dict[str, Any] | None = None,
    ):
        self.config, self.network, self.info = config, network.eval().requires_grad_(False), info
        self.provenance = dict(provenance)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.fixed = dict(fixed or {})
        self.settings("balanced")  # refuses options that cannot be, now

    def settings(self, quality: str | int) -> ConditionalSettings:
        """`fast`: 20 steps; `balanced`: 50; `best`: 50, and the mean of 4 samples; or so many steps.

        Options given to `get_separator` win. Raises OptionError for a cutoff that the sample rate does not have.
        """
        known: dict[str, dict[str, Any]] = {"fast": {"steps": FAST_STEPS}, "balanced": {}, "best": {"samples": 4}}
        if isinstance(quality, int):
            chosen: dict[str, Any] = {"steps": quality}
        elif quality in known:
            chosen = known[quality]
        else:
            raise OptionError(f"quality {quality!r} is not known: {nearest(quality, list(known))}")
        # a network of a low rate has no 5 kHz: then the usual cutoff stands at four fifths of its band
        usual = min(ConditionalSettings().cutoff_hz, 0.4 * self.config.sample_rate)
        settings = validated(ConditionalSettings, {"cutoff_hz": usual, **chosen, **self.fixed}, NAME)
        if settings.cutoff_hz >= self.config.sample_rate / 2:
            raise OptionError(
                f"cutoff_hz is {settings.cutoff_hz:g}, and this network works at {self.config.sample_rate} Hz: take "
                f"less than {self.config.sample_rate / 2:g}, or 0 for white noise."
            )
        return settings

    def network_calls(self, settings: WindowSettings) -> int:
        """Passes of the generator per window; the conditioner is called once in all."""
        assert isinstance(settings, ConditionalSettings)
        return settings.steps * settings.samples

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b c t of any length -> b s c t; noise is keyed by `seed` and the windows' `starts`."""
        *_, last = self.iterate_windows(windows, starts, seed=seed, settings=settings)
        return last

    def iterate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Iterator[Tensor]:
        """The estimate after every step, then the mean of ever more samples; the last is that of `separate_windows`."""
        assert isinstance(settings, ConditionalSettings)
        for targets in iterate_targets(self.network, windows, starts, seed=seed, settings=settings):
            yield with_complement(targets, windows)


def _untrained(options: Options) -> ConditionalSeparator:
    preset = options.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} is not known: {nearest(preset, PRESETS)}")
    config = PRESETS[preset].model_copy(update={"targets": (options.target or "vocals",)})
    info = separator_info(config, licence="MIT", trained=False)
    network = new_network(config, options.weights_seed)
    provenance = {"untrained": preset, "weights_seed": options.weights_seed}
    return ConditionalSeparator(config, network, info, provenance, options.fixed)


def _shipped() -> Path:
    folder = Path(str(files("sepkit_waveform_diffusion"))) / "checkpoints" / NAME
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is missing: this installation has no trained weights of {NAME!r}. Give checkpoint=FOLDER (train "
            "one with `python -m sepkit_waveform_diffusion.conditional.train`), or ask for random weights with "
            "untrained=True."
        )
    return folder
