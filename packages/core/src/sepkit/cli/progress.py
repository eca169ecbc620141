"""Progress bars with the time left, on stderr, and silence where nobody watches."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .terminal import stderr


class BatchProgress:
    """A bar for each file at work and one for the batch; lines printed through it stay above the bars."""

    def __init__(self, files: int, *, quiet: bool = False):
        self._console: Console = stderr()
        self._shown = self._console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,  # stdout may be a pipe that someone reads JSON from
            disable=not self._shown,
        )
        self._files = self._progress.add_task(f"{files} files", total=files, visible=files > 1)
        self._bars: dict[str, TaskID] = {}

    def advance(self, source: str, done_seconds: float, known_seconds: float) -> None:
        """Show how far a file is; the total may be NaN while its length is unknown."""
        if source not in self._bars:
            self._bars[source] = self._progress.add_task(escape(Path(source).name), total=None)
        total = None if math.isnan(known_seconds) else known_seconds
        self._progress.update(self._bars[source], completed=done_seconds, total=total)

    def finish(self, source: str) -> None:
        """Take the file's bar away and count it."""
        if source in self._bars:
            self._progress.remove_task(self._bars.pop(source))
        self._progress.advance(self._files)

    def print(self, line: str) -> None:
        """Print a result line on stdout, without tearing the bars where both are the same terminal."""
        if self._shown and sys.stdout.isatty():
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def __enter__(self) -> BatchProgress:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
