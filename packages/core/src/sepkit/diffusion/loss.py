"""The training loss of every schedule and objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from torch import Generator, Tensor

from ..errors import OptionError, nearest
from .level import Level, Scale, blend, scaled
from .objectives import Objective, run_network

Distance = Literal["l2", "l1"]
DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {"l2": Tensor.square, "l1": Tensor.abs}


class LevelSource(Protocol):
    """Where training levels come from: every schedule, or a distribution such as LogNormalSigma."""

    def random(self, count: int, generator: Generator, /) -> Level:
        """`count` levels (b)."""
        ...


def diffusion_loss(
    network: Callable[[Tensor, Tensor], Tensor],
    objective: Objective,
    levels: LevelSource,
    signal: Tensor,
    noise: Tensor,
    generator: Generator,
    *,
    distance: Distance = "l2",
    weight: Callable[[Level], Scale] | None = None,
) -> Tensor:
    """The mean error of the network's outputs on random levels: a scalar that has gradients.

    `signal` and `noise` (b ...) have one shape; `noise` is unit Gaussian, or the mixture in cold diffusion. One level
    for each example is drawn from `generator`, on the CPU. `weight(level)` multiplies the error; without it the error
    counts as it is in the objective's output, which for Edm is the weighting of the paper. Raises OptionError for an
    unknown `distance`.
    """
    if distance not in DISTANCES:
        raise OptionError(f"distance is {distance!r}: {nearest(str(distance), DISTANCES)}")
    level = levels.random(len(signal), generator).against(signal)
    inputs, t = objective.inputs(blend(level, signal, noise), level)
    error = DISTANCES[distance](run_network(network, inputs, t) - objective.target(signal, noise, level))
    return (error if weight is None else scaled(weight(level), error)).mean()
