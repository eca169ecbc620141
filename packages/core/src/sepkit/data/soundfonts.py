"""Notes and MIDI files played with soundfonts: which fonts, instruments and licences, and the notes themselves."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError, MissingExtraError
from .arranging import Note, Part, Song
from .soundfont_players import play_file

SOUNDFONT_FOLDERS = (
    "/usr/share/sounds",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
PROGRAMS = {
    "bass": (32, 33, 33, 34, 35, 36, 37, 38, 39, 39),
    "pad": (16, 18, 19, 48, 49, 50, 51, 88, 89, 90, 91, 92, 94, 95),
    "comp": (0, 0, 1, 2, 4, 5, 6, 7, 24, 25, 26, 27, 16, 17),
    "stab": (2, 4, 27, 28, 61, 62, 63, 80, 81, 16),
    "arp": (4, 5, 11, 12, 13, 45, 46, 80, 81, 8, 9, 10),
    "pluck": (24, 25, 26, 27, 28, 45, 46, 104, 105, 106, 107, 12, 13),
    "lead": (40, 41, 56, 57, 59, 60, 64, 65, 66, 68, 71, 73, 74, 75, 78, 80, 81, 22, 26, 29, 30),
    "riff": (27, 28, 29, 30, 29, 30, 81, 62),
}
DRUM_KITS = (0, 0, 8, 16, 24, 25, 32, 40)
STEM_OF_PROGRAM = {**dict.fromkeys(range(32, 40), "bass"), **dict.fromkeys(range(52, 55), "vocals")}
LICENCES = {
    "fluidr3": "FluidR3_GM, MIT (Frank Wen)",
    "musescore": "MuseScore_General, MIT (S. Christian Collins and others, from FluidR3)",
    "default-gm": "MuseScore_General, MIT (S. Christian Collins and others, from FluidR3)",
    "gmbank": "csound GM bank sf_GMbank, public domain",
    "timgm6mb": "TimGM6mb, GPL-2 (Tim Brechbill and David Bolton)",
}


def find_soundfonts(paths: Sequence[Path] = ()) -> list[Path]:
    """The soundfonts given (files or folders), or those of the system; one path for each file content.

    Raises DatasetError where there is none, with the install line.
    """
    roots = [Path(p) for p in paths] or [Path(p) for p in SOUNDFONT_FOLDERS]
    found = [f for root in roots for f in (root.rglob("*.sf[23]") if root.is_dir() else [root])]
    unique = {f.resolve(): f.resolve() for f in sorted(found) if f.is_file()}
    if not unique:
        raise DatasetError(
            f"No soundfont (.sf2, .sf3) in {', '.join(map(str, roots))}: "
            "apt-get install fluid-soundfont-gm, or give --soundfonts PATH."
        )
    return sorted(unique.values())


def soundfont_licence(font: Path) -> str:
    """What the file's name says of its licence; `unknown licence` where we do not know the file."""
    return next(
        (text for key, text in LICENCES.items() if key in font.name.lower()), f"{font.name}: unknown licence, check it"
    )


def _mido() -> Any:
    try:
        import mido
    except ImportError as error:
        raise MissingExtraError("mido", "render", "Rendering MIDI") from error
    return mido


def play_midi(path: Path, font: Path, length_samples: int, sample_rate: int) -> np.ndarray:
    """A MIDI file as (2, length) float32, dry, by the player that is installed."""
    return play_file(path, font, length_samples, sample_rate)


def play_notes(
    notes: Sequence[Note], program: int, drums: bool, font: Path, length_samples: int, sample_rate: int
) -> np.ndarray:
    """Notes on one General MIDI program, or on a drum kit, as (2, length) float32."""
    mido = _mido()
    file, channel = mido.MidiFile(ticks_per_beat=1000), 9 if drums else 0
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))  # a tick is a millisecond
    track.append(mido.Message("program_change", channel=channel, program=program))
    events = []
    for n in notes:
        on, pitch = round(n.start_seconds * 1000), int(np.clip(round(n.pitch), 0, 127))
        events.append((on, 1, pitch, int(np.clip(n.velocity * 120, 5, 127))))
        events.append((max(on + 10, round((n.start_seconds + n.seconds) * 1000) - 2), 0, pitch, 0))
    now = 0
    for tick, on, pitch, velocity in sorted(events):
        track.append(
            mido.Message(
                "note_on" if on else "note_off", channel=channel, note=pitch, velocity=velocity, time=tick - now
            )
        )
        now = tick
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.mid"
        file.save(path)
        return play_midi(path, font, length_samples, sample_rate)


def song_from_midi(path: Path, start_seconds: float, seconds: float) -> tuple[Song, dict[int, int]]:
    """The notes of a MIDI file between two times, a part for each instrument, and each part's GM program by index.

    Channel 10 is the drums, programs 33-40 (GM numbering) the bass, choirs are left out, all else is `other`.
    """
    events = timed_events(path)
    programs, held, notes = dict.fromkeys(range(16), 0), {}, defaultdict(list)
    for now, message in events:
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            held[message.channel, message.note] = (
                now,
                message.velocity,
                -1 if message.channel == 9 else programs[message.channel],
            )
        elif message.type in ("note_on", "note_off") and (message.channel, message.note) in held:
            began, velocity, program = held.pop((message.channel, message.note))
            if start_seconds <= began < start_seconds + seconds:
                notes[program].append(Note(began - start_seconds, max(0.02, now - began), message.note, velocity / 127))
    parts: list[Part] = []
    program_of: dict[int, int] = {}
    for program, rows in sorted(notes.items()):
        stem = "drums" if program == -1 else STEM_OF_PROGRAM.get(program, "other")
        if stem != "vocals":
            program_of[len(parts)] = max(program, 0)
            parts.append(
                Part(
                    stem,
                    "drums" if stem == "drums" else "bass" if stem == "bass" else "midi",
                    tuple(sorted(rows, key=lambda n: n.start_seconds)),
                )
            )
    kicks = tuple(n.start_seconds for p in parts if p.stem == "drums" for n in p.notes if n.pitch in (35, 36))
    return Song(seconds, 120.0, "rock", tuple(parts), (), kicks), program_of


def timed_events(path: Path) -> list[tuple[float, Any]]:
    """(seconds, message) of a MIDI file's channel messages, all tracks merged.

    Raises DatasetError where it is no MIDI file, and MissingExtraError where mido is not installed.
    """
    mido = _mido()
    events, now = [], 0.0
    try:
        for message in mido.MidiFile(path, clip=True):
            now += message.time
            if not message.is_meta and message.type != "sysex":
                events.append((now, message))
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise DatasetError(f"{path} is not a MIDI file that can be read: {error}.") from error
    return events
