"""One number per row, with all that is needed to read it: tables and reports are rebuilt from rows alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from ..config import Frozen
from ..errors import DatasetError
from ..separator import Kind

EVERY_STEM = "*"
"""The stem of a row that says why a method has no score for a track."""


class MethodFacts(Frozen):
    """What a method is, apart from any track; None where it does not say."""

    kind: Kind | None = None
    parameters: int | None = None
    weights_megabytes: float | None = None  # 10^6 bytes on disk
    weights_sha256: str | None = None
    network_calls: int | None = None  # network evaluations per window, at the quality of the run
    extra_training_data: bool | None = None
    trained: bool | None = None
    licence: str | None = None
    distribution: str | None = None
    version: str | None = None


class Cost(Frozen):
    """What one separation took, in a process of the method's own.

    `compute_seconds` is the separation alone, without start, loading and writing. `peak_memory_megabytes` (10^6 bytes)
    is the process's peak resident memory up to the end of this track, `baseline_megabytes` what it held after its
    imports, before the method was built: their difference is the method's.
    """

    audio_seconds: float | None = None
    compute_seconds: float | None = None
    peak_memory_megabytes: float | None = None
    baseline_megabytes: float | None = None
    peak_device_megabytes: float | None = None
    device: str | None = None
    threads: int | None = None
    budget_seconds: float | None = None
    over_budget: bool = False


class Score(Frozen):
    """One value of one stem of one track by one method under one recipe; no value has a reason instead.

    `mixture` says what the method was given: the track's full mixture, or one of its own stems (named in `view`) only.
    """

    method: str
    track: str
    stem: str
    metric: str
    value: float | None
    recipe: str
    mixture: Literal["full", "own"] = "full"
    reason: str | None = None
    windows: int | None = None
    note: str | None = None  # what a reader must know of a value that is there
    view: tuple[str, ...] = ()
    truth: str = ""  # the track's stems that the reference is the sum of, joined by "+"; a file name in references/
    dataset: str = ""
    seed: int = 0
    quality: str = "balanced"
    facts: MethodFacts = MethodFacts()
    cost: Cost = Cost()
    at: str = ""  # UTC; rows of one separation and recipe share it

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a score has either a value or the reason why it has none")
        return self

    @property
    def failed(self) -> bool:
        """Whether this row stands for a separation that did not happen."""
        return self.stem == EVERY_STEM


def now() -> str:
    """The time stamp of a row, UTC to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_scores(path: str | Path) -> list[Score]:
    """The rows that count, in file order: a later separation of the same thing replaces the earlier one.

    A torn last line (a run that was killed while writing) is left out. Raises DatasetError that names file and line
    for anything else that is not a row.
    """
    *lines, _torn = Path(path).read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(Score.model_validate_json(line))
        except ValidationError as error:
            raise DatasetError(
                f"{path}, line {number} is not a score ({error.errors()[0]['msg']}); remove that line, or start anew."
            ) from error
    return latest(rows)


def latest(rows: Iterable[Score]) -> list[Score]:
    """Drop rows that later ones of the same method, track and recipe replace; a failure replaces them all."""
    groups: dict[tuple[str, str, str], dict[tuple[str, ...], list[Score]]] = {}
    for row in rows:
        views = groups.setdefault((row.method, row.track, row.recipe), {})
        if row.failed:
            views.clear()
            views[(EVERY_STEM,)] = [row]
            continue
        views.pop((EVERY_STEM,), None)
        batch = views.setdefault(row.view, [])
        if batch and batch[0].at != row.at:
            batch.clear()
        batch.append(row)
    return [row for views in groups.values() for batch in views.values() for row in batch]


class ScoreLog:
    """Append rows to a JSONL file; a batch is on disk when `append` returns, and a torn line of before is cut off."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def append(self, rows: Sequence[Score]) -> None:
        """Write the rows in one piece, so that a resumed run finds all of a separation's rows or none."""
        self._file.write("".join(row.model_dump_json() + "\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
