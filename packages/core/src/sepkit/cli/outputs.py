"""Where results go: file names from a template, and every collision found before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OptionError
from ..file_names import fill_template
from .inputs import Source

DEFAULT_TEMPLATE = "{model}/{track}/{stem}.{ext}"
FIELDS = ("model", "folder", "track", "stem", "ext")


@dataclass(frozen=True)
class FileTask:
    """One file to separate: its outputs by stem, the record beside them and, where asked for, the uncertainty's map."""

    source: Path
    outputs: dict[str, Path]
    provenance: Path
    uncertainty: Path | None = None

    @property
    def written(self) -> dict[str, Path]:
        """Every file that appears, by what it holds."""
        maps = {} if self.uncertainty is None else {"uncertainty": self.uncertainty}
        return {**self.outputs, "provenance": self.provenance, **maps}


@dataclass(frozen=True)
class Layout:
    """How outputs are named: the folder, the template below it, and what fills the template for every file."""

    out: Path
    template: str
    model: str
    stems: tuple[str, ...]
    extension: str
    uncertainty: bool = False

    def task(self, source: Source) -> FileTask:
        """The outputs of one file."""
        outputs = {stem: self._path(source, stem, self.extension) for stem in self.stems}
        maps = self._path(source, "uncertainty", "npz") if self.uncertainty else None
        return FileTask(source.path, outputs, self._path(source, "provenance", "json"), maps)

    def _path(self, source: Source, stem: str, extension: str) -> Path:
        values = (self.model, source.folder, source.track, stem, extension)
        return self.out / fill_template(self.template, dict(zip(FIELDS, values, strict=True)))


def check_template(template: str) -> str:
    """The template itself, when it can be filled and ends in `.{ext}`; raises OptionError that says what is wrong."""
    fill_template(template, dict.fromkeys(FIELDS, "x"))
    if not template.endswith(".{ext}"):
        raise OptionError(f"--filename {template!r} must end in '.{{ext}}', as the format chooses the suffix.")
    return template


def plan(sources: Sequence[Source], layout: Layout) -> list[FileTask]:
    """One task for every file, no two of which write the same path, and none of which writes over an input.

    Raises OptionError that names the two files in each other's way and a template that keeps them apart.
    """
    tasks = [layout.task(source) for source in sources]
    inputs = {source.path.resolve() for source in sources}
    taken: dict[Path, tuple[Path, str]] = {}
    for task in tasks:
        for stem, path in task.written.items():
            place = path.resolve()
            if place in inputs:
                raise OptionError(
                    f"The stem {stem!r} of {task.source} would be written over the input {path}; change -o."
                )
            if place in taken:
                raise OptionError(_collision(taken[place], (task.source, stem), path, sources, layout))
            taken[place] = (task.source, stem)
    return tasks


def _collision(
    first: tuple[Path, str], second: tuple[Path, str], path: Path, sources: Sequence[Source], layout: Layout
) -> str:
    if first[0] == second[0]:
        return (
            f"The stems {first[1]!r} and {second[1]!r} of {first[0]} would both be written to {path}: "
            f"put {{stem}} into --filename {layout.template!r}."
        )
    message = f"{first[0]} and {second[0]} would both be written to {path}: "
    names = [(source.folder, source.track) for source in sources]
    if len(set(names)) == len(names):
        return f"{message}tell them apart with --filename '{{model}}/{{folder}}/{{track}}/{{stem}}.{{ext}}'."
    return f"{message}rename one, or separate them into different folders with -o."
