"""museval's JSON: one file a track with a value for each window, written for each recipe and read from anywhere.

Values have 5 decimals and infinite ones are NaN, as museval's own TrackStore writes them; whoever reads such files
takes the median over the windows that are left, then the median over tracks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..errors import DatasetError
from ..partial_files import replacing
from .measured import Frames, Measured
from .score import Score

DECIMALS = 5
MUSEVAL_NAMES = {"sdr_bss4_median": "SDR", "isr_bss4_median": "ISR", "sir_bss4_median": "SIR", "sar_bss4_median": "SAR"}
"""Our names of the medians to museval's names of what they are the medians of; other metrics keep their own name."""

SPLIT_FOLDERS = ("train", "valid", "test")


class TargetWindows(NamedTuple):
    """The windows of one stem, as a file has them: metric -> value for each window, NaN where undefined."""

    starts_seconds: tuple[float, ...]
    durations_seconds: tuple[float, ...]
    metrics: dict[str, tuple[float, ...]]


def quantised(value: float) -> float:
    """A window's value as museval keeps it: 5 decimals, half to even; NaN for an infinite one."""
    return round(value, DECIMALS) if isfinite(value) else nan


def median_over_windows(values: Iterable[float]) -> tuple[float | None, int]:
    """museval's number of a track: the median of the quantised values, and of how many; None where none is finite."""
    finite = [value for value in map(quantised, values) if isfinite(value)]
    return (float(np.median(finite)) if finite else None), len(finite)


def write_windows(path: str | Path, measured: Sequence[Measured]) -> None:
    """Write the windows of one track under one recipe; an earlier file is replaced, and never seen half written."""
    with replacing(path, overwrite=True) as partial:
        partial.write_text(json.dumps(windows_json(measured), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def windows_json(measured: Sequence[Measured]) -> dict[str, Any]:
    """museval's content of a track's file, from those numbers that have windows."""
    stems: dict[str, dict[str, Frames]] = {}
    for one in measured:
        if one.frames is not None:
            stems.setdefault(one.stem, {})[MUSEVAL_NAMES.get(one.metric, one.metric)] = one.frames
    targets = [{"name": stem, "frames": _frames_json(metrics)} for stem, metrics in stems.items()]
    return {"targets": targets, "museval_version": f"sepkit {__version__}"}


def read_windows(path: str | Path) -> dict[str, TargetWindows]:
    """The windows of each stem in one file, museval's or ours; metric names are those of the file.

    A window may lack a metric or have null: both are NaN. Raises DatasetError for a file that is not museval's JSON.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(target["name"]): _target_windows(target["frames"]) for target in content["targets"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} cannot be read as museval's JSON ({type(error).__name__}: {error}); wanted "
            '{"targets": [{"name": …, "frames": [{"time": …, "duration": …, "metrics": {"SDR": …}}]}]}.'
        ) from error


def read_results(
    folder: str | Path, *, method: str | None = None, split: str | None = None, recipe: str = "musdb18"
) -> list[Score]:
    """The scores of a folder of museval's files, as rows that tables and comparisons take like those of a run.

    Reads METHOD/{train,valid,test}/TRACK.json, {train,valid,test}/TRACK.json, METHOD/TRACK.json and plain TRACK.json
    files below `folder`; where no folder names the method, `method` does, or else the folder's own name. `split` reads
    only the files in folders of that name (museval itself reads `test`). Each row is the median over windows.
    Raises DatasetError where there is no file, one is not museval's, or a method has a track twice.
    """
    root = Path(folder)
    files = [path for path in sorted(root.rglob("*.json")) if split is None or split in path.relative_to(root).parts]
    if not files:
        wanted = f"{root}/[METHOD/]{split or '[train|test]'}/TRACK.json"
        raise DatasetError(f"{root} holds no results: wanted museval's files as in {wanted}.")
    found: dict[tuple[str, str], Path] = {}
    rows: list[Score] = []
    for path in files:
        names = [name for name in path.relative_to(root).parts[:-1] if name not in SPLIT_FOLDERS]
        who = "/".join(names) or method or root.resolve().name
        first = found.setdefault((who, path.stem), path)
        if first is not path:
            raise DatasetError(f"{who} has the track {path.stem!r} twice, in {first} and {path}: choose one by split=.")
        rows += _scores(read_windows(path), who, path.stem, recipe)
    return rows


def _scores(stems: dict[str, TargetWindows], method: str, track: str, recipe: str) -> list[Score]:
    ours = {name: metric for metric, name in MUSEVAL_NAMES.items()}
    rows = []
    for stem, target in stems.items():
        for name, values in target.metrics.items():
            value, count = median_over_windows(values)
            rows.append(
                Score(
                    method=method,
                    track=track,
                    stem=stem,
                    metric=ours.get(name, name),
                    value=value,
                    reason=None if value is not None else "no window has a value",
                    windows=count,
                    recipe=recipe,
                    view=tuple(stems),
                )
            )
    return rows


def _frames_json(metrics: dict[str, Frames]) -> list[dict[str, Any]]:
    first = next(iter(metrics.values()))
    return [
        {
            "time": start,
            "duration": duration,
            "metrics": {name: quantised(frames.values[index]) for name, frames in metrics.items()},
        }
        for index, (start, duration) in enumerate(zip(first.starts_seconds, first.durations_seconds, strict=True))
    ]


def _target_windows(frames: list[dict[str, Any]]) -> TargetWindows:
    names = dict.fromkeys(name for frame in frames for name in frame["metrics"])
    return TargetWindows(
        tuple(float(frame["time"]) for frame in frames),
        tuple(float(frame["duration"]) for frame in frames),
        {name: tuple(_number(frame["metrics"].get(name)) for frame in frames) for name in names},
    )


def _number(value: Any) -> float:
    return nan if value is None else float(value)
