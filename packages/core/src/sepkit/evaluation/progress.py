"""How a run goes, on stderr: a bar with the time left on a terminal, a line for each separation elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .score import Score


class RunProgress:
    """A Watcher that shows a run; a context manager. Thread-safe.

    The time left is judged by the audio still to be separated at the pace so far, methods of unequal speed and all.
    """

    def __init__(self, console: Console | None = None):
        self._console = console or Console(stderr=True, highlight=False)
        self._shown = self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._shown,
        )
        self._task: TaskID = self._bar.add_task("evaluate", total=0, left="")
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._planned = self._done = 0.0  # seconds of audio
        self._partly: dict[tuple[str, str], float] = {}

    def planned(self, items: int, seconds: float) -> None:
        with self._lock:
            self._planned += seconds
            self._bar.update(self._task, total=(self._bar.tasks[0].total or 0) + items)

    def progress(self, method: str, track: str, seconds: float) -> None:
        with self._lock:
            self._partly[(method, track)] = seconds
            self._show(f"{method}: {track}")

    def finished(self, method: str, track: str, seconds: float, rows: Sequence[Score]) -> None:
        with self._lock:
            self._partly.pop((method, track), None)
            self._done += seconds
            self._bar.advance(self._task)
            self._show(f"{method}: {track}")
        row = rows[0]
        if row.failed:
            self._console.print(f"[red]{escape(f'{method}: {track}: {row.reason}')}[/]", soft_wrap=True)
        elif not self._shown:
            took = f"{row.cost.compute_seconds:.1f} s" if row.cost.compute_seconds is not None else "done"
            self._console.print(escape(f"{method}: {track}: {took}{self._left()}"), soft_wrap=True)

    def _show(self, what: str) -> None:
        self._bar.update(self._task, description=escape(what), left=self._left())

    def _left(self) -> str:
        done = self._done + sum(self._partly.values())
        if done <= 0 or self._planned <= done:
            return ""
        seconds = (time.monotonic() - self._started) * (self._planned - done) / done
        minutes, seconds = divmod(round(seconds), 60)
        return f", {minutes}:{seconds:02d} left"

    def __enter__(self) -> RunProgress:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)
