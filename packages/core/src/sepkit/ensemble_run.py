"""One track through an ensemble: its members' estimates side by side, weighted, summed and made consistent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .audio import Audio, Stems
from .ensemble_plan import Plan, Tap
from .ensemble_streams import Fork, aligned, consistent, weighted_sum
from .filters.consistency import total
from .inputs import checked_slices
from .provenance import plain
from .separator import Consistency, Progress


class EnsembleRun:
    """One track through all members."""

    def __init__(
        self,
        plan: Plan,
        sample_rate: int,
        channels: int,
        length_samples: int | None,
        seed: int,
        quality: str | int,
    ) -> None:
        self.plan, self.sample_rate, self.channels = plan, sample_rate, channels
        self.length_samples, self.seed, self.quality = length_samples, seed, quality
        self.found: dict[str, Any] = {}  # provenance of each separation
        self.own_seconds = 0.0

    def opened(self, blocks: Iterable[Any]) -> tuple[Iterator[Tensor], dict[Tap, Iterator[Tensor]]]:
        """A reader of the mixture and one for each tap; wrong options raise now."""
        mixture = Fork(checked_slices(blocks, self.channels))
        taps = self.plan.open(
            mixture,
            self.sample_rate,
            self.channels,
            self.length_samples,
            seed=self.seed,
            quality=self.quality,
            note=self.found.__setitem__,
        )
        return mixture.reader(), taps

    def parts(self, blocks: Iterable[Any]) -> Iterator[tuple[Tensor, dict[str, list[Tensor]]]]:
        """Stretches of the mixture, and each stem's parts."""
        mixture, readers = self.opened(blocks)

        def stretches() -> Iterator[tuple[Tensor, dict[str, list[Tensor]]]]:
            for heard, *found in aligned([mixture, *readers.values()]):
                by_tap = dict(zip(readers, found, strict=True))
                yield heard, {stem: [by_tap[tap] for tap in taps] for stem, taps in self.plan.taps.items()}

        return stretches()

    def stretches(
        self,
        blocks: Iterable[Any],
        wanted: Sequence[str],
        how: Consistency,
        facts: dict[str, Any],
        progress: Progress | None,
    ) -> Iterator[Stems]:
        """Stretches of the wanted stems; at least one, which is empty for an empty track."""
        summed = ((self._summed(parts), heard) for heard, parts in self.parts(blocks))
        return self._stems(consistent(summed, how, self.sample_rate, self.plan.stems), wanted, facts, progress)

    def _summed(self, parts: dict[str, list[Tensor]]) -> Tensor:
        started = time.perf_counter()
        stems = torch.stack([weighted_sum(found, self.plan.weights[stem]) for stem, found in parts.items()])
        self.own_seconds += time.perf_counter() - started
        return stems

    def _stems(
        self,
        stretches: Iterator[tuple[Tensor, Tensor]],
        wanted: Sequence[str],
        facts: dict[str, Any],
        progress: Progress | None,
    ) -> Iterator[Stems]:
        chosen, done = [self.plan.stems.index(stem) for stem in wanted], 0
        whole = math.nan if self.length_samples is None else self.length_samples / self.sample_rate
        empty = torch.zeros(len(self.plan.stems), self.channels, 0)
        held = (empty, empty[0])  # one stretch behind, so that the last can carry the complete provenance
        for stems, mixture in stretches:
            done += mixture.shape[-1]
            if progress is not None:
                progress(done / self.sample_rate, whole)
            if held[1].shape[-1]:
                yield self._given(held, chosen, wanted, facts)
            held = (stems, mixture)
        yield self._given(held, chosen, wanted, facts | self._complete(facts, done))

    def _given(
        self, stretch: tuple[Tensor, Tensor], chosen: Sequence[int], wanted: Sequence[str], facts: dict[str, Any]
    ) -> Stems:
        stems, mixture = stretch[0][list(chosen)], stretch[1]
        residual = mixture - total(stems[None])[0]
        named = {name: Audio(samples, self.sample_rate) for name, samples in zip(wanted, stems, strict=True)}
        return Stems(named, Audio(residual, self.sample_rate), facts)

    def _complete(self, facts: dict[str, Any], length_samples: int) -> dict[str, Any]:
        members = [self.found.get(key, {}) for key in self.plan.nodes]
        seconds = self.own_seconds + sum(float(one.get("compute_seconds", 0.0)) for one in members)
        length = {"length_samples": length_samples, "seconds": length_samples / self.sample_rate}
        return {
            "input": facts["input"] | length,
            "members": [plain(dict(one)) for one in members],
            "compute_seconds": round(seconds, 3),
        }
