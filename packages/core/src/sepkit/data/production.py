"""One song as a record would have it: composed or from MIDI, played, sung, mixed and levelled, as four stems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import mixing, soundfonts, voices
from .arranging import Part, Song, compose
from .dice import Random
from .drum_machine import DrumMachine
from .instruments import play, random_patch
from .song_maker import SAMPLE_RATE, SEED_RANGES, STEMS, made_stems
from .vowels import random_vowel_singer, sing_vowels

ABSENT = {"vocals": 0.06, "drums": 0.07, "bass": 0.07, "other": 0.03}
OWN_SOUND = "sound synthesised by sepkit's own code"


@dataclass(frozen=True)
class Ingredients:
    """What songs are made from: how long they are, which sources they may use, and how often."""

    seconds: float = 60.0
    soundfonts: tuple[Path, ...] = ()
    midi: tuple[tuple[Path, str, str], ...] = ()  # file, split, licence
    midi_chance: float = 0.2
    made_chance: float = 0.1  # of a song made whole by our own code, from the training (or validation) seeds
    voices: bool = True


def produced_track(
    ingredients: Ingredients, rng: Random, split: str
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Stems (2, t) float32 within ±1, whose sum is within ±1 too, and the facts of how they were made."""
    absent = {stem for stem, chance in ABSENT.items() if rng.random() < chance}
    if rng.random() < ingredients.made_chance:
        seeds = SEED_RANGES["train" if split == "train" else "valid"]
        number = seeds[int(rng.integers(len(seeds)))]
        stems, style = made_stems(number, ingredients.seconds)
        stems = {stem: x * np.float32(stem not in absent) for stem, x in stems.items()}
        stems = {stem: mixing.equalised(rng, x, SAMPLE_RATE, stem) for stem, x in stems.items()}
        return _balanced(rng, stems), {"style": f"made {style}", "song_seed": number, "sources": [OWN_SOUND]}
    length = round(ingredients.seconds * SAMPLE_RATE)
    sources: set[str] = set()
    song, programs, style = _score(ingredients, rng, split, sources)
    stems = {stem: np.zeros((2, length), dtype=np.float32) for stem in STEMS}
    room = mixing.impulse_response(rng, SAMPLE_RATE, float(np.exp(rng.uniform(np.log(0.3), np.log(3.0)))))
    for i, part in enumerate(song.parts):
        if part.stem not in absent:
            played = _played(ingredients, rng, song, part, programs.get(i), length, sources)
            stems[part.stem] += _dressed(rng, played, song, part)
    if "vocals" not in absent and song.phrases:
        stems["vocals"] = _vocals(ingredients, rng, song, length, room, sources)
    for stem in STEMS[1:]:
        stems[stem] = _bus(rng, stems[stem], stem, room, song)
    facts = {"style": style, "beats_per_minute": round(song.beats_per_minute, 2), "sources": sorted(sources)}
    return _balanced(rng, stems), facts


def _score(ingredients: Ingredients, rng: Random, split: str, sources: set[str]) -> tuple[Song, dict[int, int], str]:
    """The notes to play: a composed song, or a MIDI file with composed sung phrases; programs by part; the style."""
    song = compose(rng, ingredients.seconds, chord_parts=int(rng.integers(1, 5)))
    files = [row for row in ingredients.midi if (row[1] == "train") == (split == "train")]
    if not files or rng.random() >= ingredients.midi_chance:
        return song, {}, song.style
    path, _, licence = files[int(rng.integers(len(files)))]
    midi, programs = soundfonts.song_from_midi(path, float(rng.choice([0, 0, 20])), ingredients.seconds)
    if not midi.parts:
        return song, {}, song.style
    sources.add(f"MIDI {path.parent.name}/{path.name}: {licence}")
    played = replace(song, style="rock", parts=midi.parts, kick_seconds=midi.kick_seconds)
    return played, programs, f"midi {path.name}"


def _played(
    ingredients: Ingredients,
    rng: Random,
    song: Song,
    part: Part,
    program: int | None,
    length: int,
    sources: set[str],
) -> np.ndarray:
    electronic = (program is None and rng.random() < (0.75 if song.electronic else 0.2)) or not ingredients.soundfonts
    if electronic:
        sources.add(OWN_SOUND)
        if part.stem == "drums":
            return DrumMachine(rng, SAMPLE_RATE).play(part.notes, length)
        return play(random_patch(rng, part.role), part.notes, length, SAMPLE_RATE, rng)
    font = ingredients.soundfonts[int(rng.integers(len(ingredients.soundfonts)))]
    sources.add(f"soundfont {soundfonts.soundfont_licence(font)}")
    choices = soundfonts.DRUM_KITS if part.stem == "drums" else soundfonts.PROGRAMS.get(part.role, (0,))
    drawn = int(rng.choice(choices)) if program is None or part.stem == "drums" else program
    return soundfonts.play_notes(part.notes, drawn, part.stem == "drums", font, length, SAMPLE_RATE)


def _dressed(rng: Random, x: np.ndarray, song: Song, part: Part) -> np.ndarray:
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


def _bus(rng: Random, x: np.ndarray, stem: str, room: np.ndarray, song: Song) -> np.ndarray:
    """A stem's group: reverb send, compressor, side-chain."""
    if not x.any():
        return x
    send = {"drums": 0.2, "bass": 0.04, "other": 0.3}[stem] * float(rng.uniform(0, 1.5))
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


def _vocals(
    ingredients: Ingredients, rng: Random, song: Song, length: int, room: np.ndarray, sources: set[str]
) -> np.ndarray:
    """The vocal stem: sung words, or vowels where there are no voices (at times anyway), with a singer's effects."""
    if ingredients.voices and rng.random() > 0.12:
        lead, backing = voices.vocal_stem(rng, song.phrases, length, SAMPLE_RATE)
        x = lead + np.float32(rng.uniform(0.4, 1.2)) * backing
        sources.add(voices.VOICE_LICENCE)
    else:
        x = sing_vowels(rng, random_vowel_singer(rng), song.phrases, length, SAMPLE_RATE)
        x = np.stack([x, x])
        sources.add(OWN_SOUND)
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


def _balanced(rng: Random, stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Levels as on records: vocals 3 to 14 dB below the mixture, the others by chance, one limiter for all stems."""
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
