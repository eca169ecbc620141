"""Several methods as one: `get_separator("ensemble", members={"vocals": ["lightsaft", "cold_diffusion"], ...})`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .audio import Stems
from .config import Frozen, validated
from .ensemble_config import EnsembleConfig, ensemble_config, read_ensemble, write_ensemble
from .ensemble_plan import Members, Plan
from .ensemble_run import EnsembleRun
from .errors import OptionError
from .filters.consistency import check_consistency
from .host import HostedSeparator, collected
from .inputs import as_audio, as_blocks, check_stems, whole_number
from .licences import combined_licence
from .loaded_weights import licences_of
from .provenance import plain, versions
from .quality import Budget, fit_budget, parse_quality
from .registry import ENSEMBLE as NAME
from .samples import checked_rate
from .separator import Consistency, Progress, Quality, SeparatorInfo


class Options(Frozen):
    """What `get_separator("ensemble", ...)` takes beside the host's options; see `ensemble_config`."""

    members: Any = None
    weights: Any = None


def build(*, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any) -> Ensemble:
    """The ensemble of these members and weights, of a folder's ensemble.json, or the default one.

    `untrained` gives every member random weights. Raises OptionError and UnknownNameError as `ensemble_config`,
    CheckpointError for a folder without an ensemble.
    """
    given = validated(Options, options, f"The method {NAME!r}")
    if checkpoint is None:
        return Ensemble(ensemble_config(given.members, given.weights), untrained)
    if options:
        raise OptionError(f"{next(iter(options))} was given with the checkpoint {checkpoint}, which has its own.")
    return Ensemble(read_ensemble(checkpoint), untrained)


class Ensemble:
    """What the registry builds: an ensemble whose members are loaded once the host's settings are known."""

    def __init__(self, config: EnsembleConfig, untrained: bool) -> None:
        self.config, self._untrained = config, untrained

    def hosted(self, **settings: Any) -> EnsembleSeparator:
        """Load every member under these settings; raises what `get_separator` raises for one."""
        return EnsembleSeparator(self.config, Members(self.config, untrained=self._untrained, settings=settings))


class EnsembleSeparator:
    """A Separator that gives each track to its members, side by side, and adds up what they find.

    Each member runs in its own host, at its own rate, on windows of its own: an ensemble of one method gives what
    that method gives, bit for bit. `config` says what it consists of.
    """

    def __init__(self, config: EnsembleConfig, members: Members) -> None:
        self.config, self._members = config, members
        try:
            plan = Plan(config, members, tuple(config.routes))
        except BaseException:
            members.close()
            raise
        self.info: SeparatorInfo = _info(config, members, plan)

    def save(self, folder: str | Path) -> Path:
        """Write ensemble.json, which `get_separator("ensemble", checkpoint=folder)` reads; members are named in it."""
        return write_ensemble(self.config, folder)

    @property
    def parameters(self) -> int:
        """Weights of all members together."""
        found = (getattr(getattr(separator, "model", None), "parameters", 0) for separator in self._members)
        return sum(count for count in found if isinstance(count, int))

    @property
    def device(self) -> torch.device:
        """Where the first member is."""
        return next((one.device for one in self._members if isinstance(one, HostedSeparator)), torch.device("cpu"))

    @property
    def _device_reason(self) -> str:
        """Why the members run there: all of them were asked in the same words."""
        hosted = [one for one in self._members if isinstance(one, HostedSeparator)]
        return str(hosted[0].provenance()["device_reason"]) if hosted else "its members choose theirs"

    def separate(
        self,
        mixture: Any,
        *,
        sample_rate: int | None = None,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Stems:
        """Separate as `HostedSeparator.separate` does; `quality` is that of each member that has none of its own."""
        audio = as_audio(mixture, sample_rate, self.info.sample_rate)
        pieces = self.separate_stream(
            as_blocks(audio),
            audio.sample_rate,
            audio.channels,
            audio.length_samples,
            stems=stems,
            seed=seed,
            quality=quality,
            consistency=consistency,
            progress=progress,
        )
        return collected(pieces, audio)

    def separate_stream(
        self,
        blocks: Iterable[Any],
        sample_rate: int,
        channels: int,
        length_samples: int | None = None,
        *,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Iterator[Stems]:
        """Separate blocks (c t) as `HostedSeparator.separate_stream` does, equal to the whole bit for bit.

        Memory does not grow with the track unless a member takes whole tracks. Only members that the wanted stems
        need are run; with a `consistency` all are.
        """
        sample_rate, channels = checked_rate(sample_rate), whole_number("channels", channels, at_least=1)
        seed, how = whole_number("seed", seed), check_consistency(consistency)
        wanted = check_stems(stems, self.info.stems, NAME)
        plan = Plan(self.config, self._members, self.info.stems if how != "none" else wanted)
        chosen, request = self._settled_quality(quality, plan, sample_rate, channels, length_samples)
        facts = self.provenance() | {
            "quality": chosen,
            **request,
            "seed": seed,
            "consistency": how,
            "stems": list(wanted),
            "input": {"sample_rate": sample_rate, "channels": channels},
        }
        run = EnsembleRun(plan, sample_rate, channels, length_samples, seed, chosen)
        return run.stretches(blocks, wanted, how, facts, progress)

    def separate_parts(
        self, blocks: Iterable[Any], sample_rate: int, channels: int, *, seed: int = 0, quality: Quality = "balanced"
    ) -> Iterator[tuple[Tensor, dict[str, list[Tensor]]]]:
        """Stretches of the mixture (c t) with every member's estimate of each stem (c t), before they are weighted."""
        plan = Plan(self.config, self._members, self.info.stems)
        run = EnsembleRun(plan, checked_rate(sample_rate), channels, None, seed, parse_member_quality(quality))
        return run.parts(blocks)

    def separate_iter(self, mixture: Any, **options: Any) -> Iterator[Stems]:
        """The one estimate: an ensemble does not improve step by step."""
        return iter([self.separate(mixture, **options)])

    def provenance(self) -> dict[str, Any]:
        """What is known before a run; plain JSON."""
        return {
            "method": NAME,
            "model": {"parameters": self.parameters, "ensemble": plain(self.config.model_dump(mode="json"))},
            "licence": self.info.licence,
            "device": str(self.device),
            "device_reason": self._device_reason,
            "versions": versions(self),
        }

    def close(self) -> None:
        """Let go of the members; the separator cannot be used after."""
        self._members.close()

    def __enter__(self) -> EnsembleSeparator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _settled_quality(
        self, quality: Quality, plan: Plan, sample_rate: int, channels: int, length_samples: int | None
    ) -> tuple[str | int, dict[str, Any]]:
        """The quality that members without one of their own run at; a budget is for all members together."""
        parsed = parse_quality(quality)
        if not isinstance(parsed, Budget):
            return parsed, {}
        if length_samples is None:
            raise OptionError(
                f"quality is the budget {quality!r}, but the length of the track is not known. Pass length_samples, or "
                "fast, balanced or best."
            )
        started = time.perf_counter()

        def needed_seconds(name: str) -> float:
            total_seconds = 0.0
            for node in plan.nodes.values():
                if not isinstance(node.separator, HostedSeparator):
                    raise OptionError(f"{node.member.name!r} hosts itself and its time is not known: give no budget.")
                asked = name if node.member.quality is None else node.member.quality
                width = node.channels(channels)
                total_seconds += node.separator.predicted_seconds(asked, sample_rate, width, length_samples)
            return total_seconds + (time.perf_counter() - started if total_seconds else 0.0)

        chosen, estimates = fit_budget(parsed.seconds, lambda name: name, needed_seconds)
        return chosen, {
            "budget_seconds": parsed.seconds,
            "budget_estimates_seconds": {estimate.quality: plain(estimate.seconds) for estimate in estimates},
            "budget_fits": estimates[0].seconds <= parsed.seconds,
        }


def parse_member_quality(quality: Quality) -> str | int:
    """A quality that is no budget; raises OptionError for one that is."""
    parsed = parse_quality(quality)
    if isinstance(parsed, Budget):
        raise OptionError(f"quality is the budget {quality!r}; wanted fast, balanced, best or a number of steps here.")
    return parsed


def _info(config: EnsembleConfig, members: Members, plan: Plan) -> SeparatorInfo:
    """What the members' promises come to."""
    infos = [node.separator.info for node in plan.nodes.values()]
    rate = max(info.sample_rate for info in infos)
    windows = [(info.window_samples or 0) / info.sample_rate for info in infos]
    longest = infos[windows.index(max(windows))]
    whole = any(info.window_samples is None for info in infos)
    kinds = {info.kind for info in infos}
    return SeparatorInfo(
        name=NAME,
        stems=tuple(config.routes),
        sample_rate=rate,
        channels=max(node.width for node in plan.nodes.values()),
        window_samples=None if whole else round(max(windows) * rate),
        overlap_samples=0 if whole else round(longest.overlap_samples / longest.sample_rate * rate),
        random=any(info.random for info in infos),
        sums_to_mixture=_sums(config, plan),
        licence=combined_licence(licence for separator in members for licence in licences_of(separator)),
        kind="combined" if len(kinds) > 1 else kinds.pop(),
        extra_training_data=any(info.extra_training_data for info in infos),
        trained=all(info.trained for info in infos),
    )


def _sums(config: EnsembleConfig, plan: Plan) -> bool:
    """Whether the stems sum to the mixture: those of every member do, and it has one weight in all of them."""
    first, *others = config.routes.values()
    taps = list(plan.taps.items())
    members_sum = all(
        node.separator.info.sums_to_mixture
        and node.inputs == (None,)
        and set(node.separator.info.stems) == set(plan.stems)
        for node in plan.nodes.values()
    )
    by_name = all(tap.stem == stem for stem, found in taps for tap in found)
    alike = all([tap.node for tap in found] == [tap.node for tap in taps[0][1]] for _, found in taps)
    one_weight = all(route.weights == first.weights for route in others) and math.isclose(sum(first.weights), 1.0)
    return members_sum and by_name and alike and one_weight
