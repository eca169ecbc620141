"""What a job leaves: the files that `sepkit separate` would write, in a zip, and the page that plays them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import file_separation
from ..cli.inputs import Source
from ..cli.outputs import FileTask, Layout
from ..cli.request import SeparationRequest
from ..formats import file_format
from ..separator import Progress, Separator

ZIP, PLAYERS, STEMS = "result.zip", "players.html", "stems"


@dataclass(frozen=True)
class JobResult:
    """The files of a finished job by what they hold, as they are called in the zip."""

    task: FileTask
    request: SeparationRequest
    files: Mapping[str, str]
    clipped_samples: Mapping[str, int]

    def write_players(self, folder: Path, longest_seconds: float) -> None:
        """Write the page that plays all stems in time with each other."""
        from .players import write_players  # needs the report's libraries, which the API alone does not

        write_players(folder / PLAYERS, self.task, self.request, longest_seconds)


def separate_into(
    folder: Path, separator: Separator, request: SeparationRequest, source: Path, progress: Progress
) -> JobResult:
    """Separate `source` into FOLDER/stems and pack all of that into FOLDER/result.zip."""
    stems = request.written_stems(separator.info.stems)
    extension = file_format(request.format).suffixes[0]
    layout = Layout(folder / STEMS, "{stem}.{ext}", request.model, stems, extension, request.uncertainty is not None)
    task = layout.task(Source(source, ""))
    result = file_separation.separate_file(
        separator,
        task.source,
        task.outputs,
        two_stems=request.two_stems,
        bits=request.bits,
        quality=request.quality,
        seed=request.seed,
        consistency=request.consistency,
        progress=progress,
        provenance_path=task.provenance,
        uncertainty_path=task.uncertainty,
        samples=request.uncertainty,
    )
    files = {what: path.name for what, path in task.written.items()}
    partial = folder / f"{ZIP}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as packed:  # sound hardly gets smaller
        for path in task.written.values():
            progress(0.0, float("nan"))
            packed.write(path, path.name)
    os.replace(partial, folder / ZIP)
    clipped = {stem: count for stem, count in result.clipped_samples.items() if count}
    return JobResult(task, request, files, clipped)
