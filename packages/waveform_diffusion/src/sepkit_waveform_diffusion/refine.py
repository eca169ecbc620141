"""Refining: the way back restarted from any estimate, another method's included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor

from sepkit.audio import Audio, Stems
from sepkit.channels import group_channels, ungroup
from sepkit.errors import AudioError, OptionError
from sepkit.host import HostedSeparator
from sepkit.inputs import as_audio
from sepkit.separator import Progress, Quality, SeparatorInfo, WindowSettings

from .settings import ColdSettings
from .signals import last, target_estimates, with_complement

if TYPE_CHECKING:
    from .separator import ColdSeparator


def refine(
    separator: ColdSeparator | HostedSeparator,
    mixture: Any,
    estimate: Any,
    *,
    from_level: int,
    sample_rate: int | None = None,
    quality: Quality = "balanced",
    segment_seconds: float | None = None,
    overlap: float | None = None,
    progress: Progress | None = None,
) -> Stems:
    """Stems of `mixture`, found by walking back from an estimate instead of from the mixture.

    The state at step `from_level` (1 to T) is sqrt(alpha_bar) estimate + sqrt(1 - alpha_bar) mixture, as in training;
    a higher level trusts the estimate less. `estimate` is the target as a path, an Audio or an array, or the Stems (a
    mapping) of any method, from which the targets are taken; `accompaniment` may be the sum of all but the vocals. The
    other options are those of `separate` and `get_separator`. Nothing is random, and no Wiener filter follows.
    Raises OptionError for a level that is not there or targets that are missing, AudioError where lengths differ.
    """
    hosted = separator if isinstance(separator, HostedSeparator) else None
    model: ColdSeparator = hosted.model if hosted is not None else separator  # type: ignore[assignment]
    _check_level(model, from_level)
    audio = as_audio(mixture, sample_rate, model.info.sample_rate)
    targets = [_fitted(part, audio) for part in _targets_of(estimate, model.config.main.targets, audio.sample_rate)]
    width = model.info.channels
    groups = torch.cat([group_channels(part.samples, width) for part in (audio, *targets)], dim=1)  # g (1+k)c t
    host = HostedSeparator(
        Refiner(model, from_level),
        device="cpu" if hosted is None else str(hosted.device),
        segment_seconds=segment_seconds,
        overlap=overlap,
    )
    together = Audio(rearrange(groups, "g m t -> (g m) t"), audio.sample_rate)
    found = host.separate(together, quality=quality, progress=progress)
    assert found.residual is not None

    def at_format(part: Audio) -> Audio:
        stacked = rearrange(part.samples, "(g m) t -> g m t", g=len(groups))
        return Audio(ungroup(stacked[:, :width], audio.channels), audio.sample_rate)

    stems = {stem: at_format(part) for stem, part in found.items()}
    return Stems(stems, at_format(found.residual), {**found.provenance, "refined_from_level": from_level})


class Refiner:
    """A WindowModel whose windows hold the mixture's channels, and after them those of each target's estimate.

    So rates, windows and blocks are the host's work here too. Its stems are as wide, with nothing after the first.
    """

    def __init__(self, model: ColdSeparator, from_level: int):
        self.model, self.from_level = model, from_level
        self.channels = model.info.channels
        self.given = model.config.main.targets
        count = 1 + len(self.given)
        changes = {"channels": count * self.channels, "sums_to_mixture": False}
        self.info: SeparatorInfo = model.info.model_copy(update=changes)
        self.provenance = model.provenance
        self.parameters = model.parameters

    def settings(self, quality: str | int) -> ColdSettings:
        return self.model.settings(quality)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        assert isinstance(settings, ColdSettings)
        network, width = self.model.networks[0], self.channels
        mixture, known = windows[:, :width], windows[:, width:]
        estimates = target_estimates(network, mixture, settings, known=known, from_level=self.from_level)
        stems = with_complement(last(estimates), mixture, network)
        empty = stems.new_zeros(*stems.shape[:2], windows.shape[1] - width, windows.shape[2])
        return torch.cat([stems, empty], dim=2)


def level_of(model: ColdSeparator, strength: float) -> int:
    """The step to begin at so that `strength` (0 to 1) of the way back is left; raises OptionError for a short way."""
    level = max(1, round(strength * model.config.main.betas.count))
    _check_level(model, level)
    return level


def _check_level(model: ColdSeparator, from_level: int) -> None:
    count = model.config.main.betas.count
    if count == 1:
        raise OptionError("This network has one step, which begins with the mixture alone: it can't refine anything.")
    if not 1 <= from_level <= count:
        raise OptionError(f"from_level is {from_level}; wanted a step of the schedule, 1 to {count}.")


def _targets_of(estimate: Any, targets: Sequence[str], sample_rate: int) -> list[Audio]:
    """The estimate of each target, out of whatever was given."""
    if isinstance(estimate, Mapping):
        return [as_audio(_found(target, estimate), None, sample_rate) for target in targets]
    if len(targets) > 1:
        raise OptionError(f"One estimate was given for {', '.join(targets)}: give a mapping with each of them.")
    return [as_audio(estimate, None, sample_rate)]


def _found(target: str, stems: Mapping[str, Any]) -> Any:
    if target in stems:
        return stems[target]
    others = [part for stem, part in stems.items() if stem != "vocals"]
    if target == "accompaniment" and "vocals" in stems and others and all(isinstance(x, Audio) for x in others):
        return Audio(sum((part.samples for part in others), start=torch.zeros(1)), others[0].sample_rate)
    raise OptionError(f"The estimate has no {target!r}, only {', '.join(stems)}; rename or add it.")


def _fitted(estimate: Audio, mixture: Audio) -> Audio:
    """The estimate at the mixture's rate and channel count; raises AudioError for another length."""
    fitted = estimate.resampled(mixture.sample_rate).remixed(mixture.channels)
    if fitted.length_samples != mixture.length_samples:
        raise AudioError(
            f"The estimate has {fitted.length_samples} samples at the mixture's rate and the mixture "
            f"{mixture.length_samples}; they must be of the same recording from the same start."
        )
    return fitted
