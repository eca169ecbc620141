"""`fit`: one training loop that a reader can hold in mind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ..config import Frozen
from ..errors import CheckpointError, OptionError, SepkitError
from .draws import Share, sharing
from .ema import Ema
from .meter import Meter
from .meter import clock as clock
from .processes import average_gradients, average_statistics, from_main, new_accelerator
from .state import exists, load_state, save_state

Loss = Callable[[nn.Module, Any], Tensor]
"""Called with (network, batch); returns the scalar to minimise, a mean over the batch's items.

What it draws by chance it draws by `sepkit.training.draws`, so that an item meets the same numbers on any process.
"""

Validate = Callable[[nn.Module], Mapping[str, float]]
"""Called with the averaged network in evaluation mode; returns named scores."""


class Items(Protocol):
    """Training data without an end: item i is a function of i alone, so that a run can resume anywhere."""

    def __getitem__(self, index: int, /) -> Any: ...


class FitConfig(Frozen):
    """How to train; what to train is the loss and the data."""

    steps: int = Field(gt=0)  # optimiser steps
    batch_size: int = Field(default=8, gt=0)  # items of an accumulation round, of all processes together
    accumulate: int = Field(default=1, gt=0)  # rounds per optimiser step
    learning_rate: float = Field(default=1e-3, gt=0)  # the peak, for one_cycle
    schedule: Literal["constant", "one_cycle"] = "constant"
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)  # of all steps, one_cycle only
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)  # of the whole gradient
    precision: Literal["fp32", "bf16"] = "fp32"
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    seed: int = 0
    workers: int = Field(default=0, ge=0)  # that make items, for each process; results do not depend on it
    sync_batch_norm: bool = False  # statistics over the whole batch on several processes, with GPUs only
    save_every: int = Field(default=500, gt=0)  # steps
    validate_every: int = Field(default=500, gt=0)  # steps
    metric: str | None = None  # the validation score that picks the best checkpoint, higher is better
    nonfinite_limit: int = Field(default=20, ge=0)  # skipped steps in a row before giving up

    def rate(self, step: int) -> float:
        """Learning rate at optimiser step `step`, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        rise = max(1, round(self.steps * self.warmup_fraction))
        if step < rise:
            return self.learning_rate * (0.04 + 0.96 * (step + 1) / rise)
        fall = (step - rise + 1) / max(1, self.steps - rise)
        return self.learning_rate * max(0.5 * (1 + math.cos(math.pi * min(fall, 1.0))), 1e-4)


class FitResult(Frozen):
    """What a run reached: its last step, and the best validation score with its step."""

    step: int
    best_score: float | None
    best_step: int | None


def fit(
    network: nn.Module,
    loss: Loss,
    items: Items,
    config: FitConfig,
    folder: str | Path,
    *,
    validate: Validate | None = None,
    on_best: Callable[[nn.Module, dict[str, float], int], None] | None = None,
    stop_after: int | None = None,
) -> FitResult:
    """Train `network` in place; an existing state in `folder` is resumed, bit for bit on the CPU.

    Writes `folder/state` (networks, optimiser, position), `folder/log.jsonl`, TensorBoard events under `folder/events`.
    `on_best(averaged network, scores, step)` is called whenever `config.metric` improves. `stop_after` ends early after
    that step, as an interruption would, with the state saved. Randomness: data from (seed, item), draws of the loss and
    dropout from (seed, step); the global random state is left as it was.

    On several processes (`accelerate launch`, `torchrun`) each one has an equal share of every batch, and training is
    that of one process but for dropout and the statistics of batch norms. The main one alone averages weights, writes,
    validates and calls `on_best`.

    Raises SepkitError when the loss stays non-finite for `nonfinite_limit` steps in a row, or the metric is unknown;
    OptionError for a batch that processes cannot share evenly; CheckpointError for a state that does not fit.
    """
    accelerator = new_accelerator(config.precision)
    _check_processes(config, accelerator)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network.to(accelerator.device)
    ema = Ema(network, config.ema_decay) if accelerator.is_main_process else None
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    with accelerator.main_process_first():
        start, best = _resumed(folder, config, network, ema, optimiser)
    model = _prepared(accelerator, network, config, start)
    optimiser = accelerator.prepare_optimizer(optimiser)
    batches = _batches(items, config, accelerator, start)
    meter = Meter(folder, start, config.steps, shown=accelerator.is_main_process)
    end = min(config.steps, stop_after or config.steps)

    def save(step: int) -> None:
        if ema:
            networks = {"network": network, "ema": ema.network}
            facts = {"step": step, "best": best.model_dump(), "config": config.model_dump()}
            save_state(folder / "state", networks=networks, optimiser=optimiser.optimizer, facts=facts)
        accelerator.wait_for_everyone()

    step, skipped = start, 0
    try:
        with torch.random.fork_rng():
            for step in range(start, end):
                model.train()
                share = _seeded_share(accelerator, config, step)
                with sharing(share):
                    value, norm = _optimise(accelerator, model, optimiser, loss, batches, config, step)
                skipped = 0 if math.isfinite(value) and math.isfinite(norm) else skipped + 1
                if skipped > config.nonfinite_limit:
                    raise SepkitError(
                        f"The loss was not finite for {skipped} steps in a row (last at step {step}). "
                        "Lower the learning rate, set clip_norm, or train in fp32; the last good state is kept."
                    )
                if not skipped and ema:
                    ema.update(accelerator.unwrap_model(model), step)
                meter.step(step + 1, value, norm, config.rate(step))
                done = step + 1
                if validate and (done % config.validate_every == 0 or done == config.steps):
                    if ema:
                        best = _validated(validate, on_best, ema.network, config, best, done, meter)
                    best = _best_of_main(accelerator, best)
                if done % config.save_every == 0 or done == end:
                    save(done)
    except KeyboardInterrupt:
        # The step under way is lost: its gradients may be half applied. The last saved state stands.
        meter.say(f"stopped in step {step + 1}; run the same command again to go on from the last saved state")
        raise
    finally:
        meter.close()
    return best.model_copy(update={"step": max(start, end)})


def _check_position(saved: Mapping[str, Any], config: FitConfig, folder: Path) -> None:
    """Refuse settings that would move the position in the data; others (steps, learning rate) may change on purpose."""
    for name in ("seed", "batch_size", "accumulate"):
        if saved.get(name) != getattr(config, name):
            raise CheckpointError(
                f"The run in {folder} was begun with {name}={saved.get(name)}, and now {getattr(config, name)} was "
                "given: its next items would not follow the last ones. Keep that setting, or start in another folder."
            )


def _check_processes(config: FitConfig, accelerator: Any) -> None:
    count = accelerator.num_processes
    if config.batch_size % count:
        raise OptionError(
            f"fit.batch_size is {config.batch_size}, which {count} processes cannot share evenly: give a multiple of "
            f"{count}, or start another number of processes."
        )
    if config.sync_batch_norm and count > 1 and accelerator.device.type == "cpu":
        raise OptionError("fit.sync_batch_norm needs GPUs: PyTorch has no such norm for CPUs. Leave it out.")


def _resumed(
    folder: Path, config: FitConfig, network: nn.Module, ema: Ema | None, optimiser: torch.optim.Optimizer
) -> tuple[int, FitResult]:
    """The next step and the best so far, with the saved state put in place if there is one."""
    if not exists(folder / "state"):
        return 0, FitResult(step=0, best_score=None, best_step=None)
    networks = {"network": network} | ({"ema": ema.network} if ema else {})
    facts = load_state(folder / "state", networks=networks, optimiser=optimiser)
    _check_position(facts["config"], config, folder)
    return facts["step"], FitResult.model_validate(facts["best"])


def _prepared(accelerator: Any, network: nn.Module, config: FitConfig, start: int) -> nn.Module:
    """The network as it is trained: alike on all processes, and on its own on each."""
    many = accelerator.num_processes > 1
    if many:
        starts = accelerator.gather(torch.tensor([start], device=accelerator.device)).tolist()
        if len(set(starts)) > 1:
            raise CheckpointError(
                f"The processes found states of different steps ({', '.join(map(str, starts))}): put the run's folder "
                "where every machine reads and writes the same files."
            )
        from_main([*network.parameters(), *network.buffers()])
        if config.sync_batch_norm:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    # "evaluation mode" keeps the network from being wrapped: gradients are averaged here, see `average_gradients`
    prepared: nn.Module = accelerator.prepare_model(network, evaluation_mode=many)
    return prepared


def _seeded_share(accelerator: Any, config: FitConfig, step: int) -> Share:
    """Seed the global random state by the step alone; on several processes it is each one's own, for its dropout."""
    seed = config.seed * 1_000_003 + step
    if accelerator.num_processes == 1:
        torch.manual_seed(seed)
        return Share()
    words = np.random.SeedSequence([seed, accelerator.process_index]).generate_state(1, np.uint64)
    torch.manual_seed(int(words[0]))
    return Share(accelerator.process_index, accelerator.num_processes, seed)


class _Places:
    """Indices of this process's items from optimiser step `start` on: one stretch of every batch."""

    def __init__(self, config: FitConfig, accelerator: Any, start: int):
        self.rounds = range(start * config.accumulate, config.steps * config.accumulate)
        self.batch = config.batch_size
        self.share = config.batch_size // accelerator.num_processes
        self.first = accelerator.process_index * self.share

    def __iter__(self) -> Iterator[int]:
        firsts = (number * self.batch + self.first for number in self.rounds)
        return chain.from_iterable(range(first, first + self.share) for first in firsts)


def _batches(items: Items, config: FitConfig, accelerator: Any, start: int) -> Iterator[Any]:
    """This process's shares of the batches from optimiser step `start` on."""
    places = _Places(config, accelerator, start)
    loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
        items,  # type: ignore[arg-type]
        batch_size=places.share,
        sampler=places,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        generator=torch.Generator().manual_seed(config.seed),  # else the loader draws a seed from the global state
    )
    from accelerate.utils import send_to_device

    for batch in loader:
        yield send_to_device(batch, accelerator.device)


def _optimise(
    accelerator: Any, model: nn.Module, optimiser: Any, loss: Loss, batches: Iterator[Any], config: FitConfig, step: int
) -> tuple[float, float]:
    """One optimiser step over `accumulate` batches; returns loss and gradient norm. Non-finite ones change nothing."""
    before = [buffer.clone() for buffer in model.buffers()]  # norms take note of a batch before its loss is known
    for group in optimiser.param_groups:
        group["lr"] = config.rate(step)
    total, many = 0.0, accelerator.num_processes > 1
    for _ in range(config.accumulate):
        batch = next(batches)
        with accelerator.autocast():
            value = loss(model, batch) / config.accumulate
        accelerator.backward(value)
        total += value.item()
    if many:
        total = average_gradients(accelerator, model, total)  # what is not finite on one is not finite on any
    norm = float(accelerator.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf))
    if math.isfinite(total) and math.isfinite(norm):
        optimiser.step()
        if many:
            average_statistics(accelerator, model)
    else:
        for buffer, kept in zip(model.buffers(), before, strict=True):
            buffer.copy_(kept)
    optimiser.zero_grad()
    return total, norm


def _validated(
    validate: Validate,
    on_best: Any,
    network: nn.Module,
    config: FitConfig,
    best: FitResult,
    step: int,
    meter: Meter,
) -> FitResult:
    with torch.no_grad():
        scores = dict(validate(network))
    meter.scores(step, scores)
    if config.metric is None:
        return best
    if config.metric not in scores:
        raise SepkitError(f"Validation has no score {config.metric!r}; it returned: {', '.join(sorted(scores))}.")
    score = scores[config.metric]
    if best.best_score is not None and score <= best.best_score:
        return best
    if on_best:
        on_best(network, scores, step)
    return FitResult(step=step, best_score=score, best_step=step)


def _best_of_main(accelerator: Any, best: FitResult) -> FitResult:
    """What the main process chose, for those that waited for it."""
    if accelerator.num_processes == 1:
        return best
    known = best.best_score is not None
    row = [best.best_score, best.best_step] if known else [math.nan, -1]
    told = torch.tensor(row, dtype=torch.float64, device=accelerator.device)
    from_main([told])
    score, step = told.tolist()
    return best.model_copy(update={"best_score": score, "best_step": int(step)} if step >= 0 else {})
