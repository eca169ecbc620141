"""Multi-source diffusion as sepkit methods: `get_separator("msdm_dirac")`, `msdm_gaussian` and `msdm_projected`.

One checkpoint, three posteriors: they differ in how the stems are held to their mixture while the sampler walks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sepkit.audio import Audio
from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.config import validated
from sepkit.errors import CheckpointError, OptionError, nearest
from sepkit.separator import SeparatorInfo, WindowSettings

from .config import MsdmConfig
from .encoders import find_encoder
from .inference import Prior, Task, iterate_draw, separate_draw
from .latents import latent_codec
from .network import OneByOne, PriorNetwork, new_network, prior_denoiser
from .presets import DEFAULT_PRESET, PRESETS
from .settings import OPTIONS, Kind, MsdmSettings, Options, settings_for

if TYPE_CHECKING:
    from .generation import MsdmGenerator

NAME = "msdm"
"""What checkpoints are called, and the first part of the methods' names."""

CONFIG_VERSION = 1
OVERLAP = 0.25  # of a window
PRESET_OF_CODEC = {"waveform": "msdm_paper"}


def build_dirac(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> MsdmSeparator:
    """Stems that sum to the mixture, one of them being the rest, with the shipped weights, others, or random ones.

    Raises OptionError for an unknown or contradictory option, CheckpointError for weights that are not there.
    """
    return _build("dirac", checkpoint, untrained, options)


def build_gaussian(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> MsdmSeparator:
    """Stems that sum to the mixture up to noise that falls with sigma; otherwise as `build_dirac`."""
    return _build("gaussian", checkpoint, untrained, options)


def build_projected(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> MsdmSeparator:
    """What the clean estimates miss of the mixture shared out by their variance; otherwise as `build_dirac`."""
    return _build("projected", checkpoint, untrained, options)


def separator_info(config: MsdmConfig, **facts: Any) -> SeparatorInfo:
    """What a checkpoint promises to the host; `facts` are licence and the like."""
    codec = latent_codec(config)
    hop = codec.hop_samples
    frames = max(1, round(config.window_seconds * config.sample_rate / hop))
    return SeparatorInfo(
        stems=config.stems,
        sample_rate=config.sample_rate,
        channels=codec.audio_channels,
        window_samples=frames * hop,
        overlap_samples=round(OVERLAP * frames) * hop,
        random=True,
        kind="generative",
        sums_to_mixture=True,
        **{"name": NAME, **facts},
    )


class MsdmSeparator:
    """A WindowModel around the prior of a checkpoint; `fixed` are settings that win over those of a quality.

    An `embedding` (e) conditions a prior that knows how to be, with so much `guidance`.
    """

    def __init__(
        self,
        kind: Kind,
        config: MsdmConfig,
        network: PriorNetwork,
        info: SeparatorInfo,
        provenance: dict[str, Any],
        fixed: dict[str, Any] | None = None,
        *,
        embedding: Tensor | None = None,
        guidance: float = 1.0,
    ):
        self.kind, self.config = kind, config
        self.network = network.eval().requires_grad_(False)
        self.provenance = dict(provenance)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.fixed = dict(fixed or {})
        denoise = prior_denoiser(self.network, config, embedding=embedding, guidance=guidance)
        self.prior = Prior(config, latent_codec(config), OneByOne(denoise))
        self.first_draw = 0
        settings = self.settings("balanced")  # refuses options that cannot be, now
        self.info = info.model_copy(
            update={
                "name": f"{NAME}_{kind}",
                "sums_to_mixture": settings.rest != "leave" or settings.phase == "mixture",
            }
        )

    def settings(self, quality: str | int) -> MsdmSettings:
        """`fast`, `balanced` (as published; `projected`: 20 steps), `best` (the mean of samples), or so many steps.

        Options given to `get_separator` win. Raises OptionError for what cannot be, and where sampling would diverge.
        """
        return settings_for(self.kind, quality, self.fixed, self.config, additive=self.prior.codec.additive)

    def network_calls(self, settings: WindowSettings) -> int:
        """Calls of the prior for each window."""
        assert isinstance(settings, MsdmSettings)
        return settings.network_calls

    def to(self, device: torch.device | str) -> None:
        """Move the weights."""
        self.network.to(device)

    def drawn(self, index: int) -> MsdmSeparator:
        """The same method giving its sample number `index` alone: what `samples` averages, one by one."""
        one = copy.copy(self)
        one.first_draw, one.fixed = self.first_draw + index, {**self.fixed, "samples": 1}
        return one

    def generator(self) -> MsdmGenerator:
        """What makes stems of nothing, or of some of them, with the same prior."""
        from .generation import MsdmGenerator

        return MsdmGenerator(self.prior, self.info, {**self.provenance, "parameters": self.parameters})

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Windows b c t of any length -> b s c t; noise is keyed by `seed`, sample, stem and absolute latent frame."""
        assert isinstance(settings, MsdmSettings)
        task = Task(windows, starts, seed, settings)
        stems = separate_draw(self.prior, task, self.first_draw)
        for index in range(1, settings.samples):
            stems = stems + separate_draw(self.prior, task, self.first_draw + index)
        return stems / settings.samples

    def iterate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Iterator[Tensor]:
        """The estimate after every step, then the mean of ever more samples; the last is that of `separate_windows`."""
        assert isinstance(settings, MsdmSettings)
        task = Task(windows, starts, seed, settings)
        for stems in iterate_draw(self.prior, task, self.first_draw):
            yield stems
        total = stems
        for index in range(1, settings.samples):
            total = total + separate_draw(self.prior, task, self.first_draw + index)
            yield total / (index + 1)


def _build(kind: Kind, checkpoint: str | Path | None, untrained: bool, options: dict[str, Any]) -> MsdmSeparator:
    given = validated(OPTIONS[kind], options, f"The method '{NAME}_{kind}'")
    if untrained and checkpoint is not None:
        raise OptionError(f"untrained was given with the checkpoint {checkpoint}; leave one of them out.")
    if untrained:
        return _untrained(kind, given)
    if given.preset is not None:
        raise OptionError(
            f"preset={given.preset!r} is for untrained=True: a checkpoint has its own network. Leave preset out."
        )
    folder = Path(checkpoint) if checkpoint is not None else _shipped(kind)
    loaded = load_checkpoint(folder, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    if given.codec not in (None, loaded.config.codec.name):
        raise OptionError(
            f"codec={given.codec!r} was asked for, and the prior of {folder} lives in {loaded.config.codec.name!r}: "
            "leave codec out, or give a checkpoint that was trained in that codec."
        )
    network = new_network(loaded.config, seed=0)
    load_state(network, loaded.state)
    encoder = loaded.extra.get("training", {}).get("config", {}).get("encoder")
    return _made(kind, loaded.config, network, loaded.info, {"weights_sha256": loaded.sha256}, given, encoder)


def _untrained(kind: Kind, options: Options) -> MsdmSeparator:
    preset = options.preset or PRESET_OF_CODEC.get(options.codec or "", DEFAULT_PRESET)
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} is not known: {nearest(preset, PRESETS)}")
    config = PRESETS[preset]
    if options.codec not in (None, config.codec.name):
        known = ", ".join(sorted({one.codec.name for one in PRESETS.values()}))
        raise OptionError(
            f"codec={options.codec!r} was asked for, and the preset {preset!r} lives in {config.codec.name!r}; "
            f"there are presets for {known}, and any other codec needs a checkpoint that was trained in it."
        )
    network = new_network(config, options.weights_seed)
    info = separator_info(config, licence="MIT", trained=False)
    provenance = {"untrained": preset, "weights_seed": options.weights_seed}
    return _made(kind, config, network, info, provenance, options, None)


def _made(
    kind: Kind,
    config: MsdmConfig,
    network: PriorNetwork,
    info: SeparatorInfo,
    provenance: dict[str, Any],
    given: Options,
    encoder: str | None,
) -> MsdmSeparator:
    """The separator, conditioned on the prompt where there is one; `encoder` is the one of the training."""
    if given.prompt is None:
        return MsdmSeparator(kind, config, network, info, provenance, given.fixed)
    name = given.encoder or encoder
    if config.embedding_features is None or name is None:
        raise OptionError(
            f"prompt={given.prompt!r} was given, and this prior was trained without an encoder: leave prompt out, or "
            "give a checkpoint that knows prompts (and encoder=NAME where it does not say which)."
        )
    provenance = {**provenance, "prompt": given.prompt, "encoder": name, "guidance": given.guidance}
    embedding = _embedded(given.prompt, name)
    return MsdmSeparator(
        kind, config, network, info, provenance, given.fixed, embedding=embedding, guidance=given.guidance
    )


def _embedded(prompt: str, encoder: str) -> Tensor:
    """What a prompt, the path of a sound or else a text, becomes."""
    found = find_encoder(encoder)
    if not Path(prompt).is_file():
        return found.text(prompt)
    sound = Audio.read(prompt)
    return found.sound(sound.samples, sound.sample_rate)


def _shipped(kind: Kind) -> Path:
    folder = Path(str(files("sepkit_msdm_posterior"))) / "checkpoints" / NAME
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is missing: this installation has no trained weights of '{NAME}_{kind}'. Give checkpoint=FOLDER "
            "(train one with `python -m sepkit_msdm_posterior.train`), or ask for random weights with untrained=True."
        )
    return folder
