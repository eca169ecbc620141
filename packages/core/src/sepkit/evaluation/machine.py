"""Where and with what a run was made: versions, processor, memory; plain values for run.json."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("sepkit", "torch", "numpy", "scipy", "norbert", "museval", "librosa", "soundfile", "soxr")


def machine_facts() -> dict[str, Any]:
    """Processor, cores and memory of this computer; what cannot be told is None."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_megabytes": _memory_megabytes(),
        "python": platform.python_version(),
    }


def package_versions(extra: tuple[str, ...] = ()) -> dict[str, str | None]:
    """Installed versions of what scores depend on; None for what is not installed."""
    return {name: _version(name) for name in (*PACKAGES, *extra)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory_megabytes() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6)
    except (ValueError, OSError, AttributeError):
        return None
