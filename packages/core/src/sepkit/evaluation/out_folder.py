"""The folder of a run: where scores, stems, references and logs lie, and what is there only in passing."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..audio import Audio
from ..data.track import Track
from ..errors import OptionError
from .file_links import note_made
from .methods import Method
from .reference_points import REFERENCE_POINTS
from .score import Score
from .views import FULL_VIEW, View

if TYPE_CHECKING:
    from torch import Tensor


FOLDERS = ("stems", "references", "windows", "logs")


class TrackFolders(NamedTuple):
    """Where one method's estimates of one track go, and the references it is compared with."""

    estimates: Path
    references: Path


class OutFolder:
    """OUT/scores.jsonl, logs/, stems/<method>/<track>/<stem>.wav, references/<track>/<what is in it>.wav and
    windows/<recipe>/<method>/<track>.json."""

    def __init__(self, root: Path, *, save_stems: bool):
        self.root = root
        self.save_stems = save_stems
        self._written: set[Path] = set()
        self._lock = threading.Lock()

    @property
    def scores(self) -> Path:
        return self.root / "scores.jsonl"

    def log(self, method: str) -> Path:
        return self.root / "logs" / f"{file_name(method)}.log"

    def windows(self, recipe: str, method: Method, track: Track, view: View) -> Path:
        """The file of a track's values in each window under a recipe."""
        folder = stems_folder(method.name, view.stems, method.is_reference_point)
        return self.root / "windows" / file_name(recipe) / folder / f"{file_name(track.name)}.json"

    def forget_windows(self, method: str, track: str, recipes: Iterable[str]) -> None:
        """Remove a track's values in windows, in all views, where they are no longer those of its scores."""
        for recipe in recipes:
            folder = self.root / "windows" / file_name(recipe)
            for own in folder.iterdir() if folder.is_dir() else ():
                in_view = method in REFERENCE_POINTS and own.name.startswith(f"{file_name(method)}@")
                if own.name == file_name(method) or in_view:
                    (own / f"{file_name(track)}.json").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier run left by its scores and its run.json, and nothing else that lies there.

        Raises OptionError where there are folders of these names that neither of them shows to be a run's.
        """
        rows, record = self._rows(), self._record()
        taken = [name for name in FOLDERS if (self.root / name).is_dir()]
        if not self.scores.exists() and not record and taken:
            raise OptionError(
                f"{self.root} has a folder {taken[0]} and neither scores.jsonl nor run.json, so that it is not known "
                "to be a run's: nothing is discarded. Give another folder with --out, or remove it yourself."
            )
        if self.scores.exists() and self.scores.stat().st_size and not rows:
            raise OptionError(f"{self.scores} is not a run's: nothing is discarded. Give another folder with --out.")
        methods = {row.method for row in rows} | set(record.get("methods", ()))
        tracks = [file_name(name) for name in {row.track for row in rows} | set(record.get("tracks", ()))]
        recipes = {row.recipe for row in rows} | set(record.get("recipes", ()))
        for folder in {stems_folder(row.method, row.view, row.method in REFERENCE_POINTS) for row in rows} | {
            file_name(method) for method in methods
        }:
            self._remove([self.root / "stems" / folder / track for track in tracks])
        self._remove([self.root / "references" / track for track in tracks])
        self._remove([self.root / "windows" / file_name(recipe) for recipe in recipes])
        for method in methods:
            self.log(method).unlink(missing_ok=True)
        self._remove([self.root / "logs"], only_empty=True)
        for name in ("run.json", "inputs.jsonl", "scores.jsonl"):  # last, as they show what is a run's
            (self.root / name).unlink(missing_ok=True)

    def _remove(self, folders: Iterable[Path], *, only_empty: bool = False) -> None:
        """Remove folders, and those above them that this leaves empty."""
        for folder in folders:
            if self.root.resolve() not in folder.resolve().parents:
                continue  # a link of the user's leads out of here
            if not only_empty:
                shutil.rmtree(folder, ignore_errors=True)
            for place in (folder, *folder.parents):
                if place == self.root:
                    break
                with suppress(OSError):
                    place.rmdir()

    def _rows(self) -> list[Score]:
        """Every row that can be read, also of a file that is damaged."""
        rows = []
        with suppress(OSError):
            for line in self.scores.read_text(encoding="utf-8", errors="replace").split("\n"):
                with suppress(ValueError):
                    rows.append(Score.model_validate_json(line))
        return rows

    def _record(self) -> dict[str, list[str]]:
        """The names in run.json and in its history; empty where it is not a run's."""
        try:
            content = json.loads((self.root / "run.json").read_text(encoding="utf-8"))
            found = [*content.get("history", ()), {"tracks": content["tracks"]}]
            found.append({key: [one["name"] for one in content[key]] for key in ("methods", "recipes")})
            return {key: [n for one in found for n in one.get(key, ())] for key in ("methods", "recipes", "tracks")}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def remove_passing(self) -> None:
        shutil.rmtree(self.root / ".passing", ignore_errors=True)

    @contextmanager
    def of(self, method: Method, track: Track, view: View) -> Iterator[TrackFolders]:
        """The folders of one separation; without `save_stems` they are gone afterwards."""
        stems = stems_folder(method.name, view.stems, method.is_reference_point)
        if self.save_stems:
            estimates = self.root / "stems" / stems / file_name(track.name)
            note_made(estimates, [f"{stem}.wav" for stem in view.stems])
            yield TrackFolders(estimates, self.root / "references" / file_name(track.name))
            return
        passing = self.root / ".passing" / stems / file_name(track.name)  # others may be at other tracks
        try:
            yield TrackFolders(passing / "estimates", passing / "references")
        finally:
            shutil.rmtree(passing, ignore_errors=True)
            with self._lock:
                self._written = {path for path in self._written if passing not in path.parents}

    def write_once(self, path: Path, samples: Callable[[], Tensor], sample_rate: int) -> str:
        """Write `samples()` (c t) unless this run has done so; the path as text."""
        with self._lock:
            if path not in self._written:
                note_made(path.parent, [path.name])
                Audio(samples(), sample_rate).write(path, bits="float", overwrite=True)
                self._written.add(path)
        return str(path)


def stems_folder(method: str, view: tuple[str, ...], is_reference_point: bool) -> str:
    """The folder name of a method's stems; a reference point has one for each view that it is scored on."""
    own_view = is_reference_point and view != FULL_VIEW
    return file_name(f"{method}@{'+'.join(view)}" if own_view else method)


def file_name(name: str) -> str:
    """A track's or method's name without the characters that file systems and links stumble over."""
    return re.sub(r"[^\w\-+@. ]", "_", name).strip(". ") or "_"
