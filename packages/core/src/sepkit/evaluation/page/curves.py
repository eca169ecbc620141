"""Scores of every window, read from a run's windows/ folder (museval's JSON), as the page draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import SepkitError
from ..metric_facts import unit
from ..museval_json import TargetWindows, read_windows
from ..out_folder import file_name
from .listening import TrackSound
from .runs import Section

DECIMALS = 3
MUSEVAL_NAMES = ("SDR", "ISR", "SIR", "SAR")  # of BSS Eval's numbers, all in dB


@dataclass
class _Curve:
    """One metric of one recipe: group -> source -> start of a window -> its number."""

    duration: float
    values: dict[int, dict[int, dict[float, float]]] = field(default_factory=dict)


def track_curves(sound: TrackSound, section: Section, notes: list[str]) -> list[dict[str, Any]]:
    """Curves of every recipe and metric that has windows: times in seconds, and for each group and source its values.

    None stands for a window without a number. What cannot be read is added to `notes`.
    """
    curves: dict[tuple[str, str], _Curve] = {}
    for recipe in section.recipes:
        for index, source in enumerate(sound.sources):
            if source.folder is None:
                continue
            run, folder = source.folder
            path = run.folder / "windows" / file_name(recipe.name) / folder / f"{file_name(sound.name)}.json"
            if not path.is_file():
                continue
            try:
                for stem, windows in read_windows(path).items():
                    if stem in source.stems:
                        _collect(curves, recipe.name, windows, source.stems[stem], index)
            except SepkitError as error:
                notes.append(f"{source.name}: its windows of {recipe.name} cannot be read: {error}")
    return [_plain(recipe, metric, curve) for (recipe, metric), curve in curves.items()]


def _collect(
    curves: dict[tuple[str, str], _Curve], recipe: str, windows: TargetWindows, group: int, source: int
) -> None:
    if not windows.starts_seconds:
        return
    for metric, values in windows.metrics.items():
        curve = curves.setdefault((recipe, metric), _Curve(windows.durations_seconds[0]))
        starts = (round(start, DECIMALS) for start in windows.starts_seconds)
        curve.values.setdefault(group, {})[source] = dict(zip(starts, values, strict=True))


def _plain(recipe: str, metric: str, curve: _Curve) -> dict[str, Any]:
    """For the page's scripts: every curve has a value or None at each of the same times."""
    groups: Mapping[int, Mapping[int, Mapping[float, float]]] = curve.values
    times = sorted({time for sources in groups.values() for values in sources.values() for time in values})
    return {
        "recipe": recipe,
        "metric": metric,
        "unit": "dB" if metric in MUSEVAL_NAMES else unit(metric),
        "times": times,
        "duration": round(curve.duration, DECIMALS),
        "values": {
            group: {source: [_number(values.get(time)) for time in times] for source, values in sources.items()}
            for group, sources in groups.items()
        },
    }


def _number(value: float | None) -> float | None:
    return round(value, DECIMALS) if value is not None and math.isfinite(value) else None
