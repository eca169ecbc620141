"""One file separated: read, separated and written block by block, so that memory does not grow with its length."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Literal

from pydantic import Field

from ..config import Frozen
from ..errors import OutputExistsError, SepkitError
from ..formats import check_writable
from ..separator import Progress, Separator
from .outputs import FileTask
from .request import RESIDUAL, SeparationRequest
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


def failed(source: object, error: str, seconds: float = 0.0) -> FileReport:
    """The report of an input that could not be separated."""
    return FileReport(input=str(source), status="failed", error=error, seconds=round(seconds, 3))


def separate_file(
    separator: Separator, request: SeparationRequest, task: FileTask, progress: Progress | None = None
) -> FileReport:
    """Separate one file into its stems and their record; whatever goes wrong with it becomes its report.

    Only an interruption passes through, and like an error it leaves no unfinished file under a final name.
    """
    started = time.perf_counter()
    try:
        existing = [path for path in (*task.outputs.values(), task.provenance) if path.exists()]
        if request.skip_existing and len(existing) == len(task.outputs) + 1:
            return FileReport(input=str(task.source), status="skipped", **_places(task))
        if existing and not (request.overwrite or request.skip_existing):  # resuming replaces a half-finished set
            raise OutputExistsError(f"{existing[0]} is already there; pass --overwrite, --skip-existing or another -o.")
        facts = _separate(separator, request, task, progress)
    except SepkitError as error:
        _trace()
        return failed(task.source, str(error), time.perf_counter() - started)
    except Exception as error:
        _trace()
        return failed(task.source, f"{type(error).__name__}: {error}", time.perf_counter() - started)
    seconds = round(time.perf_counter() - started, 3)
    return FileReport(input=str(task.source), status="done", seconds=seconds, **_places(task), **facts)


def _separate(
    separator: Separator, request: SeparationRequest, task: FileTask, progress: Progress | None
) -> dict[str, Any]:
    from einops import rearrange

    from ..partial_files import replacing
    from ..soundfiles import open_reader, open_writer

    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(task.source))
        sample_rate, channels = reader.sample_rate, reader.channels
        check_writable(request.format, sample_rate, channels, reader.length_samples, request.bits)
        # Entered first, so it is renamed last: a record under its final name means that every stem is there.
        note = stack.enter_context(replacing(task.provenance, overwrite=True))
        writers = {
            stem: stack.enter_context(open_writer(path, sample_rate, channels, bits=request.bits, overwrite=True))
            for stem, path in task.outputs.items()
        }
        provenance: dict[str, Any] = {}
        length_samples = 0
        for stretch in _stretches(separator, request, reader, progress):
            provenance = stretch.provenance
            rest = stretch.residual
            for stem, writer in writers.items():
                audio = rest if stem in (RESIDUAL, request.rest_name) else stretch[stem]
                writer.write(rearrange(audio.samples, "c t -> t c").numpy())
            length_samples += next(iter(stretch.values())).length_samples
        clipped = {stem: writer.clipped_samples for stem, writer in writers.items()}
        files = {stem: {"file": path.name, "clipped_samples": clipped[stem]} for stem, path in task.outputs.items()}
        record = {"track": task.source.name, **provenance, "options": request.options, "files": files}
        note.write_text(json.dumps(record, indent=2, default=str, ensure_ascii=False) + "\n", encoding="utf-8")
    return {
        "audio_seconds": round(length_samples / sample_rate, 6),
        "clipped_samples": {stem: count for stem, count in clipped.items() if count},
    }


def _stretches(separator: Any, request: SeparationRequest, reader: Any, progress: Progress | None) -> Iterator[Any]:
    """Stretches of `Stems`, in order; the whole at once from a separator that cannot stream."""
    from einops import rearrange

    options = request.run_options() | {"progress": progress}
    if hasattr(separator, "separate_stream"):
        blocks = (rearrange(block, "t c -> c t") for block in reader.blocks())
        yield from separator.separate_stream(
            blocks, reader.sample_rate, reader.channels, reader.length_samples, **options
        )
    else:
        yield separator.separate(reader.path, **options)


def _places(task: FileTask) -> dict[str, Any]:
    outputs = {stem: str(path) for stem, path in task.outputs.items()}
    return {"outputs": outputs, "provenance": str(task.provenance)}


def _trace() -> None:
    if debugging():
        traceback.print_exc()
