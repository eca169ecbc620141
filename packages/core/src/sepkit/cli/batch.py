"""A batch of files: checked as a whole, separated in turn or in parallel, the bad ones listed at the end."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..formats import file_format
from ..registry import check_known
from .inputs import Sources
from .one_file import FileReport, failed, separate_file
from .outputs import FileTask, Layout, check_template, plan
from .pool import leave, separate_in_parallel
from .progress import BatchProgress
from .request import SeparationRequest
from .terminal import print_error, print_json, print_note, show_warning


@dataclass(frozen=True)
class Batch:
    """How a batch is run and shown: `jobs` files at once, `json` lines instead of words, `quiet` without progress."""

    request: SeparationRequest
    out: Path
    template: str
    jobs: int = 1
    json: bool = False
    quiet: bool = False

    def run(self, sources: Sources) -> bool:
        """Separate all sources, printing a line for each; whether all went well.

        Raises a SepkitError before the first file for whatever would go wrong with all of them.
        """
        self.check_method()
        _check_bits(self.request)
        check_template(self.template)
        with _unwinding_signals(), _plain_warnings():
            reports = [failed(path, reason) for path, reason in sources.refused]
            if self.json:
                for report in reports:
                    print_json(report.model_dump())
            if sources.found:
                reports += self._reports(sources)
        return self._conclude(reports)

    def check_method(self) -> None:
        """Raise what is wrong with the request before anything is loaded."""
        check_known(self.request.model)

    def _reports(self, sources: Sources) -> Iterator[FileReport]:
        separator, tasks = self._planned(sources)
        if not self.quiet:
            print_note(_opening(separator, self.request, len(tasks)))
        with BatchProgress(len(tasks), quiet=self.quiet) as progress:
            workers = min(self.jobs, len(tasks))
            for report in (self._in_parallel if workers > 1 else self._in_turn)(separator, tasks, progress):
                progress.finish(report.input)
                yield self._shown(report, progress)

    def _planned(self, sources: Sources) -> tuple[Any, list[FileTask]]:
        """The separator, which takes the request, and a task for each source."""
        request = self.request
        separator = request.separator()
        request.try_on(separator)
        stems = request.written_stems(separator.info.stems)
        extension = file_format(request.format).suffixes[0]
        layout = Layout(self.out, self.template, request.model, stems, extension, request.uncertainty is not None)
        return separator, plan(sources.found, layout)

    def _in_turn(self, separator: Any, tasks: Sequence[FileTask], progress: BatchProgress) -> Iterator[FileReport]:
        for task in tasks:

            def advance(done: float, known: float, task: FileTask = task) -> None:
                progress.advance(str(task.source), done, known)

            yield separate_file(separator, self.request, task, advance)

    def _in_parallel(self, separator: Any, tasks: Sequence[FileTask], progress: BatchProgress) -> Iterator[FileReport]:
        if hasattr(separator, "close"):
            separator.close()  # it was here to check the request; every worker loads its own
        workers = min(self.jobs, len(tasks))
        return separate_in_parallel(
            self.request, tasks, workers, lambda task, done, known: progress.advance(str(task.source), done, known)
        )

    def _shown(self, report: FileReport, progress: BatchProgress) -> FileReport:
        if self.json:
            progress.print(report.model_dump_json())
        elif report.status == "done":
            folder = os.path.dirname(next(iter(report.outputs.values())))  # of an address too
            progress.print(f"{report.input} -> {folder}: {', '.join(report.outputs)} ({report.seconds:.1f} s)")
        elif report.status == "skipped":
            progress.print(f"{report.input}: skipped, its stems are there already")
        for stem, count in report.clipped_samples.items():
            show_warning(f"{report.outputs[stem]}: {count} samples were clipped; --bits float in wav keeps them.")
        return report

    def _conclude(self, reports: Sequence[FileReport]) -> bool:
        """List the bad files last, where they are seen."""
        bad = [report for report in reports if report.status == "failed"]
        if len(reports) > 1 and not self.quiet:
            counts = {
                state: sum(report.status == state for report in reports) for state in ("done", "skipped", "failed")
            }
            print_note(", ".join(f"{count} {state}" for state, count in counts.items() if count))
        for report in bad:
            error = str(report.error)
            print_error(error if error.startswith(report.input) else f"{report.input}: {error}")
        return not bad


def _opening(separator: Any, request: SeparationRequest, files: int) -> str:
    facts = separator.provenance() if hasattr(separator, "provenance") else {}
    reason = f" ({facts['device_reason']})" if "device_reason" in facts else ""
    device = f" on {facts['device']}{reason}" if "device" in facts else ""
    weights = ", untrained weights" if request.untrained or not separator.info.trained else ""
    return f"Separating {files} file{'' if files == 1 else 's'} with {request.model}{weights}{device}."


def _check_bits(request: SeparationRequest) -> None:
    """Refuse a sample type that the format never has, before anything is loaded."""
    kind = file_format(request.format)
    if request.bits is not None and request.bits not in kind.bits:
        allowed = f"wanted {' or '.join(map(str, kind.bits))}" if kind.bits else "it is lossy, leave --bits out"
        raise OptionError(f"--bits {request.bits} does not go with {kind.name}: {allowed}.")


@contextmanager
def _unwinding_signals() -> Iterator[None]:
    """Being terminated cleans up like Ctrl-C does."""
    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not the main thread, which alone may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        yield
