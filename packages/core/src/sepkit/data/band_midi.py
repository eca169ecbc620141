"""MIDI files as bass, drums, guitar and piano: where all play, and each stem's own events to be rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .band_arranging import BAND_STEMS
from .soundfonts import timed_events

DRUM_CHANNEL = 9
STEM_OF_PROGRAM = {
    **dict.fromkeys(range(0, 8), "piano"),
    **dict.fromkeys(range(24, 32), "guitar"),
    **dict.fromkeys(range(32, 40), "bass"),
}
"""General MIDI programs from 0 on; all other melodic instruments are left out."""

BANK_CONTROLS = (0, 32)  # soundfonts need not have the banks that a file asks for
STEP_SECONDS = 5.0  # between the places where an excerpt may start
LEAST_SHARE = 0.2  # of an excerpt's seconds: a stem that plays less counts as absent


@dataclass(frozen=True)
class BandMidi:
    """A MIDI file's timed channel messages and, for each note-on and note-off among them, its stem (else "")."""

    path: Path
    events: tuple[tuple[float, Any], ...]
    stems: tuple[str, ...]
    held: dict[str, tuple[tuple[float, float], ...]]  # by stem: when its notes start and end

    @property
    def seconds(self) -> float:
        return self.events[-1][0] if self.events else 0.0


def read_band_midi(path: Path) -> BandMidi:
    """The file's events; channel 10 is the drums, programs say which of the other stems a note is.

    Raises DatasetError where it is no MIDI file, and MissingExtraError where mido is not installed.
    """
    programs, began = dict.fromkeys(range(16), 0), {}
    held: dict[str, list[tuple[float, float]]] = {stem: [] for stem in BAND_STEMS}
    events, stems = [], []
    for now, m in timed_events(path):
        stem = ""
        if m.type == "program_change":
            programs[m.channel] = m.program
        elif m.type == "note_on" and m.velocity:
            stem = "drums" if m.channel == DRUM_CHANNEL else STEM_OF_PROGRAM.get(programs[m.channel], "")
            began[m.channel, m.note] = now, stem
        elif m.type in ("note_on", "note_off") and (m.channel, m.note) in began:
            start, stem = began.pop((m.channel, m.note))
            if stem:
                held[stem].append((start, max(now, start + 0.05)))
        events.append((now, m))
        stems.append(stem)
    return BandMidi(path, tuple(events), tuple(stems), {s: tuple(rows) for s, rows in held.items()})


def playing(midi: BandMidi, start_seconds: float, seconds: float) -> dict[str, float]:
    """Share of an excerpt's seconds in which a stem sounds, for the stems that play enough to count."""
    whole = max(1, round(seconds))
    shares = {}
    for stem, notes in midi.held.items():
        heard: set[int] = set()
        for a, b in notes:
            if b > start_seconds and a < start_seconds + seconds:
                heard.update(range(max(0, int(a - start_seconds)), min(whole - 1, int(b - start_seconds)) + 1))
        if len(heard) >= LEAST_SHARE * whole:
            shares[stem] = len(heard) / whole
    return shares


def excerpts(midi: BandMidi, seconds: float) -> list[tuple[float, dict[str, float]]]:
    """Where excerpts may start, best first: most stems, then the one whose least busy stem plays most."""
    last = max(0.0, midi.seconds - seconds)
    starts = [i * STEP_SECONDS for i in range(int(last / STEP_SECONDS) + 1)]
    found = [(start, playing(midi, start, seconds)) for start in starts]
    return sorted(found, key=lambda row: (-len(row[1]), -min(row[1].values(), default=0.0), row[0]))


def write_stem(
    midi: BandMidi, stem: str, start_seconds: float, seconds: float, out: Path, *, program: int | None = None
) -> None:
    """An excerpt's notes of one stem as a MIDI file of its own, with all controllers and pitch bends.

    `program` takes the place of the stem's own programs, or drum kits. Notes that began earlier are left out.
    """
    import mido

    file = mido.MidiFile(ticks_per_beat=1000)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))  # a tick is a millisecond
    sounding: set[tuple[int, int]] = set()
    now = 0
    for (at, message), of in zip(midi.events, midi.stems, strict=True):
        if at >= start_seconds + seconds:
            break
        note = message.type in ("note_on", "note_off")
        if note:
            key, on = (message.channel, message.note), message.type == "note_on" and message.velocity > 0
            if of != stem or at < start_seconds or (not on and key not in sounding):
                continue
            sounding.add(key) if on else sounding.discard(key)
        elif message.type == "control_change" and message.control in BANK_CONTROLS:
            continue
        elif message.type == "program_change" and program is not None and _plays(message, stem):
            message = message.copy(program=program)
        tick = max(now, round(max(0.0, at - start_seconds) * 1000))
        track.append(message.copy(time=tick - now))
        now = tick
    for channel, pitch in sorted(sounding):
        end = max(now, round(seconds * 1000))
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=end - now))
        now = end
    file.save(out)


def _plays(message: Any, stem: str) -> bool:
    return (message.channel == DRUM_CHANNEL) == (stem == "drums") and (
        stem == "drums" or STEM_OF_PROGRAM.get(message.program) == stem
    )


def one_per_style(rows: Sequence[dict[str, str]], count: int) -> list[dict[str, str]]:
    """`count` rows that take turns over the styles, in the order of the rows."""
    by_style: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_style.setdefault(row.get("style", ""), []).append(row)
    turns = max((len(group) for group in by_style.values()), default=0)
    chosen = [group[i] for i in range(turns) for group in by_style.values() if i < len(group)][:count]
    if not chosen:
        raise DatasetError("no MIDI file is left to choose from: give other --splits, --licences or --least-stems.")
    return chosen
