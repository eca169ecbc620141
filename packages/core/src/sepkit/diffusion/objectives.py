"""Objectives: what a network was trained to output, and how that becomes the clean signal that samplers ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from ..config import Frozen
from ..errors import OptionError
from .level import Level, Scale, blend, root, scaled
from .names import ScheduleSetting
from .schedules import Schedule

SMALLEST = 1e-12  # stands in for 0 under a logarithm


@runtime_checkable
class Objective(Protocol):
    """Three formulas between states, signals and one kind of network output."""

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """What the network is called with: its scaled state, and the time it knows the level by."""
        ...

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """The clean signal, from the state and the network's output."""
        ...

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The output that a perfect network gives for the blend of `signal` and `noise`."""
        ...


class SignalEstimate(Frozen):
    """The network outputs the clean signal itself (x0-prediction)."""

    name: Literal["signal"] = "signal"

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state and t."""
        return x, level.t

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """The output."""
        return output

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The signal."""
        return signal


class NoiseEstimate(Frozen):
    """The network outputs the noise (epsilon-prediction, Ho et al. 2020): signal = (x - sigma · output) / alpha."""

    name: Literal["noise"] = "noise"

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state and t."""
        return x, level.t

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """(x - sigma · output) / alpha; raises OptionError at alpha = 0, where the noise says nothing of the signal."""
        _refuse_pure_noise(level)
        return blend(Level(1 / level.alpha, -level.sigma / level.alpha, level.t), x, output)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The noise."""
        return noise


class Velocity(Frozen):
    """The network outputs v = alpha · noise - sigma · signal (Salimans & Ho 2022), where alpha² + sigma² = 1.

    On a schedule of any other norm both formulas are divided by it, so that they stay inverse to each other.
    """

    name: Literal["velocity"] = "velocity"

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state and t."""
        return x, level.t

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """(alpha · x - sigma · output) / (alpha² + sigma²)."""
        power = level.alpha**2 + level.sigma**2
        return blend(Level(level.alpha / power, -level.sigma / power, level.t), x, output)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """alpha · noise - sigma · signal."""
        return blend(level, noise, -signal)


class Edm(Frozen):
    """The preconditioned network of Karras et al. 2022, table 1: D = c_skip · x + c_out · F(c_in · x, ln(sigma) / 4).

    `sigma_data` is the standard deviation of the signal. Stated for x / alpha and sigma / alpha, so it holds on every
    schedule. `clamp` limits the estimate to -clamp..clamp (multi-source diffusion's own sampler: 1).
    """

    name: Literal["edm"] = "edm"
    sigma_data: float = Field(gt=0.0)
    clamp: float | None = Field(default=None, gt=0.0)

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """c_in · x and c_noise."""
        return scaled(1 / self._norm(level), x), (_log(level.sigma) - _log(level.alpha)) / 4

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """c_skip · x + c_out · output."""
        estimate = scaled(self._skip(level), x) + scaled(self._out(level), output)
        return estimate if self.clamp is None else estimate.clamp(-self.clamp, self.clamp)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """(signal - c_skip · x) / c_out, whose plain squared error is the paper's weighted loss."""
        x = blend(level, signal, noise)
        return scaled(1 / self._out(level), signal - scaled(self._skip(level), x))

    def _norm(self, level: Level) -> Scale:
        return root(level.sigma**2 + (level.alpha * self.sigma_data) ** 2)

    def _skip(self, level: Level) -> Scale:
        return level.alpha * self.sigma_data**2 / self._norm(level) ** 2

    def _out(self, level: Level) -> Scale:
        return level.sigma * self.sigma_data / self._norm(level)


class Complement(Frozen):
    """Self-consistent cold diffusion: the noise is the mixture, the output is the mixture without the signal.

    From x = alpha · signal + sigma · (signal + output) follows signal = (x - sigma · output) / (alpha + sigma). The
    published chain (`NoiseEstimate` on the same output) never removes the signal that the mixture carries along.
    """

    name: Literal["complement"] = "complement"

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state and t."""
        return x, level.t

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """(x - sigma · output) / (alpha + sigma)."""
        whole = level.alpha + level.sigma
        return scaled(1 / whole, x) - scaled(level.sigma / whole, output)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The mixture (`noise`) without the signal."""
        return noise - signal


class NoiseAtSigma(Frozen):
    """A noise-predicting network trained on the numbered steps of `trained`, run on any other schedule.

    The state is scaled to the norm that the network knows, and the network is told the step, whole or not, at which
    sigma / alpha is the same: with alpha = 1, input z / sqrt(sigma² + 1) at t(sigma), D = z - sigma · output.
    """

    name: Literal["noise_at_sigma"] = "noise_at_sigma"
    trained: ScheduleSetting

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state in the trained norm, and the trained schedule's t."""
        _refuse_pure_noise(level)
        known = _like_ratio(self.trained, level)
        return scaled(known.alpha / level.alpha, x), known.t

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """(x - sigma · output) / alpha; raises OptionError at alpha = 0."""
        return NoiseEstimate().signal(x, output, level)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The noise."""
        return noise


@dataclass(frozen=True)
class NetworkDenoiser:
    """A network and its objective as a denoiser.

    `network(x, t)` gets t (b), float32 or, if its weights are, float64. It is called in the dtype and on the device of
    its weights and the result comes back in those of the state, so that a float64 chain can run a float32 network.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    objective: Objective

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """The clean signal in `x` at `level`, of the shape and dtype of `x`."""
        level = level.against(x)
        inputs, t = self.objective.inputs(x, level)
        return self.objective.signal(x, run_network(self.network, inputs, t).to(x), level)


def denoiser(network: Callable[[Tensor, Tensor], Tensor], objective: Objective) -> NetworkDenoiser:
    """The clean-signal estimate of `network(x, t)`, which was trained with `objective`; bind conditioning in before."""
    return NetworkDenoiser(network, objective)


def run_network(network: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, t: Scale) -> Tensor:
    """The network's output, called in its own dtype and on its own device with one t for each example (b)."""
    weight = next(network.parameters(), inputs) if isinstance(network, nn.Module) else inputs
    # time steps lose their last digits in half precision: 999 becomes 1000 in bfloat16
    exact = torch.promote_types(weight.dtype, torch.float32)
    times = torch.as_tensor(t, dtype=exact, device=weight.device).reshape(-1).expand(len(inputs))
    return network(inputs.to(weight), times)


def _refuse_pure_noise(level: Level) -> None:
    if (level.alpha == 0).any() if isinstance(level.alpha, Tensor) else level.alpha == 0:
        raise OptionError(
            "A network that predicts noise cannot start where alpha is 0: pure noise tells nothing of the signal. "
            "Start lower, for instance with HalfCircle(noisiest=0.99)."
        )


def _log(scale: Scale) -> Scale:
    """Natural logarithm, finite at 0."""
    return scale.clamp(min=SMALLEST).log() if isinstance(scale, Tensor) else math.log(max(scale, SMALLEST))


def _like_ratio(trained: Schedule, level: Level) -> Level:
    """The trained schedule's level with the same sigma / alpha, for one level or one for each example."""
    ratio = level.ratio
    if not isinstance(ratio, Tensor):
        return trained.at_ratio(ratio)
    levels = [trained.at_ratio(value) for value in ratio.flatten().tolist()]
    columns = zip(*((one.alpha, one.sigma, one.t) for one in levels), strict=True)
    return Level(*(torch.tensor(column, dtype=torch.float64, device=ratio.device).view_as(ratio) for column in columns))
