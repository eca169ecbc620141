"""Entry points of other packages: found without importing them, loaded one by one, named when they are broken."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from .errors import PluginError


class PluginWarning(UserWarning):
    """An installed plugin that is left out because it is broken; all others work."""


_warned: set[str] = set()


def announced(group: str) -> dict[str, list[EntryPoint]]:
    """Every name of an entry-point group, with all that announce it; imports nothing."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def working_names(built_in: Iterable[str], group: str, what: str) -> list[str]:
    """The built-in names and those that plugins announce, sorted; imports nothing.

    A plugin that is visibly broken (its module is missing, its name is announced twice) is left out with one warning;
    `what` is the kind of thing in that warning, such as "sampler". A built-in name is nobody else's.
    """
    names = set(built_in)
    for name, points in announced(group).items():
        reason = None if name in names else visible_fault(name, points)
        if reason is None:
            names.add(name)
        else:
            warn_once(f"The {what} {name!r} of {sources(points)} is left out: {reason}.")
    return sorted(names)


def load(what: str, points: list[EntryPoint]) -> Any:
    """Import what the one of `points` names; `what` begins the error, such as "The sampler 'mine'".

    Raises PluginError, with the distribution and the reason, where it is announced twice or cannot be imported.
    """
    if len(points) > 1:
        raise PluginError(f"{what} is announced by {sources(points)}: uninstall one of them.")
    [point] = points
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"{what} of {source(point)} cannot be imported from {point.value!r}: {type(error).__name__}: {error}. "
            "Repair or uninstall that package."
        ) from error


def source(point: EntryPoint) -> str:
    """The name of the distribution that an entry point comes from."""
    return point.dist.name if point.dist is not None else "an unknown distribution"


def sources(points: Iterable[EntryPoint]) -> str:
    """The distributions of several entry points, in words."""
    return " and ".join(map(source, points))


def visible_fault(name: str, points: list[EntryPoint]) -> str | None:
    """What is wrong with a name as far as can be seen without importing anything; None where nothing is."""
    if len(points) > 1:
        return f"the name {name!r} is announced by {sources(points)}"
    return find_module(points[0])[1]


def find_module(point: EntryPoint) -> tuple[Path | None, str | None]:
    """The folder of the plugin's top package, or why its module is not there; imports nothing."""
    package, *inner = point.module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError) as error:
        return None, f"package {package!r} cannot be found: {error}"
    if spec is None:
        return None, f"package {package!r} is not importable"
    if not spec.submodule_search_locations:
        return (Path(spec.origin).parent, None) if spec.origin and not inner else (None, f"{package!r} is no package")
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    for folder in folders:
        target = folder.joinpath(*inner)
        compiled = target.parent.glob(f"{target.name}.*.so") if target.parent.is_dir() else ()
        if target.is_dir() or target.with_suffix(".py").exists() or any(compiled):
            return folder, None
    return None, f"module {point.module!r} is not in {folders[0]}"


def warn_once(message: str) -> None:
    """Warn of a broken plugin; the same words are never said twice in a process, whatever the warnings' filter."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, PluginWarning, stacklevel=3)
