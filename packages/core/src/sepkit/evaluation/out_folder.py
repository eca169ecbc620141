"""The folder of a run: where scores, stems, references and logs lie, and what is there only in passing."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..audio import Audio
from ..data.track import Track
from .methods import Method
from .views import FULL_VIEW, View

if TYPE_CHECKING:
    from torch import Tensor


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

    def clear(self) -> None:
        """Remove what an earlier run left, and nothing else that lies there."""
        self.scores.unlink(missing_ok=True)
        for name in ("stems", "references", "windows", "logs"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def remove_passing(self) -> None:
        shutil.rmtree(self.root / ".passing", ignore_errors=True)

    @contextmanager
    def of(self, method: Method, track: Track, view: View) -> Iterator[TrackFolders]:
        """The folders of one separation; without `save_stems` they are gone afterwards."""
        stems = stems_folder(method.name, view.stems, method.is_reference_point)
        if self.save_stems:
            yield TrackFolders(
                self.root / "stems" / stems / file_name(track.name), self.root / "references" / file_name(track.name)
            )
            return
        passing = self.root / ".passing" / stems
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
                path.parent.mkdir(parents=True, exist_ok=True)
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
