"""Which way a metric points and what it is counted in, for tables and charts of any metric name."""

from __future__ import annotations

from .metrics import METRICS


def higher_is_better(metric: str) -> bool:
    """Whether a larger value is the better one; a metric that nobody describes is taken to grow."""
    return METRICS[metric].higher_is_better if metric in METRICS else True


def unit(metric: str) -> str:
    """The unit to print behind a value, "" for a bare number and for a metric that nobody describes."""
    return METRICS[metric].unit if metric in METRICS else ""
