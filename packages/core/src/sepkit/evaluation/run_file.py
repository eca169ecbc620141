"""OUT/run.json: what was asked, by which command, where and with what."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Frozen
from ..partial_files import replacing
from .machine import machine_facts, package_versions
from .methods import Method
from .recipe import Recipe

NAME = "run.json"


def write_run_file(
    folder: Path,
    *,
    command: Sequence[str],
    started: str,
    seconds: float,
    settings: Frozen,
    methods: Sequence[Method],
    recipes: Sequence[Recipe],
    tracks: Sequence[str],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write it; `command` are the words that were typed, `more` are facts of one kind of run beside the usual ones.

    It is about this command; `history` has this and all before it that have filled the folder, the first one first.
    """
    distributions = {method.facts.distribution for method in methods} - {None, "sepkit"}
    content = {
        "command": shlex.join(command),
        "started": started,
        "seconds": seconds,
        "settings": settings.model_dump(mode="json"),
        "methods": [method.model_dump(mode="json") for method in methods],
        "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        "tracks": list(tracks),
        "machine": machine_facts(),
        "versions": package_versions(tuple(sorted(str(name) for name in distributions))),
        **(more or {}),
    }
    content["history"] = [
        *read_history(folder),
        {
            "command": content["command"],
            "started": started,
            "seconds": seconds,
            "methods": [method.name for method in methods],
            "recipes": [recipe.name for recipe in recipes],
            "tracks": list(tracks),
        },
    ]
    text = json.dumps(content, indent=2, ensure_ascii=False)
    with replacing(folder / NAME, overwrite=True) as path:
        path.write_text(text + "\n", encoding="utf-8")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The commands that have filled the folder, as run.json has them; of an older file the one that it is about."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        one = {key: content[key] for key in ("command", "started", "seconds", "tracks")}
        one |= {key: [entry["name"] for entry in content[key]] for key in ("methods", "recipes")}
        return list(content.get("history", [one]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
