"""Metrics by name: sepkit's own, and those that plugins announce in the group `sepkit.metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...errors import AudioError, PluginError, SepkitError, UnknownNameError, nearest
from ...plugins import announced, load, source, warn_once, working_names
from .registry import METRICS, Metric
from .signals import Array

GROUP = "sepkit.metrics"


class TrackMetric(NamedTuple):
    """A plugin's metric: its facts, and `compute(reference, estimate, mixture, sample_rate)`, a number for a track.

    The sounds are c t of one shape in float64 and are not to be written to; `sample_rate` is in Hz. Where a track has
    no number, `compute` raises sepkit.errors.AudioError that says why, and the score is left blank with that reason.
    """

    facts: Metric
    compute: Callable[[Array, Array, Array, int], float]


def list_metrics() -> list[str]:
    """Every metric by name, without importing a plugin; one that is visibly broken is left out with a warning."""
    return working_names(METRICS, GROUP, "metric")


def find_metric(name: str) -> Metric | None:
    """What is known of a metric, None for one that nobody describes; a plugin that cannot be imported warns once.

    Built-in names are sepkit's, even if a plugin announces them as well: stored scores depend on it.
    """
    if name in METRICS:
        return METRICS[name]
    if name not in announced(GROUP):
        return None
    try:
        return track_metric(name).facts
    except PluginError as error:
        warn_once(str(error))
        return None


def track_metric(name: str) -> TrackMetric:
    """The metric that a plugin announces; raises UnknownNameError, or PluginError that names the plugin."""
    what = f"The metric {name!r}"
    points = announced(GROUP).get(name, [])
    if not points:
        raise UnknownNameError(f"No plugin announces a metric named {name!r}: {nearest(name, list_metrics())}")
    metric = load(what, points)
    if not isinstance(metric, TrackMetric) or metric.facts.name != name:
        wrong = f"is named {metric.facts.name!r}" if isinstance(metric, TrackMetric) else "is no TrackMetric"
        raise PluginError(f"{what} of {source(points[0])}: {points[0].value!r} {wrong}; repair that package.")
    return metric


def compute_announced(name: str, reference: Array, estimate: Array, mixture: Array, sample_rate: int) -> float:
    """A plugin's metric of one stem of one track, each sound c t; raises a SepkitError for whatever goes wrong."""
    metric = track_metric(name)
    s, e, x = (sound.view() for sound in (reference, estimate, mixture))
    for sound in (s, e, x):
        sound.flags.writeable = False
    try:
        return float(metric.compute(s, e, x, sample_rate))
    except SepkitError:
        raise
    except Exception as error:
        raise AudioError(f"the metric {name} failed: {type(error).__name__}: {error}") from error
