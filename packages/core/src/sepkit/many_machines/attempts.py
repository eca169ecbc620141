"""One file of a batch in a worker: read from wherever it is, separated, and its outputs put where they belong."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..cli.one_file import FileReport, failed, separate_file
from ..cli.outputs import FileTask
from ..cli.request import SeparationRequest
from ..errors import SepkitError
from ..partial_files import remove_leftovers
from .addresses import address_of, shown
from .manifest import Made
from .transfers import fetch, publish


@dataclass(frozen=True)
class Attempt:
    """A task with absolute paths, the folder of all results, and a name that no other task of any run has."""

    task: FileTask
    out: Path
    token: str


@dataclass(frozen=True)
class Outcome:
    """A report, with the paths of the attempt, and what was written; warnings are for the one who started it all."""

    report: FileReport
    files: dict[str, Made]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeparatingSettings:
    """What a worker needs to know before the first file."""

    request: SeparationRequest
    threads: int
    version: str = __version__


class SeparatingWorker:
    """Holds the model, from the first file on."""

    def __init__(self, settings: SeparatingSettings):
        self._settings = settings
        self._separator: Any = None

    def __call__(self, attempt: Attempt) -> Outcome:
        """Separate one file. Whatever goes wrong becomes its report."""
        if self._settings.version != __version__:
            here, there = __version__, self._settings.version
            return Outcome(failed(attempt.task.source, f"a worker has sepkit {here}, and {there} is wanted"), {})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                self._load()
            except Exception as error:
                return Outcome(failed(attempt.task.source, f"a worker could not load the method: {error}"), {})
            outcome = separate_anywhere(self._separator, self._settings.request, attempt)
        said = tuple(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning)))
        return Outcome(outcome.report, outcome.files, said)

    def _load(self) -> None:
        if self._separator is None:
            import torch

            torch.set_num_threads(self._settings.threads)
            self._separator = self._settings.request.separator()


def separate_anywhere(separator: Any, request: SeparationRequest, attempt: Attempt) -> Outcome:
    """Separate a file between any places. An attempt that was killed leaves nothing that the next does not remove."""
    task = attempt.task
    folder = staging_folder(attempt.token)
    shutil.rmtree(folder, ignore_errors=True)
    clear(task)
    request = request.model_copy(update={"overwrite": True, "skip_existing": False})  # it was decided before
    try:
        near = _near(attempt, folder)
        if near.source != task.source:
            near.source.parent.mkdir(parents=True)
            fetch(str(address_of(task.source)), near.source)
        report = separate_file(separator, request, near)
        files = {}
        if report.status == "done":
            files = {what: _made(path, task.written[what], attempt.out) for what, path in near.written.items()}
            far = {path: address_of(task.written[what]) for what, path in near.written.items()}
            publish({path: address for path, address in far.items() if address is not None}, attempt.token)
        return Outcome(_renamed(report, near, task), files)
    except (SepkitError, OSError) as error:
        return Outcome(failed(task.source, str(error)), {})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear(task: FileTask) -> None:
    """Remove what attempts that were killed have left beside the outputs on this machine."""
    for path in task.written.values():
        if address_of(path) is None:
            remove_leftovers(path)


def staging_folder(token: str) -> Path:
    return Path(tempfile.gettempdir(), f"sepkit-{token}")


def _near(attempt: Attempt, folder: Path) -> FileTask:
    """The task with files in `folder` in place of those in stores; names stay, as records speak of them."""

    def near(path: Path) -> Path:
        return path if address_of(path) is None else folder / "out" / path.relative_to(attempt.out)

    task = attempt.task
    source = task.source if address_of(task.source) is None else folder / "in" / task.source.name
    maps = None if task.uncertainty is None else near(task.uncertainty)
    return FileTask(source, {stem: near(path) for stem, path in task.outputs.items()}, near(task.provenance), maps)


def _made(path: Path, final: Path, out: Path) -> Made:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Made(file=final.relative_to(out).as_posix(), bytes=path.stat().st_size, sha256=digest)


def _renamed(report: FileReport, near: FileTask, task: FileTask) -> FileReport:
    """The report without the names of temporary files."""
    error = report.error and report.error.replace(str(near.source), shown(task.source))
    return report.model_copy(update={"input": str(task.source), "error": error})
