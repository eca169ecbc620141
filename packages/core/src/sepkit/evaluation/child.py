"""The harness's end of a method's process: starts it, hands it tracks, and stops it politely when time is up."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .worker import Answer, Job, Task

POLITE_SECONDS = 5.0  # between asking a process to end and ending it
GRACE_SECONDS = 1.0  # over the budget, before a separation is stopped: starting and reporting are not its own time


class Child:
    """One method in its own process, so that a crash stays there and its peak memory is its own.

    A context manager: leaving it ends the process, whatever it is doing. What the method prints goes to `log`.
    """

    def __init__(self, job: Job, log: Path):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sepkit.evaluation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the harness alone, which then ends its children
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(job.model_dump_json())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def built(self) -> Answer:
        """Wait until the method is built; an answer `failed` says why it cannot be."""
        return self._next(None) or self._death()

    def separate(self, task: Task, budget_seconds: float | None, report: Callable[[float], None]) -> Answer:
        """Separate one track: the answer is `done` or `failed`, and OVER_BUDGET itself when the time was up.

        `report` gets the fraction done. A separation that is still running past the budget is stopped with its process.
        """
        self._send(task.model_dump_json())
        deadline: float | None = None
        while True:
            answer = self._next(deadline)
            if answer is None:
                if self.alive and deadline is not None and time.monotonic() >= deadline:
                    self.close()
                    return OVER_BUDGET
                return self._death()
            if answer.event == "separating" and budget_seconds is not None:
                deadline = time.monotonic() + budget_seconds + GRACE_SECONDS
            elif answer.event == "progress" and answer.fraction is not None:
                report(answer.fraction)
            elif answer.event in ("done", "failed"):
                seconds = answer.compute_seconds or 0.0
                return OVER_BUDGET if budget_seconds is not None and seconds > budget_seconds else answer

    def close(self) -> None:
        """End the process: by closing its input, then by asking, then by force."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(POLITE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: the end of its answers says so, with the reason
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _next(self, deadline: float | None) -> Answer | None:
        """The next answer; None at the deadline (a time of the monotonic clock) or when the process has ended."""
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            return None
        return None if line is None else Answer.model_validate_json(line)

    def _death(self) -> Answer:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return Answer(event="failed", reason=f"its process was ended by {name}{hint}; see {self.log}")
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        return Answer(event="failed", reason=f"its process ended with exit code {code}{last}; see {self.log}")


OVER_BUDGET = Answer(event="failed", reason="over budget")
"""What `Child.separate` answers when the time is up; compare with `is`."""
