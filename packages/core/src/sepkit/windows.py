"""Overlap-add: long audio cut into a fixed grid of windows, and window results joined without a seam.

    window 0   ████████████▇▅▃▁
    window 1              ▁▃▅▇██████▇▅▃▁         linear cross-fade over the overlap,
    window 2                          ▁▃▅▇██░░░  the last window zero-padded
               |── hop ───|── hop ────|

Every sample is divided by the weight it has accumulated, so windows that return their input reproduce the signal for
any window, any overlap (also above 50 %, where three or more windows meet) and any length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """Where windows lie: window k covers the samples [k·hop, k·hop + window)."""

    window_samples: int
    hop_samples: int

    def __post_init__(self) -> None:
        if not 1 <= self.hop_samples <= self.window_samples:
            raise ValueError(
                f"hop_samples is {self.hop_samples}; wanted 1 to window_samples ({self.window_samples}), "
                "otherwise samples would lie in no window."
            )

    def start(self, index: int) -> int:
        return index * self.hop_samples

    def count(self, length_samples: int) -> int:
        """The number of windows that cover `length_samples`."""
        if length_samples == 0:
            return 0
        beyond_first = max(0, length_samples - self.window_samples)
        return 1 + -(-beyond_first // self.hop_samples)

    def weight(self) -> Tensor:
        """A window's cross-fade weight (t): up over the overlap, flat, down over the overlap; nowhere zero."""
        to_edge = torch.arange(self.window_samples, dtype=torch.float32) + 0.5
        to_edge = torch.minimum(to_edge, to_edge.flip(0))
        overlap_samples = self.window_samples - self.hop_samples
        return torch.clamp(to_edge / max(overlap_samples, 0.5), max=1.0)


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the grid: its number, its absolute first sample, its samples (... t)."""

    index: int
    start: int
    samples: Tensor


class SampleQueue:
    """First in, first out, for samples (... t): pushes are free, and blocks are joined only when taken across."""

    def __init__(self) -> None:
        self._blocks: deque[Tensor] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, block: Tensor) -> None:
        if block.shape[-1]:
            self._blocks.append(block)
            self._length += block.shape[-1]

    def peek(self, count: int) -> Tensor:
        """The oldest `count` samples, left in place."""
        if self._blocks[0].shape[-1] < count:
            joined, length = [], 0
            while length < count:
                joined.append(self._blocks.popleft())
                length += joined[-1].shape[-1]
            self._blocks.appendleft(torch.cat(joined, dim=-1))
        return self._blocks[0][..., :count]

    def drop(self, count: int) -> None:
        self._length -= count
        while count:
            first = self._blocks[0]
            if first.shape[-1] > count:
                self._blocks[0] = first[..., count:]
                return
            count -= first.shape[-1]
            self._blocks.popleft()

    def take(self, count: int) -> Tensor:
        """The oldest `count` samples, removed."""
        taken = self.peek(count)
        self.drop(count)
        return taken


class Windower:
    """Cuts a stream of blocks (... t) into the windows of a grid, however the stream is partitioned."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._pending = SampleQueue()
        self._index = 0

    def push(self, block: Tensor) -> Iterator[Window]:
        """The windows that are complete now; consume the iterator before the next push."""
        self._pending.push(block)
        while len(self._pending) >= self._grid.window_samples:
            yield self._next(self._pending.peek(self._grid.window_samples))
            self._pending.drop(self._grid.hop_samples)

    def finish(self) -> Iterator[Window]:
        """The last window, zero-padded, when samples are left that no window has covered."""
        covered = self._grid.window_samples - self._grid.hop_samples if self._index else 0
        if len(self._pending) > covered:
            rest = self._pending.take(len(self._pending))
            yield self._next(torch.nn.functional.pad(rest, (0, self._grid.window_samples - rest.shape[-1])))

    def _next(self, samples: Tensor) -> Window:
        window = Window(self._index, self._grid.start(self._index), samples)
        self._index += 1
        return window


class OverlapAdder:
    """Joins results of consecutive windows (... t) by weighted overlap-add and hands out samples once final."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._weight = grid.weight()
        self._sum: Tensor | None = None  # ... t, from the start of the next window on
        self._weights = torch.zeros(0)
        self._emitted = 0

    def add(self, samples: Tensor) -> Tensor:
        """Add the next window's result; returns the samples that no later window can change (... hop)."""
        grown = samples.new_zeros(*samples.shape[:-1], self._grid.window_samples)
        weights = torch.zeros_like(self._weight)
        if self._sum is not None:
            kept = self._sum.shape[-1]
            grown[..., :kept] = self._sum
            weights[:kept] = self._weights
        grown += samples * self._weight
        weights += self._weight
        hop = self._grid.hop_samples
        self._sum, self._weights = grown[..., hop:], weights[hop:]
        self._emitted += hop
        return grown[..., :hop] / weights[:hop]

    def finish(self, length_samples: int) -> Tensor | None:
        """The rest of a signal of `length_samples` in all: None when no window was ever added."""
        if self._sum is None:
            return None
        rest = max(0, length_samples - self._emitted)
        return self._sum[..., :rest] / self._weights[:rest]


def overlap_add(
    function: Callable[[Tensor], Tensor], signal: Tensor, window_samples: int, hop_samples: int, batch_windows: int = 1
) -> Tensor:
    """Apply `function` (b ... t -> b ... t of any inner shape) to the windows of a signal (... t) and join the results.

    The result is as long as the signal; an empty signal is refused by ValueError, for its result's shape is unknown.
    """
    grid = Grid(window_samples, hop_samples)
    length_samples = signal.shape[-1]
    if length_samples == 0:
        raise ValueError("overlap_add was given a signal of 0 samples; wanted at least 1.")
    windower, adder = Windower(grid), OverlapAdder(grid)
    pieces = []
    windows = [window.samples for part in (windower.push(signal), windower.finish()) for window in part]
    for batch in _batches(windows, batch_windows):
        pieces += [adder.add(result) for result in function(torch.stack(batch))]
    rest = adder.finish(length_samples)
    assert rest is not None
    return torch.cat([*pieces, rest], dim=-1)[..., :length_samples]


def _batches(items: list[Tensor], size: int) -> Iterable[list[Tensor]]:
    return (items[first : first + size] for first in range(0, len(items), size))
