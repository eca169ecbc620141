"""A song for bass, drums, guitar and piano as on a record: composed or from MIDI, played, mixed, levelled."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from . import mixing, soundfonts
from .arranging import Part
from .band_arranging import BAND_STEMS, compose_band
from .band_maker import made_band_stems, own_sound
from .band_midi import BandMidi, excerpts, read_band_midi, write_stem
from .dice import Random
from .production import OWN_SOUND
from .song_maker import SAMPLE_RATE, SEED_RANGES, levelled

TRAINING_FONTS = ("fluidr3", "musescore")
HELD_OUT_FONTS = ("gmbank", "timgm6mb")
"""Parts of file names. MuseScore_General is made from FluidR3, and TimGM6mb shares most samples with sf_GMbank, so each
pair is on one side; no sample is on both."""

GUITAR_PROGRAMS = {
    "strum": (24, 25, 25, 25, 26, 27),
    "pick": (24, 24, 25, 25, 26, 27),
    "power": (29, 30, 30, 29),
    "muted": (28, 28, 27, 29),
    "lead": (26, 27, 29, 29, 30, 30, 31),
}
PIANO_PROGRAMS = (0, 0, 0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7)
PRODUCED_LEVELS_DB: dict[str, tuple[float, float]] = {
    "bass": (-10, -5),
    "drums": (-9, -3),
    "guitar": (-11, -3),
    "piano": (-11, -3),
}
SENDS = {"bass": 0.04, "drums": 0.2, "guitar": 0.25, "piano": 0.25}


@dataclass(frozen=True)
class BandIngredients:
    """What band songs are made from: how long they are, which sources they may use, and how often."""

    seconds: float = 40.0
    soundfonts: tuple[Path, ...] = ()
    midi: tuple[tuple[Path, str], ...] = ()  # file, licence: of this split only
    midi_chance: float = 0.3
    made_chance: float = 0.1  # of a song made whole by our own code, from the training (or validation) seeds
    own_chance: float = 0.25  # of a part played by our own instruments in a song that has soundfonts
    held_out: bool = False  # styles that no training song has


def band_fonts(paths: Sequence[Path] = (), *, held_out: bool) -> tuple[Path, ...]:
    """The soundfonts given, else the system's, that are for training, or those held out for tests.

    Raises DatasetError where none is left, and where a held-out font is given for training.
    """
    found = soundfonts.find_soundfonts(paths)
    kept = [f for f in found if _known(f, HELD_OUT_FONTS)] if held_out else _for_training(found, bool(paths))
    if not kept:
        names = ", ".join(HELD_OUT_FONTS if held_out else TRAINING_FONTS)
        raise DatasetError(
            f"None of {', '.join(f.name for f in found)} is a soundfont for "
            f"{'tests' if held_out else 'training'} ({names}): install one, or give --soundfonts PATH."
        )
    return tuple(kept)


def _known(font: Path, names: tuple[str, ...]) -> bool:
    return any(name in font.name.lower() for name in names)


def _for_training(found: list[Path], given: bool) -> list[Path]:
    held_out = [f.name for f in found if _known(f, HELD_OUT_FONTS)]
    if given and held_out:
        raise DatasetError(f"{', '.join(held_out)} is held out for tests: give other --soundfonts for training.")
    return found if given else [f for f in found if _known(f, TRAINING_FONTS)]


def produced_band(
    ingredients: BandIngredients, rng: Random, split: str
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Stems (2, t) float32 on the 16-bit grid, their sum within ±1, and the facts of how they were made.

    Stems that the song does not have are left out.
    """
    drawn = rng.random()
    if drawn < ingredients.made_chance:
        seeds = SEED_RANGES["test" if ingredients.held_out else "train" if split == "train" else "valid"]
        number = seeds[int(rng.integers(len(seeds)))]
        stems, style = made_band_stems(number, ingredients.seconds)
        return stems, {"style": f"made {style}", "song_seed": number, "sources": [OWN_SOUND]}
    if ingredients.midi and drawn < ingredients.made_chance + ingredients.midi_chance:
        path, licence = ingredients.midi[int(rng.integers(len(ingredients.midi)))]
        midi = read_band_midi(path)
        found = excerpts(midi, ingredients.seconds)
        best = [row for row in found if len(row[1]) == len(found[0][1])]
        if len(found[0][1]) >= 2:
            return played_midi(midi, licence, best[int(rng.integers(len(best)))], ingredients, rng, as_written=False)
    return _composed(ingredients, rng)


def _composed(ingredients: BandIngredients, rng: Random) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    length, sources = round(ingredients.seconds * SAMPLE_RATE), set[str]()
    song = compose_band(rng, ingredients.seconds, held_out=ingredients.held_out)
    stems: dict[str, np.ndarray] = {}
    for part in song.parts:
        x = _dressed(rng, _played(ingredients, rng, part, length, sources), part.stem)
        stems[part.stem] = stems[part.stem] + x if part.stem in stems else x
    facts = {"style": song.style, "beats_per_minute": round(song.beats_per_minute, 2), "sources": sorted(sources)}
    return _mixed(rng, stems, facts)


def _played(ingredients: BandIngredients, rng: Random, part: Part, length: int, sources: set[str]) -> np.ndarray:
    if not ingredients.soundfonts or rng.random() < ingredients.own_chance:
        sources.add(OWN_SOUND)
        return own_sound(rng, part, length)
    font = ingredients.soundfonts[int(rng.integers(len(ingredients.soundfonts)))]
    sources.add(f"soundfont {soundfonts.soundfont_licence(font)}")
    program = int(rng.choice(_programs(part.stem, part.role)))
    return soundfonts.play_notes(part.notes, program, part.stem == "drums", font, length, SAMPLE_RATE)


def _programs(stem: str, role: str | None = None) -> tuple[int, ...]:
    if stem == "guitar":
        return GUITAR_PROGRAMS[role] if role else tuple(p for row in GUITAR_PROGRAMS.values() for p in row)
    return {"drums": soundfonts.DRUM_KITS, "bass": soundfonts.PROGRAMS["bass"], "piano": PIANO_PROGRAMS}[stem]


def played_midi(
    midi: BandMidi,
    licence: str,
    excerpt: tuple[float, dict[str, float]],
    ingredients: BandIngredients,
    rng: Random,
    *,
    as_written: bool,
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """An excerpt of a MIDI file, each stem with a soundfont; `as_written` keeps its instruments and one font for all.

    Otherwise half of the stems get another instrument of their kind. Raises DatasetError without a soundfont.
    """
    if not ingredients.soundfonts:
        raise DatasetError(f"playing {midi.path.name} needs a soundfont: apt-get install fluid-soundfont-gm.")
    start, shares = excerpt
    length, sources, stems = round(ingredients.seconds * SAMPLE_RATE), set[str](), {}
    one = ingredients.soundfonts[int(rng.integers(len(ingredients.soundfonts)))]
    for stem in (s for s in BAND_STEMS if s in shares):
        font = one if as_written else ingredients.soundfonts[int(rng.integers(len(ingredients.soundfonts)))]
        drawn = int(rng.choice(_programs(stem)))
        program = drawn if not as_written and rng.random() < 0.5 else None
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stem.mid"
            write_stem(midi, stem, start, ingredients.seconds, file, program=program)
            x = soundfonts.play_midi(file, font, length, SAMPLE_RATE)
        if np.isfinite(mixing.rms_db(x, SAMPLE_RATE)):
            stems[stem] = _dressed(rng, x, stem)
            sources.add(f"soundfont {soundfonts.soundfont_licence(font)}")
    sources.add(f"MIDI {midi.path.parent.name}/{midi.path.name}: {licence}")
    facts = {"style": f"midi {midi.path.stem}", "start_seconds": start, "sources": sorted(sources)}
    return _mixed(rng, stems, facts)


def _dressed(rng: Random, x: np.ndarray, stem: str) -> np.ndarray:
    """One player's channel: level, place, sometimes dirt, an equaliser."""
    level = mixing.rms_db(x, SAMPLE_RATE)
    if not np.isfinite(level):
        return x
    x = x * np.float32(10 ** ((-20 - level + rng.uniform(-3, 1)) / 20))
    if stem in ("guitar", "piano"):
        x = mixing.placed(x, float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.4, 1.3)))
    if rng.random() < {"guitar": 0.35, "bass": 0.3}.get(stem, 0.1):
        x = mixing.saturated(x, float(rng.uniform(0.3, 4)))
    return mixing.equalised(rng, x, SAMPLE_RATE, stem)


def _mixed(
    rng: Random, stems: dict[str, np.ndarray], facts: dict[str, object]
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Reverb, compressors and levels; silent stems are left out."""
    stems = {s: stems[s] for s in BAND_STEMS if s in stems and np.isfinite(mixing.rms_db(stems[s], SAMPLE_RATE))}
    if not stems:
        raise DatasetError(f"nothing sounds in a song in the style {facts['style']}.")
    room = mixing.impulse_response(rng, SAMPLE_RATE, float(np.exp(rng.uniform(np.log(0.3), np.log(2.0)))))
    for stem, x in stems.items():
        send = SENDS[stem] * float(rng.uniform(0, 1.3))
        if send > 0.03:
            x = x + np.float32(send) * mixing.convolved(x, room)
        if rng.random() < 0.5:
            threshold_db, ratio = float(rng.uniform(-4, 3)), float(rng.uniform(1.5, 4))
            attack, release = float(rng.uniform(0.002, 0.03)), float(rng.uniform(0.05, 0.3))
            x = mixing.compressed(x, SAMPLE_RATE, threshold_db, ratio, attack, release)
        stems[stem] = x
    return levelled(rng, stems, PRODUCED_LEVELS_DB), facts
