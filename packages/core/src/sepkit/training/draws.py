"""Random numbers of a training loss: drawn for the whole batch, of which each process keeps those of its own items.

A loss that draws by `batch_draws` gets the same numbers for an item whatever process holds it, so that several
processes train as one does. On one process it draws from torch's global random state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ..diffusion.level import Level
from ..diffusion.loss import LevelSource


@dataclass(frozen=True)
class Share:
    """The place of a process among those that share every batch; `seed` is the step's, alike for all."""

    process: int = 0
    processes: int = 1
    seed: int = 0
    generators: dict[str, Generator] = field(default_factory=dict)  # by device; they go on from loss to loss of a step

    def generator(self, device: torch.device | str = "cpu") -> Generator | None:
        """Where numbers come from; None is the global random state, which one process has for itself."""
        if self.processes == 1:
            return None
        kind = torch.device(device).type
        if kind not in self.generators:
            self.generators[kind] = Generator(device).manual_seed(self.seed)
        return self.generators[kind]


_SHARE: ContextVar[Share] = ContextVar("share", default=Share())  # noqa: B039 - alone it keeps no generator


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Losses within the block are those of one share of the batch."""
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)


def batch_draws(count: int) -> Draws:
    """The draws of a batch of which this process holds `count` items."""
    share = _SHARE.get()
    return Draws(share, count * share.processes, slice(count * share.process, count * (share.process + 1)))


def mean_over_batch(value: Tensor) -> Tensor:
    """The mean over the whole batch of what is a mean over this process's items, without gradients."""
    value = value.detach()
    if _SHARE.get().processes == 1:
        return value
    from accelerate.utils import reduce

    found: Tensor = reduce(value.clone(), "mean")
    return found


@dataclass(frozen=True)
class Draws:
    """Numbers for the `own` ones among `total` items; `generator` takes the place of the batch's random state."""

    share: Share
    total: int
    own: slice

    @property
    def count(self) -> int:
        """The number of own items."""
        return self.own.stop - self.own.start

    def generator(self) -> Generator:
        """A generator of its own for this batch, with a seed from the batch's random state."""
        return Generator().manual_seed(int(torch.randint(2**62, (), generator=self.share.generator())))

    def normal(self, shape: Sequence[int], generator: Generator | None = None) -> Tensor:
        """Unit Gaussian numbers for own items of this shape (b ...), on the CPU."""
        return torch.randn((self.total, *shape[1:]), generator=generator or self.share.generator())[self.own]

    def uniform(
        self, shape: Sequence[int], device: torch.device | str = "cpu", generator: Generator | None = None
    ) -> Tensor:
        """Numbers in 0..1 for own items of this shape (b ...)."""
        return self.uniform_of_all(shape, device, generator)[self.own]

    def uniform_of_all(
        self, shape: Sequence[int], device: torch.device | str = "cpu", generator: Generator | None = None
    ) -> Tensor:
        """`uniform` for the items of all processes."""
        generator = generator or self.share.generator(device)
        return torch.rand((self.total, *shape[1:]), device=device, generator=generator)

    def integers(self, low: int, high: int, device: torch.device | str = "cpu") -> Tensor:
        """Whole numbers in low..high - 1, one for each own item."""
        return torch.randint(low, high, (self.total,), device=device, generator=self.share.generator(device))[self.own]

    def levels(self, source: LevelSource, generator: Generator | None = None) -> Level:
        """Levels (b) of own items."""
        generator = generator or self.share.generator() or torch.default_generator
        level = source.random(self.total, generator)
        alpha, sigma, t = (
            scale[self.own] if isinstance(scale, Tensor) and scale.ndim else scale
            for scale in (level.alpha, level.sigma, level.t)
        )
        return Level(alpha, sigma, t)

    def random(self, source: LevelSource) -> _OwnLevels:
        """`source` as it is for own items, to be given to `diffusion_loss`."""
        return _OwnLevels(self, source)

    def integer(self, low: int, high: int) -> int:
        """One whole number in low..high - 1 for the whole batch."""
        return int(torch.randint(low, high, (), generator=self.share.generator()))

    def chance(self) -> float:
        """One number in 0..1 for the whole batch."""
        return float(torch.rand((), generator=self.share.generator()))

    def among(self, chosen: Tensor) -> Draws:
        """The draws of those items, of all processes', that are `chosen` (total)."""
        before = int(chosen[: self.own.start].sum())
        return Draws(self.share, int(chosen.sum()), slice(before, before + int(chosen[self.own].sum())))


@dataclass(frozen=True)
class _OwnLevels:
    draws: Draws
    source: LevelSource

    def random(self, count: int, generator: Generator, /) -> Level:
        return self.draws.levels(self.source, generator)
