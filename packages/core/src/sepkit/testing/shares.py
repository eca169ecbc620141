"""The law of training on several processes: the mean of a loss over shares of a batch is that of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..training.draws import Share, sharing


def losses_of_whole_and_shares(
    loss: Callable[[nn.Module, Mapping[str, Tensor]], Tensor],
    network: nn.Module,
    batch: Mapping[str, Tensor],
    processes: int,
    seed: int,
) -> tuple[float, float]:
    """The loss of a batch as one process has it, and the mean of those of `processes` processes.

    They are equal up to rounding if the loss is a mean over items and draws by `batch_draws`. The network must not mix
    items: batch norms want evaluation mode.
    """
    count = len(next(iter(batch.values()))) // processes
    with torch.no_grad():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            whole = float(loss(network, batch))
        parts = []
        for process in range(processes):
            own = {name: tensor[process * count : (process + 1) * count] for name, tensor in batch.items()}
            with sharing(Share(process, processes, seed)), torch.random.fork_rng():
                parts.append(float(loss(network, own)))
    return whole, sum(parts) / processes
