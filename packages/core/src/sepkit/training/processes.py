"""Training on several processes, as `accelerate launch` and `torchrun` start them: who goes first, and what is shared.

Every process has the whole network. They exchange gradients once per step, after the last backward pass, so a loss may
call the network as often as it likes, or only parts of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MissingExtraError

WAIT = timedelta(hours=24)  # the others wait while the first one decodes, encodes or validates
COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # launchers say it in one of these


def new_accelerator(precision: str) -> Any:
    """What moves networks and batches to this process's device; raises MissingExtraError without accelerate."""
    _state()
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingExtraError("accelerate", "train", "Training") from error
    mixed = "bf16" if precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available())
    if (
        accelerator.num_processes == 1
        and os.environ.get("ACCELERATE_USE_CPU") == "True"
        and "MASTER_ADDR" in os.environ
    ):
        print(
            "note: `accelerate launch --cpu` starts one process whatever --num_processes says; for several, also on "
            "CPUs: `accelerate launch --multi_gpu --num_processes N`, or `torchrun --nproc-per-node N`",
            file=sys.stderr,
        )
    return accelerator


def is_main() -> bool:
    """Whether this process is the one that writes, or the only one."""
    state = _state()
    return state is None or bool(state.is_main_process)


def process_name() -> str:
    """` (process 3)` for messages of any process but the main one."""
    return "" if is_main() else f" (process {_state().process_index})"


@contextmanager
def main_first() -> Iterator[None]:
    """The first process of each machine goes through the block, then the others, who find what it has cached."""
    state = _state()
    if state is None:
        yield
        return
    if not state.is_local_main_process:
        state.wait_for_everyone()
    yield
    if state.is_local_main_process:
        state.wait_for_everyone()


def speaks() -> bool:
    """Whether this process tells the progress of its machine."""
    state = _state()
    return state is None or bool(state.is_local_main_process)


def _state() -> Any:
    """The state of processes that were launched together; None for a process on its own."""
    if max(int(os.environ.get(name) or 1) for name in COUNTS) < 2:
        return None
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise MissingExtraError("accelerate", "train", "Training on several processes") from error
    if not PartialState._shared_state:
        import atexit

        PartialState(cpu=not torch.cuda.is_available(), timeout=WAIT)
        atexit.register(PartialState().destroy_process_group)
    return PartialState()


@torch.no_grad()
def from_main(tensors: Sequence[Tensor]) -> None:
    """Overwrite tensors by those of the main process."""
    from accelerate.utils import broadcast

    for tensor in tensors:
        tensor.copy_(broadcast(tensor.detach().clone(memory_format=torch.contiguous_format)))


def average_gradients(accelerator: Any, network: nn.Module, loss: float) -> float:
    """Replace gradients by their mean over processes, and return that of the losses.

    Where some process did not use a parameter its gradient counts as zero there; where none did, there is none. All
    shares of a batch have one size, so this is the mean over the batch.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    grads = [parameter.grad for parameter in parameters]
    used = torch.tensor([loss, *(grad is not None for grad in grads)], dtype=torch.float32, device=accelerator.device)
    parts = [
        (torch.zeros_like(parameter) if grad is None else grad).float().flatten()
        for parameter, grad in zip(parameters, grads, strict=True)
    ]
    means = accelerator.reduce(torch.cat([used, *parts]), "mean")
    head, *found = means.split([len(used), *(parameter.numel() for parameter in parameters)])
    total, *counts = head.tolist()
    for parameter, mean, count in zip(parameters, found, counts, strict=True):
        if count > 0:
            parameter.grad = torch.empty_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad.copy_(mean.view(parameter.shape))
    return float(total)


def average_statistics(accelerator: Any, network: nn.Module) -> None:
    """Replace the running statistics of batch norms by their mean over processes, each of which saw its own share."""
    found = [
        statistic
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for statistic in (module.running_mean, module.running_var)
        if statistic is not None
    ]
    if not found:
        return
    means = accelerator.reduce(torch.cat([statistic.float() for statistic in found]), "mean")
    for statistic, mean in zip(found, means.split([len(statistic) for statistic in found]), strict=True):
        statistic.copy_(mean)
