"""OUT/inputs.jsonl: from which files every score was made, so that a run goes on with what has changed since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..config import Frozen
from .recipe import Recipe

NAME = "inputs.jsonl"


class ScoredInputs(Frozen):
    """What one method's scores of one track under one recipe were made from, and what was noted on the way.

    `files` holds size in bytes and time of change in nanoseconds by path; `asked` what else the numbers depend on;
    `home` the folder in which the method's estimates lie.
    """

    method: str
    track: str
    recipe: str
    files: dict[str, tuple[int, int]]
    asked: str
    notes: tuple[str, ...] = ()
    home: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.method, self.track, self.recipe

    def same_inputs(self, other: ScoredInputs | None) -> bool:
        """Whether the other one was made from the same files in the same way."""
        return other is not None and (self.files, self.asked) == (other.files, other.asked)


def state_of(paths: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of change of files by resolved path; a missing one has neither."""
    found = {}
    for path in paths:
        real = path.resolve()
        state = real.stat() if real.exists() else None
        found[str(real)] = (state.st_size, state.st_mtime_ns) if state else (-1, 0)
    return found


def digest(recipe: Recipe, *others: object) -> str:
    """A short text that changes with the recipe's definition and with everything else that is given."""
    text = "\n".join([recipe.model_dump_json(), *(repr(other) for other in others)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_inputs(path: Path) -> dict[tuple[str, str, str], ScoredInputs]:
    """The last entry for every method, track and recipe; what cannot be read costs only that it is scored again."""
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
        try:
            entry = ScoredInputs.model_validate_json(line)
        except ValidationError:
            continue
        found[entry.key] = entry
    return found


def append_inputs(path: Path, entries: Sequence[ScoredInputs]) -> None:
    """Add entries after what is there; on disk when it returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + "".join(entry.model_dump_json() + "\n" for entry in entries))  # an end for a torn line
        file.flush()
        os.fsync(file.fileno())
