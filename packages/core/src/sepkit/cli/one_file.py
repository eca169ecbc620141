"""One file of a batch: separated, skipped or failed, and reported."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ..config import Frozen
from ..errors import OutputExistsError, SepkitError
from ..separator import Progress, Separator
from .outputs import FileTask
from .request import SeparationRequest
from .terminal import debugging


class FileReport(Frozen):
    """What became of one input: a line of `--json`."""

    input: str
    status: Literal["done", "skipped", "failed"]
    outputs: dict[str, str] = Field(default_factory=dict)
    provenance: str | None = None
    audio_seconds: float | None = None
    seconds: float = 0.0
    clipped_samples: dict[str, int] = Field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Done:
    """What is known of a file that was separated, beside its outputs."""

    audio_seconds: float
    clipped_samples: Mapping[str, int]


def failed(source: object, error: str, seconds: float = 0.0) -> FileReport:
    """The report of an input that could not be separated."""
    return FileReport(input=str(source), status="failed", error=error, seconds=round(seconds, 3))


def separate_file(
    separator: Separator, request: SeparationRequest, task: FileTask, progress: Progress | None = None
) -> FileReport:
    """Separate one file into its stems and their record; whatever goes wrong with it becomes its report.

    Only an interruption passes through, and like an error it leaves no unfinished file under a final name.
    """
    from .. import file_separation

    def work(overwrite: bool) -> Done:
        result = file_separation.separate_file(
            separator,
            task.source,
            task.outputs,
            two_stems=request.two_stems,
            bits=request.bits,
            overwrite=overwrite,
            quality=request.quality,
            seed=request.seed,
            consistency=request.consistency,
            progress=progress,
            provenance_path=task.provenance,
            uncertainty_path=task.uncertainty,
            samples=request.uncertainty,
        )
        return Done(result.length_samples / result.sample_rate, result.clipped_samples)

    return reported(request, task, work)


def reported(request: SeparationRequest, task: FileTask, work: Callable[[bool], Done]) -> FileReport:
    """Do one file's work, unless its outputs are there already; the work is told whether it may replace them."""
    started = time.perf_counter()
    try:
        existing = [path for path in task.written.values() if path.exists()]
        if request.skip_existing and len(existing) == len(task.written):
            return FileReport(input=str(task.source), status="skipped", **_places(task))
        if existing and not (request.overwrite or request.skip_existing):
            raise OutputExistsError(f"{existing[0]} is already there; pass --overwrite, --skip-existing or another -o.")
        done = work(bool(existing))  # what is allowed was decided above: resuming replaces a half-finished set
    except SepkitError as error:
        _trace()
        return failed(task.source, str(error), time.perf_counter() - started)
    except Exception as error:
        _trace()
        return failed(task.source, f"{type(error).__name__}: {error}", time.perf_counter() - started)
    return FileReport(
        input=str(task.source),
        status="done",
        audio_seconds=round(done.audio_seconds, 6),
        seconds=round(time.perf_counter() - started, 3),
        clipped_samples={stem: count for stem, count in done.clipped_samples.items() if count},
        **_places(task),
    )


def _places(task: FileTask) -> dict[str, Any]:
    outputs = {stem: str(path) for stem, path in task.outputs.items()}
    return {"outputs": outputs, "provenance": str(task.provenance)}


def _trace() -> None:
    if debugging():
        traceback.print_exc()
