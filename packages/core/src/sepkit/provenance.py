"""Provenance: the plain facts, ready for JSON, from which a result can be made again."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import platform
from typing import Any

import numpy as np
import torch

from . import __version__


@functools.cache
def plugin_version(package: str) -> str | None:
    """`distribution version` of the installed distribution that holds an import package; None when none does."""
    for distribution in importlib.metadata.packages_distributions().get(package, []):
        return f"{distribution} {importlib.metadata.version(distribution)}"
    return None


def versions(method: object) -> dict[str, str | None]:
    """The versions that a result depends on."""
    package = type(method).__module__.partition(".")[0]
    return {
        "sepkit": __version__,
        "plugin": None if package == "sepkit" else plugin_version(package),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def model_facts(model: object) -> dict[str, Any]:
    """What a model says of itself in its optional `provenance`, e.g. the hash of its weights, and its parameters."""
    facts = dict(getattr(model, "provenance", None) or {})
    parameters = getattr(model, "parameters", None)
    if isinstance(parameters, int):
        facts.setdefault("parameters", parameters)
    return dict(plain(facts))


def plain(value: Any) -> Any:
    """A value as JSON can hold it: mappings, lists, text and finite numbers; everything else as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value)
