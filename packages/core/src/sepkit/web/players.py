"""The report's players for one separated file: mixture and stems in time with each other, to see, solo and mute."""

from __future__ import annotations

import json
from pathlib import Path

from ..cli.outputs import FileTask
from ..cli.request import SeparationRequest
from ..evaluation.page.takes import MIXTURE, Take
from ..evaluation.page.writing import PageOptions, write_page

BUDGET_MEGABYTES = 90.0  # of the page: a browser holds the decoded sound besides
SHOWN = ("method", "quality", "quality_chosen", "seed", "samples", "device")


def write_players(path: Path, task: FileTask, request: SeparationRequest, longest_seconds: float) -> None:
    """Write one HTML page that needs nothing else, with at most so many seconds of the track."""
    record = json.loads(task.provenance.read_text(encoding="utf-8"))
    facts = {key: record[key] for key in SHOWN if isinstance(record.get(key), str | int | float)}
    take = Take(
        name=task.source.stem,
        folder=task.provenance.parent,
        files={MIXTURE: str(task.source), **{stem: str(output) for stem, output in task.outputs.items()}},
        given=(MIXTURE,),
        facts={"method": request.model, **facts},
        separated=True,
        uncertainty=task.uncertainty,
    )
    options = PageOptions(
        title=task.source.stem, excerpt_seconds=longest_seconds, budget_megabytes=BUDGET_MEGABYTES, only_player=True
    )
    write_page(path, [], options, takes=[take])
