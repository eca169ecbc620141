"""Several separations of one stream side by side: what each needs is pulled when the slowest needs it, and no sooner.

A method may also begin at another's estimate. Its WindowModel then has `refiner(strength)`, a WindowModel of the same
stems with `given`, the stems whose estimates it wants. Its windows hold the mixture's channels and, after them, those
of each given stem (c of the method's info times 1 + given), and so do its stems, of which the first c channels count.
`strength` (0 to 1) is the part of its way that it goes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from einops import rearrange
from torch import Tensor

from .audio import Audio, Stems
from .channels import group_channels, ungroup
from .file_separation import complement_name
from .filters.consistency import give_rest, make_consistent, total
from .separator import Consistency, Separator
from .windows import Grid, OverlapAdder, SampleQueue, Window, Windower

CONSISTENCY_WINDOW_SECONDS = 3.0
CONSISTENCY_OVERLAP = 0.25  # of the window

T = TypeVar("T")


class Fork(Generic[T]):
    """One iterator for several readers, which keeps what the fastest has read and the slowest has not.

    Ask for all readers before the first of them reads.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._queues: list[deque[T]] = []

    def reader(self) -> Iterator[T]:
        """One more iterator over all items."""
        queue: deque[T] = deque()
        self._queues.append(queue)
        return self._read(queue)

    def _read(self, queue: deque[T]) -> Iterator[T]:
        while True:
            while not queue:
                try:
                    item = next(self._items)
                except StopIteration:
                    return
                for every in self._queues:
                    every.append(item)
            yield queue.popleft()


def aligned(streams: Sequence[Iterator[Tensor]]) -> Iterator[list[Tensor]]:
    """The same stretch of every stream (... t), however each of them is cut; they end together."""
    queues = [SampleQueue() for _ in streams]
    while True:
        for queue, stream in zip(queues, streams, strict=True):
            while len(queue) == 0:
                block = next(stream, None)
                if block is None:
                    break
                queue.push(block)
        ready = min(len(queue) for queue in queues)
        if ready == 0:
            assert all(len(queue) == 0 for queue in queues)
            return
        yield [queue.take(ready) for queue in queues]


def pieces_of(
    separator: Separator,
    blocks: Iterator[Tensor],
    sample_rate: int,
    channels: int,
    length_samples: int | None,
    **options: Any,
) -> Iterator[Stems]:
    """The stretches of a separator's stems; a whole separator, which cannot stream, gives one. Wrong options raise now.

    The blocks (c t) are read when the first stretch is asked for.
    """
    stream = getattr(separator, "separate_stream", None)
    if stream is not None:
        return cast(Iterator[Stems], stream(blocks, sample_rate, channels, length_samples, **options))

    def whole() -> Iterator[Stems]:
        parts = list(blocks)
        samples = torch.cat(parts, dim=-1) if parts else torch.zeros(channels, 0)
        yield separator.separate(Audio(samples, sample_rate), **options)

    return whole()


def stem_of(piece: Stems, stem: str) -> Tensor:
    """A stem of a stretch, c t; one that is a complement (`accompaniment`) is what its stem leaves of the input."""
    if stem in piece:
        return piece[stem].samples
    assert piece.residual is not None
    others = [audio.samples for name, audio in piece.items() if complement_name(name) != stem]
    if not others:
        return piece.residual.samples
    return piece.residual.samples + total(torch.stack(others)[None])[0]


def needed_stem(stem: str, known: Sequence[str]) -> str | None:
    """The stem to ask a method for so that `stem_of` finds `stem`: itself, or what it is the complement of, or None."""
    if stem in known:
        return stem
    return next((name for name in known if complement_name(name) == stem), None)


def beside(streams: Sequence[Iterator[Tensor]], width: int) -> Iterator[Tensor]:
    """Mixture and estimates, each c t, as the blocks that a host wants for a refiner whose method is `width` wide."""
    for parts in aligned(streams):
        groups = torch.cat([group_channels(part, width) for part in parts], dim=1)  # g (1+k)w t
        yield rearrange(groups, "g m t -> (g m) t")


def refined_channels(channels: int, width: int, given: int) -> int:
    """How many channels the blocks of `beside` have."""
    return -(-channels // width) * width * (1 + given)


def first_channels(samples: Tensor, channels: int, width: int, given: int) -> Tensor:
    """The stem c t in what a hosted refiner returns for the blocks of `beside`."""
    groups = rearrange(samples, "(g m) t -> g m t", m=width * (1 + given))
    return ungroup(groups[:, :width], channels)


def weighted_sum(parts: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Parts c t times their weights; first the product, then the sum, so that bits don't depend on how t was cut."""
    result = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        result += part * weight
    return result


def consistent(
    stretches: Iterator[tuple[Tensor, Tensor]], how: Consistency, sample_rate: int, names: Sequence[str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Stretches (stems s c t, mixture c t) with the stems changed to sum to the mixture, window by window."""
    if how == "none":
        yield from stretches
        return
    window_samples = max(1, round(CONSISTENCY_WINDOW_SECONDS * sample_rate))
    grid = Grid(window_samples, max(1, round(window_samples * (1 - CONSISTENCY_OVERLAP))))
    windower, adder, mixtures, length_samples = Windower(grid), OverlapAdder(grid), SampleQueue(), 0

    def with_rest(stems: Tensor) -> tuple[Tensor, Tensor]:
        mixture = mixtures.take(stems.shape[-1])
        [given] = give_rest(stems[None], mixture[None], names)  # rounding is all that is left
        return given, mixture

    def changed(windows: Iterable[Window]) -> Iterator[Tensor]:
        for window in windows:
            known = min(window_samples, length_samples - window.start)  # beyond lies padding, which is left alone
            mixture, stems = window.samples[:1, :, :known], window.samples[1:, :, :known]
            found = make_consistent(stems[None], mixture, how)[0]
            yield adder.add(torch.nn.functional.pad(found, (0, window_samples - known)))

    for stems, mixture in stretches:
        length_samples += mixture.shape[-1]
        mixtures.push(mixture)
        for ready in changed(windower.push(torch.cat([mixture[None], stems]))):
            yield with_rest(ready)
    for ready in changed(windower.finish()):
        if left := min(ready.shape[-1], len(mixtures)):  # the last window may end beyond the track
            yield with_rest(ready[..., :left])
    rest = adder.finish(length_samples)
    if rest is not None and rest.shape[-1]:
        yield with_rest(rest)
