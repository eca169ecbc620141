"""Make a dataset of stems whose licence is clear: composed songs, MIDI and sung lines, mixed like records.

python -m sepkit.data.render --out rendered --count 90 --seconds 60 --seed 0 --jobs 2
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..errors import DatasetError, SepkitError
from . import mixing, soundfonts, voices
from .arranging import Part, Song, compose
from .drum_machine import DrumMachine
from .instruments import play, random_patch

SAMPLE_RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
VALID_EVERY = 10  # every tenth track goes to valid/, so that more tracks never move a finished one


@dataclass(frozen=True)
class RenderPlan:
    """What every track of a rendering shares: where, how long, which sources and which seed."""

    out: Path
    seconds: float = 60.0
    seed: int = 0
    soundfonts: tuple[Path, ...] = ()
    midi: tuple[tuple[Path, str, str], ...] = ()  # file, split, licence
    midi_chance: float = 0.2
    voices: bool = True


def midi_files(folder: Path, manifest: Path | None, licences: Sequence[str]) -> tuple[tuple[Path, str, str], ...]:
    """(file, split, licence) for each row of the manifest whose licence contains one of `licences` and whose file is there.

    Raises DatasetError where nothing is left: weights that ship must not learn from files with another licence.
    """
    manifest = manifest or folder / "manifest.csv"
    if not manifest.is_file():
        raise DatasetError(
            f"{manifest} is not there: a MIDI folder needs a manifest with the columns file, split, source, licence."
        )
    with manifest.open(newline="", encoding="utf-8") as rows:
        table = list(csv.DictReader(rows))
    kept = [r for r in table if any(word.lower() in (r.get("licence") or "").lower() for word in licences)]
    found = tuple(
        (folder / r["file"], r.get("split", "train"), r["licence"]) for r in kept if (folder / r["file"]).is_file()
    )
    if not found:
        raise DatasetError(
            f"No MIDI file in {folder} whose licence contains one of {list(licences)} ({len(table)} rows in {manifest.name})."
        )
    return found


def track_folder(plan: RenderPlan, index: int) -> Path:
    return plan.out / ("valid" if index % VALID_EVERY == VALID_EVERY - 1 else "train") / f"Rendered_{index:05d}"


def render_track(plan: RenderPlan, index: int) -> dict:
    """Render track `index` of the plan to its folder, under a temporary name first; the track depends on (seed, index) only."""
    rng = np.random.default_rng([plan.seed, index])
    folder = track_folder(plan, index)
    stems, facts = mixed_track(plan, rng, "valid" if folder.parent.name == "valid" else "train")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for stem, x in stems.items():
        samples = np.round(x * 32767).astype(np.int16)
        soundfile.write(part / f"{stem}.flac", samples.T, SAMPLE_RATE, subtype="PCM_16")
    (part / "track.json").write_text(
        json.dumps({"seed": plan.seed, "index": index, **facts}, indent=1), encoding="utf-8"
    )
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return facts


def mixed_track(plan: RenderPlan, rng: np.random.Generator, split: str) -> tuple[dict[str, np.ndarray], dict]:
    """Stems (2, t) float32 within ±1, whose sum is within ±1 too, and the facts of how they were made."""
    length, sources = round(plan.seconds * SAMPLE_RATE), set()
    files = [row for row in plan.midi if (row[1] == "train") == (split == "train")]
    song, programs = compose(rng, plan.seconds, chord_parts=int(rng.integers(1, 5))), {}
    style = song.style
    if files and rng.random() < plan.midi_chance:
        path, _, licence = files[int(rng.integers(len(files)))]
        midi, programs = soundfonts.song_from_midi(path, float(rng.choice([0, 0, 20])), plan.seconds)
        if midi.parts:
            song = Song(plan.seconds, song.beats_per_minute, "rock", midi.parts, song.phrases, midi.kick_seconds)
            style = f"midi {path.name}"
            sources.add(f"MIDI {path.parent.name}/{path.name}: {licence}")
    absent = {
        stem for stem in STEMS if rng.random() < {"vocals": 0.08, "drums": 0.07, "bass": 0.07, "other": 0.03}[stem]
    }
    stems = {stem: np.zeros((2, length), dtype=np.float32) for stem in STEMS}
    room = mixing.impulse_response(rng, SAMPLE_RATE, float(np.exp(rng.uniform(np.log(0.3), np.log(3.0)))))
    for i, part in enumerate(song.parts):
        if part.stem not in absent:
            stems[part.stem] += _dressed(
                rng, _played(plan, rng, song, part, programs.get(i), length, sources), song, part
            )
    if plan.voices and "vocals" not in absent and song.phrases:
        stems["vocals"] = _vocals(rng, song, length, room)
        sources.add(voices.VOICE_LICENCE)
    for stem in STEMS[1:]:
        stems[stem] = _bus(rng, stems[stem], stem, room, song)
    return _balanced(rng, stems), {
        "style": style,
        "beats_per_minute": round(song.beats_per_minute, 2),
        "sources": sorted(sources),
    }


def _played(
    plan: RenderPlan,
    rng: np.random.Generator,
    song: Song,
    part: Part,
    program: int | None,
    length: int,
    sources: set[str],
) -> np.ndarray:
    electronic = (program is None and rng.random() < (0.75 if song.electronic else 0.2)) or not plan.soundfonts
    if electronic:
        sources.add("sound synthesised by sepkit's own code")
        if part.stem == "drums":
            return DrumMachine(rng, SAMPLE_RATE).play(part.notes, length)
        return play(random_patch(rng, part.role), part.notes, length, SAMPLE_RATE, rng)
    font = plan.soundfonts[int(rng.integers(len(plan.soundfonts)))]
    sources.add(f"soundfont {soundfonts.soundfont_licence(font)}")
    choices = soundfonts.DRUM_KITS if part.stem == "drums" else soundfonts.PROGRAMS.get(part.role, (0,))
    drawn = int(rng.choice(choices)) if program is None or part.stem == "drums" else program
    return soundfonts.play_notes(part.notes, drawn, part.stem == "drums", font, length, SAMPLE_RATE)


def _dressed(rng: np.random.Generator, x: np.ndarray, song: Song, part: Part) -> np.ndarray:
    """One player's channel: level, place, width, sometimes dirt or an echo."""
    level = mixing.rms_db(x, SAMPLE_RATE)
    if not np.isfinite(level):
        return x
    x = x * np.float32(10 ** ((-20 - level + (rng.normal(0, 3.5) if part.stem == "other" else 0)) / 20))
    if part.stem == "other":
        x = mixing.placed(
            x,
            float(rng.uniform(-0.7, 0.7) if part.role != "pad" else rng.uniform(-0.2, 0.2)),
            float(rng.uniform(0.3, 1.5)),
        )
        if rng.random() < 0.35:
            beat = 60 / song.beats_per_minute
            x = x + np.float32(rng.uniform(0.2, 0.5)) * mixing.echoes(
                x, beat * float(rng.choice([0.5, 0.75, 1])), float(rng.uniform(0.3, 0.6)), SAMPLE_RATE
            )
    elif part.stem == "bass":
        x = mixing.placed(x, 0.0, float(rng.choice([0, 0, 0.3])))
    if rng.random() < 0.25:
        x = mixing.saturated(x, float(rng.uniform(0.3, 3)))
    return mixing.equalised(rng, x, SAMPLE_RATE, part.stem)


def _bus(rng: np.random.Generator, x: np.ndarray, stem: str, room: np.ndarray, song: Song) -> np.ndarray:
    """A stem's group: reverb send, compressor, side-chain."""
    if not x.any():
        return x
    send = {"drums": 0.12, "bass": 0.04, "other": 0.3}[stem] * float(rng.uniform(0, 1.5))
    if send > 0.02:
        x = x + np.float32(send) * mixing.convolved(x, room)
    if rng.random() < 0.6:
        x = mixing.compressed(
            x,
            SAMPLE_RATE,
            float(rng.uniform(-4, 3)),
            float(rng.uniform(1.5, 5)),
            float(rng.uniform(0.002, 0.03)),
            float(rng.uniform(0.05, 0.3)),
        )
    if stem in ("bass", "other") and song.kick_seconds and rng.random() < (0.5 if song.electronic else 0.05):
        x = x * mixing.pumping(
            song.kick_seconds, x.shape[1], SAMPLE_RATE, float(rng.uniform(0.3, 0.95)), float(rng.uniform(0.08, 0.25))
        )
    return x


def _vocals(rng: np.random.Generator, song: Song, length: int, room: np.ndarray) -> np.ndarray:
    lead, backing = voices.vocal_stem(rng, song.phrases, length, SAMPLE_RATE)
    x = lead + np.float32(rng.uniform(0.4, 1.2)) * backing
    if not x.any():
        return x
    x = mixing.equalised(rng, x, SAMPLE_RATE, "vocals")
    x = mixing.compressed(
        x, SAMPLE_RATE, float(rng.uniform(-8, -1)), float(rng.uniform(2, 8)), 0.005, float(rng.uniform(0.06, 0.2))
    )
    if rng.random() < 0.15:
        x = mixing.saturated(x, float(rng.uniform(0.5, 3)))
    wet = np.float32(rng.uniform(0, 0.5)) * mixing.convolved(x, room)
    if rng.random() < 0.45:
        beat = 60 / song.beats_per_minute
        wet += np.float32(rng.uniform(0.1, 0.4)) * mixing.echoes(
            x, beat * float(rng.choice([0.25, 0.5, 0.75, 1])), float(rng.uniform(0.2, 0.55)), SAMPLE_RATE
        )
    return x + wet


def _balanced(rng: np.random.Generator, stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Levels as on records: vocals 3 to 14 dB below the mixture, the others by chance, then one limiter for all stems."""
    wanted = {"drums": rng.normal(-5, 3), "bass": rng.normal(-7, 3.5), "other": rng.normal(-5, 3)}
    placed = {
        stem: x * np.float32(10 ** ((wanted[stem] - mixing.rms_db(x, SAMPLE_RATE)) / 20))
        for stem, x in stems.items()
        if stem in wanted and x.any()
    }
    backing = sum(placed.values(), np.zeros_like(stems["vocals"]))
    vocals = stems["vocals"]
    if vocals.any():
        below = 10 ** (-float(rng.uniform(3, 14)) / 10)  # power of the vocals over that of the mixture
        level = mixing.rms_db(backing, SAMPLE_RATE)
        target = level + 10 * np.log10(below / (1 - below)) if np.isfinite(level) else 0.0
        vocals = vocals * np.float32(10 ** ((target - mixing.rms_db(vocals, SAMPLE_RATE)) / 20))
    placed = {"vocals": vocals, **{stem: placed.get(stem, stems[stem]) for stem in STEMS[1:]}}
    mixture = sum(placed.values(), np.zeros_like(vocals))
    level = mixing.rms_db(mixture, SAMPLE_RATE)
    if not np.isfinite(level):
        return placed
    gain = np.float32(10 ** ((float(rng.uniform(-22, -10)) - level) / 20))
    curve = mixing.limiter_gain(mixture * gain, SAMPLE_RATE, 0.97) * gain
    placed = {stem: x * curve for stem, x in placed.items()}
    # A stem alone may be louder than the mixture (they cancel); files hold ±1 at most.
    top = max(np.abs(x).max() for x in (*placed.values(), sum(placed.values())))
    return {stem: x * np.float32(min(1.0, 0.99 / top)) for stem, x in placed.items()}


def _quiet_worker() -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def render(plan: RenderPlan, count: int, jobs: int = 1, *, report=print) -> list[Path]:
    """Render tracks 0 … count-1 that are not there yet, `jobs` at a time, and write LICENSES.txt; returns all folders.

    Raises DatasetError before any work where a program is missing.
    """
    soundfonts.require_fluidsynth() if plan.soundfonts else None
    voices.require_flite() if plan.voices else None
    folders = [track_folder(plan, i) for i in range(count)]
    todo = [i for i, folder in enumerate(folders) if not folder.is_dir()]
    plan.out.mkdir(parents=True, exist_ok=True)
    report(f"{count - len(todo)} of {count} tracks are there, {len(todo)} to render.")
    began = time.monotonic()
    for done, (index, facts) in enumerate(_rendered(plan, todo, jobs), start=1):
        left = (time.monotonic() - began) / done * (len(todo) - done)
        report(f"{done}/{len(todo)} {folders[index].name} ({facts['style']}), {left / 60:.1f} min left")
    write_licences(plan.out)
    return folders


def _rendered(plan: RenderPlan, todo: list[int], jobs: int):
    if jobs <= 1:
        yield from ((i, render_track(plan, i)) for i in todo)
        return
    with ProcessPoolExecutor(jobs, initializer=_quiet_worker) as pool:
        waiting = {pool.submit(render_track, plan, i): i for i in todo}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def write_licences(out: Path) -> None:
    """LICENSES.txt: every track with its sources, from the track.json files."""
    lines = ["Every track is rendered by sepkit's own code from the sources named with it.", ""]
    for file in sorted(out.glob("*/*/track.json")):
        facts = json.loads(file.read_text(encoding="utf-8"))
        lines.append(f"{file.parent.parent.name}/{file.parent.name}: " + "; ".join(facts["sources"]))
    temporary = out / ".LICENSES.txt.part"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(out / "LICENSES.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    p = argparse.ArgumentParser(
        prog="sepkit data render", description="Render a dataset of stems with a clear licence."
    )
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--count", type=int, default=10, help="number of tracks; finished ones are skipped")
    p.add_argument("--seconds", type=float, default=60.0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=1, help="processes")
    p.add_argument("--soundfonts", type=Path, nargs="*", default=[], help="files or folders; default: the system's")
    p.add_argument("--midi", type=Path, help="folder of MIDI files with manifest.csv")
    p.add_argument("--manifest", type=Path, help="default: manifest.csv in the MIDI folder")
    p.add_argument("--licences", nargs="*", default=["BSD-3"], help="MIDI files whose licence contains one of these")
    p.add_argument("--no-voices", action="store_true")
    p.add_argument("--no-soundfonts", action="store_true", help="own synthesisers only")
    a = p.parse_args(arguments)
    try:
        plan = RenderPlan(
            out=a.out,
            seconds=a.seconds,
            seed=a.seed,
            soundfonts=() if a.no_soundfonts else tuple(soundfonts.find_soundfonts(a.soundfonts)),
            midi=midi_files(a.midi, a.manifest, a.licences) if a.midi else (),
            voices=not a.no_voices,
        )
        render(plan, a.count, a.jobs, report=lambda line: print(line, file=sys.stderr, flush=True))
    except SepkitError as error:
        print(f"sepkit data render: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
