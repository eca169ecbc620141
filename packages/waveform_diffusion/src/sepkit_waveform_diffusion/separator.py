"""Cold diffusion as a sepkit method: `get_separator("cold_diffusion")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sepkit.audio import Stems
from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError, nearest
from sepkit.separator import SeparatorInfo, WindowSettings

from .config import SCHEDULES, ColdConfig
from .inference import fuse
from .network import ColdNetwork, new_network
from .presets import DEFAULT_PRESET, PRESETS, preset_model
from .settings import ColdSettings, Options
from .signals import calls_of, iterate_signals, of_second, separate_signals

if TYPE_CHECKING:
    from .refine import Refiner

NAME = "cold_diffusion"
CONFIG_VERSION = 1


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> ColdSeparator:
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
    loaded = load_checkpoint(folder, separator=NAME, config_type=ColdConfig, config_version=CONFIG_VERSION)
    networks = [new_network(model, seed=0) for model in loaded.config.models]
    together = nn.ModuleList(networks)
    counters = {name: value for name, value in together.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(together, counters | loaded.state)
    provenance = {"weights_sha256": loaded.sha256}
    return ColdSeparator(loaded.config, networks, loaded.info, provenance, given.fixed, fused=given.fused)


def separator_info(config: ColdConfig, **facts: Any) -> SeparatorInfo:
    """What a checkpoint promises to the host; `facts` are licence and the like."""
    window = round(config.window_seconds * config.main.sample_rate)
    return SeparatorInfo(
        name=NAME,
        stems=config.stems,
        sample_rate=config.main.sample_rate,
        channels=config.main.audio_channels,
        window_samples=window,
        overlap_samples=min(2 * config.main.backbone.context_samples, window // 2),
        kind="generative",
        sums_to_mixture=len(config.main.targets) == 1,
        **facts,
    )


class ColdSeparator:
    """A WindowModel around the networks of a checkpoint: the first separates, a second may serve the Wiener filter.

    `fixed` are settings that win over those of a quality. With `fused` WaveNets are rebuilt for speed (equal to 1e-6).
    """

    def __init__(
        self,
        config: ColdConfig,
        networks: Sequence[ColdNetwork],
        info: SeparatorInfo,
        provenance: dict[str, Any],
        fixed: dict[str, Any] | None = None,
        *,
        fused: bool = True,
    ):
        self.config = config
        self.provenance = {**provenance, "fused": fused}
        self.parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
        self.networks = tuple(fuse(network) if fused else network.eval() for network in networks)
        self.fixed = dict(fixed or {})
        settings = ColdSettings(**self.fixed)
        self._check(settings)
        # filtered magnitudes with the estimates' phases no longer sum to the mixture
        sums = info.sums_to_mixture and settings.wiener == "none"
        self.info = info.model_copy(update={"sums_to_mixture": sums})

    def settings(self, quality: str | int) -> ColdSettings:
        """`fast`: a quarter of the steps; `balanced`: all; `best`: all, windows overlapping by half; or so many steps.

        Options given to `get_separator` win. Raises OptionError for more steps than the schedule has.
        """
        count = self.config.main.betas.count
        known: dict[str | int, dict[str, Any]] = {
            "fast": {"steps": max(1, count // 4)},
            "balanced": {},
            "best": {"overlap": 0.5},
        }
        if isinstance(quality, int):
            chosen: dict[str, Any] = {"steps": quality}
        elif quality in known:
            chosen = known[quality]
        else:
            raise OptionError(f"quality {quality!r} is not known: {nearest(quality, [str(name) for name in known])}")
        settings = ColdSettings(**{**chosen, **self.fixed})
        self._check(settings)
        return settings

    def _check(self, settings: ColdSettings) -> None:
        count = self.config.main.betas.count
        if settings.steps is not None and settings.steps > count:
            raise OptionError(
                f"{settings.steps} steps were asked of {NAME}, whose schedule has {count}: take {count} or fewer."
            )
        if settings.wiener == "two_models" and len(self.networks) < 2:
            raise OptionError(
                "wiener='two_models' needs a checkpoint with a second network for the complement; this one has only "
                "one: take wiener='complement'."
            )
        if settings.wiener != "none" and len(self.config.main.targets) > 1:
            raise OptionError("The paper's Wiener filter is for one target and its complement; leave wiener out.")

    def network_calls(self, settings: WindowSettings) -> int:
        """Passes of a network per window."""
        assert isinstance(settings, ColdSettings)
        calls = calls_of(self.networks[0], settings)
        if settings.wiener == "two_models":
            calls += calls_of(self.networks[1], of_second(self.networks, settings))
        return calls

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        for network in self.networks:
            network.to(device)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b c t of any length -> b s c t; nothing is random, and silence gives silence."""
        assert isinstance(settings, ColdSettings)
        return separate_signals(self.networks, windows, settings)

    def iterate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Iterator[Tensor]:
        """The estimate after every step of the way back, the last one being that of `separate_windows`."""
        assert isinstance(settings, ColdSettings)
        yield from iterate_signals(self.networks, windows, settings)

    def refiner(self, strength: float) -> Refiner:
        """The model that begins at an estimate of its targets, `strength` (0 to 1) of the way back being left to go."""
        from .refine import Refiner, level_of

        return Refiner(self, level_of(self, strength))

    def refine(self, mixture: Any, estimate: Any, *, from_level: int, **options: Any) -> Stems:
        """Restart the way back from an estimate, another method's included; see `refine.refine` for the options."""
        from .refine import refine

        return refine(self, mixture, estimate, from_level=from_level, **options)


def _untrained(options: Options) -> ColdSeparator:
    preset, schedule = options.preset or DEFAULT_PRESET, options.schedule or "beta_8"
    for what, name, known in (("preset", preset, PRESETS), ("schedule", schedule, SCHEDULES)):
        if name not in known:
            raise OptionError(f"{what} {name!r} is not known: {nearest(name, known)}")
    config = ColdConfig(models=(preset_model(preset, schedule, options.target or "vocals"),))
    info = separator_info(config, licence="MIT", trained=False)
    networks = [new_network(model, options.seed) for model in config.models]
    provenance = {"untrained": preset, "weights_seed": options.seed}
    return ColdSeparator(config, networks, info, provenance, options.fixed, fused=options.fused)


def _shipped() -> Path:
    folder = Path(str(files("sepkit_waveform_diffusion"))) / "checkpoints" / NAME
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is missing: this installation has no trained weights of {NAME!r}. Give checkpoint=FOLDER (train "
            "one with `python -m sepkit_waveform_diffusion.train`), or ask for random weights with untrained=True."
        )
    return folder
