"""Methods of others (the distribution `sepkit-peers`): which of them can run here, and with which weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, version

from ..plugins import announced
from ..registry import GROUP
from .methods import Method

DISTRIBUTION = "sepkit-peers"
REQUIREMENT = re.compile(r"""^\s*([\w.-]+).*;.*\bextra\s*==\s*["']([\w.-]+)["']""")


def installed_peers() -> list[str]:
    """Peers whose package is installed: the extras that their entry points name; nothing is imported."""
    points = (point for found in announced(GROUP).values() for point in found)
    return sorted(point.name for point in points if _is_peer(point) and not missing_packages(point))


def missing_packages(point: EntryPoint) -> list[str]:
    """What an entry point's extras ask for and is not installed."""
    wanted = _packages(point.dist, point.extras) if point.dist is not None else []
    return [package for package in wanted if not _is_installed(package)]


def with_weights(methods: Sequence[Method], asked: Iterable[str]) -> tuple[list[Method], list[str]]:
    """The methods without those peers that only a group brought in and that have no weights here, and a line for each.

    A peer that is `asked` for by its own name stays: without weights it is a row that says so.
    """
    named = set(asked)
    kept, notes = [], []
    for method in methods:
        chosen = method.checkpoint is not None or bool(method.options) or method.name in named
        if method.facts.distribution == DISTRIBUTION and not chosen:
            notes.append(
                f"{method.name} is left out: it has no weights here; give --checkpoint {method.name}=PATH, "
                f"--checkpoint {method.name}=download, or --untrained {method.name} for random ones."
            )
        else:
            kept.append(method)
    return kept, notes


def _is_peer(point: EntryPoint) -> bool:
    """Whether it is a network of others: what wraps the user's own code names no extra."""
    return point.dist is not None and point.dist.name == DISTRIBUTION and bool(point.extras)


def _packages(distribution: Distribution, extras: Sequence[str]) -> list[str]:
    found = (REQUIREMENT.match(line) for line in distribution.requires or ())
    return [match[1] for match in found if match and match[2] in extras]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
