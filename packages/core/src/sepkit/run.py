"""One separation of one track, with every option settled: streamed, or as improving estimates."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from .audio import Audio, Stems
from .errors import PluginError
from .filters.consistency import make_consistent, total
from .inputs import as_blocks, checked_slices
from .route import Piece, Route, WayIn, WayOut
from .runner import ModelRunner
from .separator import Progress, WindowSettings
from .windows import Window


@dataclass
class Run:
    """A run of `runner` along `route`; `facts` is the provenance known before it."""

    runner: ModelRunner
    route: Route
    wanted: tuple[str, ...]
    seed: int
    settings: WindowSettings
    batch_windows: int  # as asked for: the grouping of windows must not depend on when memory ran out
    facts: dict[str, Any]
    compute_seconds: float = 0.0  # without the time that the giver and the taker of blocks need
    length_samples: int = 0

    def stream(self, blocks: Iterable[Any], length_samples: int | None, progress: Progress | None) -> Iterator[Stems]:
        """Stretches of stems in order; at least one, which is empty for an empty track."""
        way_in, way_out = WayIn(self.route), WayOut(self.route)
        waiting: list[Window] = []
        done_samples = 0
        held: Piece | None = None  # one stretch behind, so that the last can carry the complete provenance
        for part in self._with_end(checked_slices(blocks, self.route.channels)):
            started = time.perf_counter()
            if part is not None:
                way_out.remember(part)
                self.length_samples += part.shape[-1]
            for window in way_in.finish() if part is None else way_in.push(part):
                waiting.append(window)
                if len(waiting) == self._windows_at_once:
                    self._separate(waiting, way_out)
                    waiting = []
            if part is None:
                if waiting:
                    self._separate(waiting, way_out)
                way_out.finish(way_in.model_samples)
            piece = way_out.take()
            self.compute_seconds += time.perf_counter() - started
            if piece is None:
                continue
            done_samples += piece.mixture.shape[-1]
            self._report(progress, done_samples, length_samples)
            if held is not None:
                yield self._stems(held, self.facts)
            held = piece
        yield self._stems(held if held is not None else self._nothing(), self._complete_facts())

    def iterate(self, audio: Audio, progress: Progress | None) -> Iterator[Stems]:
        """Complete estimates of the track, each better than the last; all windows go forward step by step together."""
        self.length_samples = audio.length_samples
        started = time.perf_counter()
        way_in = WayIn(self.route)
        windows = [window for block in as_blocks(audio) for window in way_in.push(block)]
        windows += way_in.finish()
        batches = [
            self._items(windows[first : first + self._windows_at_once])
            for first in range(0, len(windows), self._windows_at_once)
        ]
        steps = [self.runner.iterate(batch, seed=self.seed, settings=self.settings) for batch in batches]
        latest: list[Tensor | None] = [None for _ in batches]
        while True:
            improved = False
            for index, step in enumerate(steps):
                estimate = next(step, None)
                if estimate is None:
                    continue
                latest[index] = self._consistent(estimate, batches[index])
                improved = True
            if not improved:
                break
            pieces = self._assembled(audio, [result for result in latest if result is not None], way_in.model_samples)
            self.compute_seconds += time.perf_counter() - started
            yield self._stems(pieces, self._complete_facts())
            started = time.perf_counter()
        if any(result is None for result in latest):
            raise PluginError(f"The method {self.facts['method']!r} has iterate_windows, but it yielded no estimate.")
        self._report(progress, audio.length_samples, audio.length_samples)

    @property
    def _windows_at_once(self) -> int:
        return max(1, self.batch_windows // self.route.groups)

    def _with_end(self, parts: Iterator[Tensor]) -> Iterator[Tensor | None]:
        yield from parts
        yield None

    def _items(self, windows: list[Window]) -> list[Window]:
        """Windows (g c t) as one window (c t) for each channel group."""
        return [Window(window.index, window.start, group) for window in windows for group in window.samples]

    def _separate(self, windows: list[Window], way_out: WayOut) -> None:
        items = self._items(windows)
        stems = self.runner.separate(items, seed=self.seed, settings=self.settings)
        for result in rearrange(self._consistent(stems, items), "(b g) s c t -> b g s c t", g=self.route.groups):
            way_out.push(result)

    def _consistent(self, stems: Tensor, items: list[Window]) -> Tensor:
        if self.route.consistency == "none":
            return stems
        return make_consistent(stems, torch.stack([item.samples for item in items]), self.route.consistency)

    def _assembled(self, audio: Audio, results: list[Tensor], model_samples: int) -> Piece:
        """One estimate of every window, joined: as `stream` does it, in one piece."""
        way_out = WayOut(self.route)
        for block in as_blocks(audio):
            way_out.remember(block)
        for result in results:
            for window in rearrange(result, "(b g) s c t -> b g s c t", g=self.route.groups):
                way_out.push(window)
        way_out.finish(model_samples)
        piece = way_out.take()
        assert piece is not None
        return piece

    def _stems(self, piece: Piece, facts: dict[str, Any]) -> Stems:
        """The stems that were asked for, and as residual whatever of the mixture they leave."""
        chosen = piece.stems[[self.route.stems.index(name) for name in self.wanted]]
        rate = self.route.sample_rate
        residual = piece.mixture - total(chosen[None])[0]
        stems = {name: Audio(samples, rate) for name, samples in zip(self.wanted, chosen, strict=True)}
        return Stems(stems, Audio(residual, rate), facts)

    def _nothing(self) -> Piece:
        empty = torch.zeros(len(self.route.stems), self.route.channels, 0)
        return Piece(empty, empty[0])

    def _complete_facts(self) -> dict[str, Any]:
        seconds = self.length_samples / self.route.sample_rate
        return self.facts | {
            "input": self.facts["input"] | {"length_samples": self.length_samples, "seconds": seconds},
            "batch_windows": min(self.batch_windows, self.runner.batch_windows),
            "compute_seconds": round(self.compute_seconds, 3),
        }

    def _report(self, progress: Progress | None, done_samples: int, length_samples: int | None) -> None:
        if progress is not None:
            whole = math.nan if length_samples is None else length_samples / self.route.sample_rate
            progress(done_samples / self.route.sample_rate, whole)
