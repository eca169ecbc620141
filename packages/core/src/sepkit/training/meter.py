"""What a training tells: its log, TensorBoard events, and a line of progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO


class Meter:
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
