"""Make a dataset of stems whose licence is clear: composed songs, MIDI and sung lines, mixed like records.

python -m sepkit.data.render --out rendered --count 90 --seconds 60 --seed 0 --jobs 2
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from ..errors import DatasetError, SepkitError
from ..partial_files import replacing
from . import voices
from .production import Ingredients, produced_track
from .song_maker import SAMPLE_RATE
from .soundfont_players import find_player, with_player

VALID_EVERY = 10  # every tenth track goes to valid/, so that more tracks never move a finished one


@dataclass(frozen=True)
class RenderPlan:
    """A rendering: where it goes, what its songs are made from, and its seed."""

    out: Path
    ingredients: Ingredients
    seed: int = 0


def midi_files(folder: Path, manifest: Path | None, licences: Sequence[str]) -> tuple[tuple[Path, str, str], ...]:
    """(file, split, licence) of the manifest's rows whose file is there and whose licence has one of `licences` in it.

    Raises DatasetError where nothing is left: weights that ship must not learn from files with another licence.
    """
    rows = manifest_rows(folder, manifest, licences)
    return tuple((folder / row["file"], row.get("split", "train"), row["licence"]) for row in rows)


def manifest_rows(folder: Path, manifest: Path | None, licences: Sequence[str]) -> list[dict[str, str]]:
    """The rows, by column, that `midi_files` keeps; raises DatasetError where none is left."""
    manifest = manifest or folder / "manifest.csv"
    if not manifest.is_file():
        raise DatasetError(
            f"{manifest} is not there: a MIDI folder needs a manifest with the columns file, split, source, licence."
        )
    with manifest.open(newline="", encoding="utf-8") as rows:
        table = list(csv.DictReader(rows))
    kept = [r for r in table if any(word.lower() in (r.get("licence") or "").lower() for word in licences)]
    found = [row for row in kept if (folder / row["file"]).is_file()]
    if not found:
        raise DatasetError(
            f"No MIDI file in {folder} has one of {list(licences)} in its licence ({manifest}, {len(table)} rows)."
        )
    return found


def track_folder(plan: RenderPlan, index: int) -> Path:
    return plan.out / ("valid" if index % VALID_EVERY == VALID_EVERY - 1 else "train") / f"Rendered_{index:05d}"


def render_track(plan: RenderPlan, index: int) -> dict[str, object]:
    """Render track `index` of the plan to its folder, which gets its name when it is complete.

    What it is like depends on (seed, index), the sources and the player of soundfonts only. Returns the facts that its
    track.json holds.
    """
    rng = np.random.default_rng([plan.seed, index])
    folder = track_folder(plan, index)
    stems, facts = produced_track(plan.ingredients, rng, folder.parent.name)
    facts = with_player({"seed": plan.seed, "index": index, **facts})
    write_track(folder, {stem: np.round(x * 32767) for stem, x in stems.items()}, facts)
    return facts


def write_track(folder: Path, stems: dict[str, np.ndarray], facts: dict[str, object]) -> None:
    """Stems (2, t), in steps of 16 bits, as FLAC files and the facts as track.json; named when it is complete."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        for stem, x in stems.items():
            soundfile.write(part / f"{stem}.flac", x.astype(np.int16).T, SAMPLE_RATE, subtype="PCM_16")
        (part / "track.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def render(plan: RenderPlan, count: int, jobs: int = 1, *, report: Callable[[str], object] = print) -> list[Path]:
    """Render tracks 0 … count-1 that are not there yet, `jobs` at a time, and write LICENSES.txt; returns all folders.

    A track that fails does not stop the others. Raises DatasetError before any work where a program is missing, and
    at the end where tracks failed.
    """
    if plan.ingredients.soundfonts:
        find_player()
    if plan.ingredients.voices:
        voices.require_flite()
    folders = [track_folder(plan, i) for i in range(count)]
    return render_folders(plan.out, folders, partial(render_track, plan), jobs, report=report)


def render_folders(
    out: Path,
    folders: list[Path],
    work: Callable[[int], dict[str, object]],
    jobs: int,
    *,
    report: Callable[[str], object],
) -> list[Path]:
    """Do `work(i)`, which makes `folders[i]`, for those that are not there, as `render` does; returns all folders."""
    todo = [i for i, folder in enumerate(folders) if not folder.is_dir()]
    out.mkdir(parents=True, exist_ok=True)
    report(f"{len(folders) - len(todo)} of {len(folders)} tracks are there, {len(todo)} to render.")
    began, failed = time.monotonic(), []
    for done, (index, what, error) in enumerate(_rendered(work, todo, jobs), start=1):
        minutes = (time.monotonic() - began) / done * (len(todo) - done) / 60
        report(f"{done}/{len(todo)} {folders[index].name} ({what}), {minutes:.1f} min left")
        if error is not None:
            failed.append(f"{folders[index].name}: {error}")
    write_licences(out)
    if failed:
        raise DatasetError(
            f"{len(failed)} of {len(todo)} tracks failed, run again to try only those: {'; '.join(failed[:5])}."
        )
    return folders


def _rendered(
    work: Callable[[int], dict[str, object]], todo: list[int], jobs: int
) -> Iterator[tuple[int, str, SepkitError | None]]:
    """(index, style, None) or (index, "failed", error) as the tracks are finished."""
    with ProcessPoolExecutor(max(1, jobs)) as pool:
        waiting = {pool.submit(work, i): i for i in todo}
        for future in as_completed(waiting):
            try:
                yield waiting[future], str(future.result()["style"]), None
            except SepkitError as error:
                yield waiting[future], "failed", error


def write_licences(out: Path) -> None:
    """LICENSES.txt: every track with its sources, from the track.json files."""
    lines = ["Every track is rendered by sepkit's own code from the sources named with it.", ""]
    for file in sorted(out.glob("*/*/track.json")):
        facts = json.loads(file.read_text(encoding="utf-8"))
        lines.append(f"{file.parent.parent.name}/{file.parent.name}: " + "; ".join(facts["sources"]))
    with replacing(out / "LICENSES.txt", overwrite=True) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import typer

    from .cli import render_command

    typer.run(render_command)
