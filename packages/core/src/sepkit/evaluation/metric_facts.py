"""Which way a metric points and what it is counted in, for tables and charts of any metric name."""

from __future__ import annotations

from .metrics import find_metric


def higher_is_better(metric: str) -> bool:
    """Whether a larger value is the better one; a metric that nobody describes is taken to grow."""
    found = find_metric(metric)
    return True if found is None else found.higher_is_better


def unit(metric: str) -> str:
    """The unit to print behind a value, "" for a bare number and for a metric that nobody describes."""
    found = find_metric(metric)
    return "" if found is None else found.unit
