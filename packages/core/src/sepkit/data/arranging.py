"""Songs composed by chance: tempo, key, sections, grooves, bass lines, chords, arpeggios, leads and vocal melodies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .bass_lines import BASS_LINES, bass_pattern
from .dice import Random
from .grooves import DRUM_STYLES, drum_bar

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
# How likely a role plays in a section of each kind.
SECTION_ENERGY = {"intro": 0.45, "verse": 0.7, "chorus": 0.95, "break": 0.3, "drop": 0.95, "outro": 0.5}
SECTION_VOICE = {"intro": 0.15, "verse": 0.92, "chorus": 0.92, "break": 0.5, "drop": 0.5, "outro": 0.4}
CHORD_ROLES = ("pad", "comp", "stab", "arp", "pluck", "lead", "riff")


@dataclass(frozen=True)
class Note:
    """One note: when it starts, how long it is held, its MIDI pitch (fractions allowed) and its velocity, 0 to 1."""

    start_seconds: float
    seconds: float
    pitch: float
    velocity: float


@dataclass(frozen=True)
class Part:
    """The notes of one player: `role` says how it should sound, `stem` where it belongs."""

    stem: str
    role: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Song:
    """A composed song: parts, sung phrases, the kick's times (for side-chains) and what style it is in."""

    seconds: float
    beats_per_minute: float
    style: str
    parts: tuple[Part, ...]
    phrases: tuple[tuple[Note, ...], ...]
    kick_seconds: tuple[float, ...] = field(default=())

    @property
    def electronic(self) -> bool:
        """Whether the style is one that machines usually play."""
        return DRUM_STYLES[self.style].electronic


def compose(
    rng: Random, seconds: float, *, electronic: float = 0.7, chord_parts: int | None = None, fullness: float = 1.0
) -> Song:
    """A new song of about `seconds`, all choices from `rng`.

    `electronic` is the chance of an electronic style; `fullness` above 1 leaves fewer parts out of fewer sections.
    """
    machines = bool(rng.random() < electronic)
    names = [name for name, style in DRUM_STYLES.items() if style.electronic == machines]
    name = names[int(rng.integers(len(names)))]
    style = DRUM_STYLES[name]
    tempo = float(rng.uniform(*style.beats_per_minute))
    grid = Grid(rng, tempo, seconds, name, fullness)
    roles = ["pad"] + [str(r) for r in rng.choice(CHORD_ROLES, chord_parts or int(rng.integers(2, 5)), replace=False)]
    parts = [Part("drums", "drums", grid.drums()), Part("bass", "bass", grid.bass())]
    parts += [Part("other", role, grid.chords(role)) for role in dict.fromkeys(roles)]
    kicks = tuple(n.start_seconds for n in parts[0].notes if n.pitch == 36)
    return Song(seconds, tempo, name, tuple(p for p in parts if p.notes), grid.phrases(), kicks)


class Grid:
    """Bars with a section kind and a chord each; turns bar-wise ideas into notes in seconds."""

    def __init__(self, rng: Random, tempo: float, seconds: float, style: str, fullness: float):
        self.rng, self.style, self.fullness = rng, style, fullness
        self.step_seconds = 60 / tempo / 4
        self.swing = float(rng.choice([0, 0, 0, 0.1, 0.2, 0.33]))
        self.root = int(rng.integers(12))
        scale = str(rng.choice(list(SCALES), p=[0.3, 0.35, 0.15, 0.12, 0.08]))
        self.scale = np.array(SCALES[scale])
        self.bars = int(np.ceil(seconds / (16 * self.step_seconds)))
        self.sections = self._sections()
        self.degrees = self._degrees()
        self.tightness = float(
            rng.choice([0.0, 0.002, 0.006, 0.012])
        )  # seconds of random timing, one standard deviation
        self.gate = float(rng.uniform(0.3, 1.0))

    def _sections(self) -> list[tuple[str, int, int]]:
        sections, at = [], 0
        kinds = list(SECTION_ENERGY)
        kind = str(self.rng.choice(kinds[:5], p=[0.2, 0.35, 0.25, 0.08, 0.12]))
        while at < self.bars:
            length = int(self.rng.choice([2, 4, 4, 4, 8]))
            sections.append((kind, at, min(at + length, self.bars)))
            at += length
            kind = str(self.rng.choice([k for k in kinds if k != kind and k != "intro"]))
        return sections

    def _degrees(self) -> list[int]:
        """One scale degree for each bar: a loop of four (or two, or eight) that changes with the section kind."""
        loops: dict[str, list[int]] = {}
        base = [
            [0, 5, 3, 4],
            [0, 4, 5, 3],
            [5, 3, 0, 4],
            [0, 0, 3, 4],
            [0, 3],
            [0, 6, 5, 6],
            [1, 4, 0, 0],
            [0, 2, 3, 5],
        ]
        degrees = []
        for kind, first, last in self.sections:
            if kind not in loops:
                drawn = self.rng.random() < 0.3
                loops[kind] = (
                    [int(d) for d in self.rng.integers(0, 7, 4)]
                    if drawn
                    else list(base[int(self.rng.integers(len(base)))])
                )
            degrees += [loops[kind][(bar - first) % len(loops[kind])] for bar in range(first, last)]
        return degrees

    def pitch(self, degree: int, low: int) -> int:
        """The lowest pitch of a scale degree from `low` up; degrees beyond 0 to 6 go to the next octaves."""
        octave, index = divmod(degree, 7)
        base = self.root + int(self.scale[index])
        return low + (base - low) % 12 + 12 * octave

    def note(self, bar: int, step: float, length_steps: float, pitch: float, velocity: float) -> Note:
        swing = self.swing if int(step) % 2 == 1 else 0.0
        start = (bar * 16 + step + swing) * self.step_seconds + self.rng.normal(0, self.tightness)
        return Note(
            max(0.0, float(start)), length_steps * self.step_seconds, pitch, float(np.clip(velocity, 0.05, 1.0))
        )

    def active(self, chances: dict[str, float], scale: float = 1.0) -> list[tuple[str, int]]:
        """(section kind, bar) of the bars in which a part plays; it enters and leaves at section borders."""
        memory: dict[str, bool] = {}
        bars = []
        for kind, first, last in self.sections:
            if kind not in memory or self.rng.random() < 0.3:
                memory[kind] = bool(self.rng.random() < min(0.97, chances[kind] * scale * self.fullness))
            bars += [(kind, bar) for bar in range(first, last) if memory[kind]]
        return bars

    def drums(self) -> tuple[Note, ...]:
        notes: list[Note] = []
        starts, ends = {s[1] for s in self.sections}, {s[2] - 1 for s in self.sections}
        patterns: dict[str, list[tuple[float, int, float]]] = {}
        for kind, bar in self.active(SECTION_ENERGY, 1.1):
            if kind not in patterns or self.rng.random() < 0.08:
                patterns[kind] = drum_bar(self.rng, self.style, SECTION_ENERGY[kind])
            fill = bar in ends and self.rng.random() < 0.5
            for step, pitch, velocity in patterns[kind]:
                if not (fill and step >= 12):
                    notes.append(self.note(bar, step, 1, pitch, velocity * self.rng.uniform(0.85, 1.0)))
            if fill:
                for step in np.arange(12, 16, float(self.rng.choice([0.5, 1, 1, 2]))):
                    pitch = int(self.rng.choice([38, 38, 41, 45, 47, 50]))
                    notes.append(self.note(bar, step, 1, pitch, 0.5 + 0.1 * (step - 12)))
            if bar in starts and self.rng.random() < 0.5:
                notes.append(self.note(bar, 0, 16, 49, 0.85))
        return tuple(notes)

    def bass(self) -> tuple[Note, ...]:
        notes: list[Note] = []
        low = int(self.rng.integers(28, 36))
        line: dict[str, tuple[str, list[tuple[float, float, int, float]]]] = {}
        for kind, bar in self.active(SECTION_ENERGY):
            if kind not in line:
                chosen = str(self.rng.choice(BASS_LINES))
                line[kind] = (chosen, bass_pattern(self.rng, chosen, self.gate))
            for step, length, offset, velocity in line[kind][1]:
                pitch = self.pitch(self.degrees[bar] % 7, low)
                pitch = pitch + offset if abs(offset) in (0, 12) else self.pitch(self.degrees[bar] % 7 + offset, low)
                notes.append(self.note(bar, step, length, pitch, velocity))
        return tuple(notes)

    def chords(self, role: str) -> tuple[Note, ...]:
        rng = self.rng
        low = int(rng.integers(38, 62)) + (12 if role in ("lead", "arp") and rng.random() < 0.5 else 0)
        size = int(rng.choice([3, 3, 4, 4, 5])) if role != "riff" else 2
        patterns: dict[str, list[tuple[float, float]]] = {}
        melody = {kind: self.melody_pattern() for kind in SECTION_ENERGY}
        order = [int(i) for i in rng.permutation(8)] if rng.random() < 0.4 else list(range(8))
        notes: list[Note] = []
        for kind, bar in self.active(SECTION_ENERGY, 0.85 if role != "lead" else 0.45):
            degree = self.degrees[bar]
            if role in ("lead",):
                for step, length, jump, velocity in melody[kind][bar % 2]:
                    notes.append(self.note(bar, step, length, self.pitch((degree + jump) % 14, low), velocity))
                continue
            voicing = [self.pitch(degree % 7 + 2 * i, low) for i in range(size)]
            if role in ("arp", "pluck"):
                every = 1 if role == "arp" else 2
                for i, step in enumerate(range(0, 16, every)):
                    pitch = voicing[order[i % 8] % size] + 12 * (order[i % 8] // size)
                    notes.append(self.note(bar, step, every * (0.3 + self.gate), pitch, 0.6 + 0.3 * (step % 4 == 0)))
                continue
            if kind not in patterns:
                patterns[kind] = self._chord_rhythm(role)
            for step, length in patterns[kind]:
                strum = float(rng.choice([0, 0, 0.08, 0.15])) if role == "comp" else 0.0
                for i, pitch in enumerate(voicing):
                    notes.append(self.note(bar, step + strum * i, length, pitch, 0.65 + 0.2 * rng.random()))
        return tuple(notes)

    def _chord_rhythm(self, role: str) -> list[tuple[float, float]]:
        rng = self.rng
        if role == "pad":
            return [(0, 16)]
        if role == "stab":
            return [
                (s, float(rng.uniform(0.5, 1.5))) for s in ([2, 6, 10, 14] if rng.random() < 0.5 else [0, 3, 6, 10, 12])
            ]
        if role == "riff":
            return [(s, 1.7) for s in range(0, 16, 2) if rng.random() < 0.85]
        steps = sorted({0, *(int(s) for s in rng.choice(np.arange(2, 16), int(rng.integers(1, 6)), replace=False))})
        return [(s, max(0.8, (e - s) * 0.9)) for s, e in zip(steps, [*steps[1:], 16], strict=True)]

    def melody_pattern(self) -> list[list[tuple[float, float, int, float]]]:
        """Two bars of (step, length, degrees above the chord's root, velocity)."""
        bars = []
        for _ in range(2):
            step, at, bar = int(self.rng.choice([0, 0, 2, 4])), int(self.rng.integers(0, 7)), []
            while step < 16:
                length = int(self.rng.choice([1, 2, 2, 2, 4, 4, 6]))
                if self.rng.random() < 0.8:
                    bar.append((float(step), length * 0.95, at, float(self.rng.uniform(0.6, 0.95))))
                at = int(np.clip(at + self.rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -4]), -3, 10))
                step += length
            bars.append(bar)
        return bars

    def phrases(self) -> tuple[tuple[Note, ...], ...]:
        """Sung phrases of 3 to 10 notes with rests between them; pitches about MIDI 60, for any singer to move."""
        phrases: list[tuple[Note, ...]] = []
        bars = [bar for _, bar in self.active(SECTION_VOICE)]
        hooks = [self.melody_pattern() for _ in range(3)]
        density = float(self.rng.uniform(0.7, 1.0))
        for bar in bars:
            if self.rng.random() > density:
                continue
            pattern = hooks[(bar // 4) % 3][bar % 2]
            notes = [
                self.note(bar, step, max(length, 1.2), self.pitch(self.degrees[bar] % 7 + jump, 52), velocity)
                for step, length, jump, velocity in pattern
                if step < 15
            ]
            if len(notes) >= 2:
                phrases.append(tuple(notes))
        return tuple(phrases)
