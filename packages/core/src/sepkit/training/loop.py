"""`fit`: one training loop that a reader can hold in mind."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import torch
from pydantic import Field
from torch import Tensor, nn

from ..config import Frozen
from ..errors import CheckpointError, MissingExtraError, SepkitError
from .ema import Ema
from .state import exists, load_state, save_state

Loss = Callable[[nn.Module, Any], Tensor]
"""Called with (network, batch); returns the scalar to minimise."""

Validate = Callable[[nn.Module], Mapping[str, float]]
"""Called with the averaged network in evaluation mode; returns named scores."""


class Items(Protocol):
    """Training data without an end: item i is a function of i alone, so that a run can resume anywhere."""

    def __getitem__(self, index: int, /) -> Any: ...


class FitConfig(Frozen):
    """How to train; what to train is the loss and the data."""

    steps: int = Field(gt=0)  # optimiser steps
    batch_size: int = Field(default=8, gt=0)  # items per process and accumulation round
    accumulate: int = Field(default=1, gt=0)  # rounds per optimiser step
    learning_rate: float = Field(default=1e-3, gt=0)  # the peak, for one_cycle
    schedule: Literal["constant", "one_cycle"] = "constant"
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)  # of all steps, one_cycle only
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)  # of the whole gradient
    precision: Literal["fp32", "bf16"] = "fp32"
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    seed: int = 0
    workers: int = Field(default=0, ge=0)  # processes that make items; results do not depend on it
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
    that step, as an interruption would, with the state saved. Randomness: data from (seed, item), dropout from (seed,
    step); the global random state is left as it was. Runs under `accelerate launch` on many processes.

    Raises SepkitError when the loss stays non-finite for `nonfinite_limit` steps in a row, or the metric is unknown.
    """
    accelerator = _accelerator(config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ema = Ema(network.to(accelerator.device), config.ema_decay)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    start, best = 0, FitResult(step=0, best_score=None, best_step=None)
    if exists(folder / "state"):
        facts = load_state(folder / "state", networks={"network": network, "ema": ema.network}, optimiser=optimiser)
        _check_position(facts["config"], config, folder)
        start = facts["step"]
        best = FitResult.model_validate(facts["best"])
    model, optimiser = accelerator.prepare(network, optimiser)
    batches = _batches(items, config, accelerator, start)
    meter = _Meter(folder, start, config.steps, shown=accelerator.is_local_main_process)
    end = min(config.steps, stop_after or config.steps)

    def save(step: int) -> None:
        if accelerator.is_main_process:
            networks = {"network": network, "ema": ema.network}
            facts = {"step": step, "best": best.model_dump(), "config": config.model_dump()}
            save_state(folder / "state", networks=networks, optimiser=optimiser.optimizer, facts=facts)

    step, skipped = start, 0
    try:
        with torch.random.fork_rng():
            for step in range(start, end):
                model.train()
                torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, as a function of the step alone
                value, norm = _optimise(accelerator, model, optimiser, loss, batches, config, step)
                skipped = 0 if math.isfinite(value) and math.isfinite(norm) else skipped + 1
                if skipped > config.nonfinite_limit:
                    raise SepkitError(
                        f"The loss was not finite for {skipped} steps in a row (last at step {step}). "
                        "Lower the learning rate, set clip_norm, or train in fp32; the last good state is kept."
                    )
                if not skipped:
                    ema.update(accelerator.unwrap_model(model), step)
                meter.step(step + 1, value, norm, config.rate(step))
                done = step + 1
                if validate and (done % config.validate_every == 0 or done == config.steps):
                    best = _validated(validate, on_best, ema.network, config, best, done, meter, accelerator)
                if done % config.save_every == 0 or done == end:
                    save(done)
    except KeyboardInterrupt:
        # The step under way is lost: its gradients may be half applied. The last saved state stands.
        meter.say(f"stopped in step {step + 1}; run the same command again to go on from the last saved state")
        raise
    finally:
        meter.close()
        accelerator.end_training()
    return best.model_copy(update={"step": max(start, end)})


def _check_position(saved: Mapping[str, Any], config: FitConfig, folder: Path) -> None:
    """Refuse settings that would move the position in the data; others (steps, learning rate) may change on purpose."""
    for name in ("seed", "batch_size", "accumulate"):
        if saved.get(name) != getattr(config, name):
            raise CheckpointError(
                f"The run in {folder} was begun with {name}={saved.get(name)}, and now {getattr(config, name)} was "
                "given: its next items would not follow the last ones. Keep that setting, or start in another folder."
            )


def _accelerator(config: FitConfig) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingExtraError("accelerate", "train", "Training") from error
    mixed = "bf16" if config.precision == "bf16" else "no"
    return Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available())


def _batches(items: Items, config: FitConfig, accelerator: Any, start: int) -> Iterator[Any]:
    """Batches from optimiser step `start` on; process p of P takes items p, p + P, ... of every global batch."""
    per_step = config.batch_size * config.accumulate * accelerator.num_processes
    first = start * per_step + accelerator.process_index
    indices = range(first, config.steps * per_step, accelerator.num_processes)
    loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
        items,  # type: ignore[arg-type]
        batch_size=config.batch_size,
        sampler=indices,
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
    total = 0.0
    for part in range(config.accumulate):
        batch = next(batches)
        last = part == config.accumulate - 1  # processes exchange gradients once per step
        with nullcontext() if last else accelerator.no_sync(model):
            with accelerator.autocast():
                value = loss(model, batch) / config.accumulate
            accelerator.backward(value)
        total += value.item()
    norm = float(accelerator.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf))
    if math.isfinite(total) and math.isfinite(norm):
        optimiser.step()
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
    meter: _Meter,
    accelerator: Any,
) -> FitResult:
    if not accelerator.is_main_process:
        return best
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


class _Meter:
    """The run's log: a line per step to log.jsonl and TensorBoard, a progress line with the time left."""

    def __init__(self, folder: Path, start: int, steps: int, shown: bool):
        self.start, self.steps, self.shown = start, steps, shown
        self.began = self.spoke = time.monotonic()
        self.smooth: float | None = None
        self.log = _log_up_to(folder / "log.jsonl", start) if shown else None
        self.events: Any = None
        if shown:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self.events = SummaryWriter(str(folder / "events"), purge_step=start)
            except ImportError:
                self.say("TensorBoard is not installed: only log.jsonl is written (pip install 'sepkit[train]')")

    def step(self, step: int, loss: float, norm: float, rate: float) -> None:
        if not self.shown:
            return
        if math.isfinite(loss):
            self.smooth = loss if self.smooth is None else 0.98 * self.smooth + 0.02 * loss
        self._write({"step": step, "loss": loss, "grad_norm": norm, "learning_rate": rate})
        now = time.monotonic()
        if now - self.spoke > 10 or step == self.steps:
            self.spoke = now
            left = (now - self.began) / max(1, step - self.start) * (self.steps - step)
            smooth = math.nan if self.smooth is None else self.smooth
            self.say(f"step {step}/{self.steps}  loss {smooth:.4f}  {clock(left)} left")

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        self._write({"step": step, "scores": dict(scores)})
        self.say(f"step {step}/{self.steps}  " + "  ".join(f"{name} {value:.2f}" for name, value in scores.items()))

    def say(self, text: str) -> None:
        if self.shown:
            print(text, flush=True)

    def close(self) -> None:
        if self.log:
            self.log.close()
        if self.events:
            self.events.close()

    def _write(self, row: dict[str, Any]) -> None:
        if self.log:
            self.log.write(json.dumps(row) + "\n")
            self.log.flush()
        if self.events:
            for name, value in {**row, **row.get("scores", {})}.items():
                if isinstance(value, float):
                    self.events.add_scalar(name, value, row["step"])


def _log_up_to(path: Path, step: int) -> TextIO:
    """The log without the steps that an interruption lost, which will be taken again, open to go on."""
    if path.exists():
        *lines, _torn = path.read_text().split("\n")
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept))
    return path.open("a")


def clock(seconds: float) -> str:
    """A time as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
