"""Render songs for bass, drums, guitar and piano to folders: for training, and from MIDI files for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from .band_midi import excerpts, one_per_style, read_band_midi
from .band_production import BandIngredients, played_midi, produced_band
from .render import VALID_EVERY, render_folders, write_track
from .song_maker import STEP
from .soundfont_players import find_player, with_player

VALID_FILES_EVERY = 8  # of the MIDI files for training, every eighth is for validation


@dataclass(frozen=True)
class BandPlan:
    """A rendering: where it goes, what its songs are made from, and its seed."""

    out: Path
    ingredients: BandIngredients
    seed: int = 0

    def split(self, index: int) -> str:
        """All songs in held-out styles are for tests; else every tenth is for validation."""
        if self.ingredients.held_out:
            return "test"
        return "valid" if index % VALID_EVERY == VALID_EVERY - 1 else "train"

    def folder(self, index: int) -> Path:
        return self.out / self.split(index) / f"Band_{index:05d}"


@dataclass(frozen=True)
class BandMidiPlan:
    """Tests from MIDI files: where they go, (file, licence) of each, what plays them, and a seed for levels."""

    out: Path
    files: tuple[tuple[Path, str], ...]
    ingredients: BandIngredients
    least_stems: int = 3
    seed: int = 0

    def folder(self, index: int) -> Path:
        path = self.files[index][0]
        return self.out / "test" / f"{path.parent.name}_{path.stem}"


def render_band(plan: BandPlan, count: int, jobs: int = 1, *, report: Callable[[str], object] = print) -> list[Path]:
    """Render songs 0 … count-1 that are not there yet, `jobs` at a time; returns all folders.

    What a song is like depends on (seed, index) and the sources only. Errors are those of `sepkit.data.render.render`.
    """
    if plan.ingredients.soundfonts:
        find_player()
    folders = [plan.folder(i) for i in range(count)]
    return render_folders(plan.out, folders, partial(render_band_track, plan), jobs, report=report)


def render_band_track(plan: BandPlan, index: int) -> dict[str, object]:
    """Render song `index` of the plan to its folder; returns the facts that its track.json holds."""
    split = plan.split(index)
    files = plan.ingredients.midi
    mine = tuple(
        f for i, f in enumerate(files) if (i % VALID_FILES_EVERY == VALID_FILES_EVERY - 1) == (split == "valid")
    )
    ingredients = replace(plan.ingredients, midi=mine)
    stems, facts = produced_band(ingredients, np.random.default_rng([plan.seed, index]), split)
    return _write(plan.folder(index), stems, {"seed": plan.seed, "index": index, **facts})


def chosen_files(
    folder: Path, rows: list[dict[str, str]], splits: tuple[str, ...], least_stems: int, limit: int | None
) -> tuple[tuple[Path, str], ...]:
    """(file, licence) of the rows of these splits whose note counts name enough stems; `limit` takes turns over styles.

    Raises DatasetError where none is left.
    """
    kept = [r for r in rows if r.get("split") in splits and named_stems(r) >= least_stems]
    chosen = one_per_style(kept, limit or max(1, len(kept)))
    return tuple((folder / row["file"], row["licence"]) for row in chosen)


def named_stems(row: dict[str, str]) -> int:
    """How many of the four classes a manifest's row has notes of; 4 where it does not count them."""
    return sum(int(row.get(stem) or 0) > 0 if stem in row else True for stem in ("drums", "bass", "guitar", "piano"))


def render_band_midi(plan: BandMidiPlan, jobs: int = 1, *, report: Callable[[str], object] = print) -> list[Path]:
    """Render an excerpt of each MIDI file, the one in which most stems play, to test/; returns all folders.

    A file in which too few stems play at a time is left aside, and reported. Errors are those of `render_band`.
    """
    find_player()
    kept = []
    for file in plan.files:
        playing = excerpts(read_band_midi(file[0]), plan.ingredients.seconds)[0][1]
        if len(playing) >= plan.least_stems:
            kept.append(file)
        else:
            report(f"left aside: {file[0].name}, in which only {', '.join(playing) or 'nothing'} plays enough.")
    plan = replace(plan, files=tuple(kept))
    folders = [plan.folder(i) for i in range(len(kept))]
    return render_folders(plan.out, folders, partial(render_band_midi_track, plan), jobs, report=report)


def render_band_midi_track(plan: BandMidiPlan, index: int) -> dict[str, object]:
    """Render one file's best excerpt; the fonts take turns. Raises DatasetError where too few stems sound."""
    path, licence = plan.files[index]
    midi = read_band_midi(path)
    fonts = plan.ingredients.soundfonts
    ingredients = replace(plan.ingredients, soundfonts=(fonts[index % len(fonts)],))
    rng = np.random.default_rng([plan.seed, index])
    excerpt = excerpts(midi, ingredients.seconds)[0]
    stems, facts = played_midi(midi, licence, excerpt, ingredients, rng, as_written=True)
    if len(stems) < plan.least_stems:
        raise DatasetError(f"{path.name}: only {', '.join(stems)} can be heard with {ingredients.soundfonts[0].name}.")
    return _write(plan.folder(index), stems, {"seed": plan.seed, "index": index, **facts})


def _write(folder: Path, stems: dict[str, np.ndarray], facts: dict[str, object]) -> dict[str, object]:
    facts = with_player({**facts, "stems": list(stems)})
    write_track(folder, {stem: x / STEP for stem, x in stems.items()}, facts)
    return facts
