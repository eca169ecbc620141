"""What a guitarist plays over a song's chords: strummed, picked, power, muted and single-note parts."""

from __future__ import annotations

from collections.abc import Sequence

from .arranging import SECTION_ENERGY, Grid, Note

GUITAR_ROLES = ("strum", "pick", "power", "muted", "lead")
OPEN_STRINGS = (40, 45, 50, 55, 59, 64)
REACH = 5  # frets under one hand

# D: a stroke down, U: one up, x: a muted one. Sixteen steps each.
STRUMS = (
    "D...D.U...U.D.U.",
    "D...D...D...D...",
    "D.D.D.D.D.D.D.D.",
    "D..UD..UD..UD..U",
    "D...............",
    "D.......D.....DU",
    "..U...U...U...U.",
    "D.xUD.xUD.xUD.xU",
    "D..D..D..D..D.U.",
    "DxxUxxDUxxDxUxDU",
)
# Strings of a chord, 0 the lowest, counted upwards.
PICKS = ("0.2.3.2.1.2.3.2.", "0.2.1.3.0.2.1.3.", "0.1.2.3.4.3.2.1.", "0234023402340234", "0.3.2.3.0.3.2.3.", "02341432")
# X: the chord, held until the next mark; m: its root, stopped by the palm.
POWERS = (
    "X.......X.......",
    "X...............",
    "X.X.X.X.X.X.X.X.",
    "XmmmXmmmXmmmXmmm",
    "X.m.m.X.m.m.X.m.",
    "XmmXmmXmmXmmX.m.",
    "X...X...X.X...X.",
    "Xm.mXm.mX.X.Xm.m",
)
# r root, f fifth, o octave, c: two tones of the chord at once.
CHUGS = (
    "r.r.r.r.r.r.r.r.",
    "r.rrr.rrr.rrr.rr",
    "..c...c...c...c.",
    "c..c..c.c..c..c.",
    "r.o.r.f.r.o.r.f.",
    ".cc..cc..cc..cc.",
)


def guitar_notes(grid: Grid, role: str) -> tuple[Note, ...]:
    """The notes of one guitar in the manner of a role of GUITAR_ROLES; all choices from the grid's own draws."""
    return tuple(_PLAYERS[role](grid))


def chord_classes(grid: Grid, bar: int, tones: int) -> list[int]:
    """Pitch classes of a bar's chord, its root first, in thirds."""
    return [grid.pitch(grid.degrees[bar] % 7 + 2 * i, 36) % 12 for i in range(tones)]


def guitar_voicing(classes: Sequence[int], fret: int) -> list[int]:
    """A chord on six strings within a hand's reach above a fret: pitches from the lowest string that sounds up.

    The lowest is the root, `classes[0]`: strings below it stay silent, as players leave them.
    """
    reachable = [range(string + fret, string + fret + REACH) for string in OPEN_STRINGS]
    first = next(i for i, frets in enumerate(reachable) if any(p % 12 == classes[0] % 12 for p in frets))
    root = next(p for p in reachable[first] if p % 12 == classes[0] % 12)
    allowed = {c % 12 for c in classes}
    upper = (next((p for p in frets if p % 12 in allowed), None) for frets in reachable[first + 1 :])
    return [root, *(p for p in upper if p is not None)]


def _strummed(grid: Grid) -> list[Note]:
    rng, notes = grid.rng, []
    fret, tones = int(rng.choice([0, 0, 2, 3, 5, 7])), int(rng.choice([3, 3, 3, 4]))
    lag = float(rng.uniform(0.005, 0.02)) / grid.step_seconds  # steps from string to string
    patterns: dict[str, str] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        pattern = patterns.setdefault(kind, STRUMS[int(rng.integers(len(STRUMS)))])
        chord = guitar_voicing(chord_classes(grid, bar, tones), fret)
        for step, mark, held in _marks(pattern):
            strings = chord[::-1][:4] if mark == "U" else chord
            length = 0.35 if mark == "x" else held
            loud = {"D": 0.8, "U": 0.6, "x": 0.35}[mark] + float(rng.uniform(-0.1, 0.1)) + 0.1 * (step % 8 == 0)
            notes += [grid.note(bar, step + i * lag, length, p, loud * 0.96**i) for i, p in enumerate(strings)]
    return notes


def _picked(grid: Grid) -> list[Note]:
    rng, notes = grid.rng, []
    fret, tones = int(rng.choice([0, 0, 2, 5, 7])), int(rng.choice([3, 3, 4]))
    ring = float(rng.uniform(2.0, 10.0))  # steps that a string sounds on
    patterns: dict[str, str] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        pattern = patterns.setdefault(kind, PICKS[int(rng.integers(len(PICKS)))])
        chord = guitar_voicing(chord_classes(grid, bar, tones), fret)
        every = 16 // len(pattern)
        for i, mark in enumerate(pattern):
            if mark != ".":
                step, string = i * every, min(int(mark), len(chord) - 1)
                loud = (0.8 if string == 0 else 0.62) + float(rng.uniform(-0.08, 0.08))
                notes.append(grid.note(bar, step, min(ring, 16 - step + 0.5), chord[string], loud))
    return notes


def _powered(grid: Grid) -> list[Note]:
    rng, notes = grid.rng, []
    octave = bool(rng.random() < 0.7)
    patterns: dict[str, str] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        pattern = patterns.setdefault(kind, POWERS[int(rng.integers(len(POWERS)))])
        root = OPEN_STRINGS[0] + (chord_classes(grid, bar, 1)[0] - OPEN_STRINGS[0]) % 12
        for step, mark, held in _marks(pattern):
            chord = [root, root + 7, root + 12][: 3 if octave else 2] if mark == "X" else [root]
            loud = (0.9 if mark == "X" else 0.65) + float(rng.uniform(-0.08, 0.08))
            notes += [grid.note(bar, step, held * 0.95 if mark == "X" else 0.6, p, loud) for p in chord]
    return notes


def _muted(grid: Grid) -> list[Note]:
    rng, notes = grid.rng, []
    low = int(rng.choice([40, 45, 52]))
    patterns: dict[str, str] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        pattern = patterns.setdefault(kind, CHUGS[int(rng.integers(len(CHUGS)))])
        tones = chord_classes(grid, bar, 3)
        root, third, fifth = (low + (c - low) % 12 for c in tones)
        pitches = {"r": [root], "f": [fifth], "o": [root + 12], "c": [12 + third, 12 + fifth]}
        for step, mark, _ in _marks(pattern):
            loud = 0.7 + 0.15 * (step % 4 == 0) + float(rng.uniform(-0.1, 0.1))
            notes += [grid.note(bar, step, 0.55, p, loud) for p in pitches[mark]]
    return notes


def _lead(grid: Grid) -> list[Note]:
    rng, notes = grid.rng, []
    low = int(rng.integers(50, 62))
    melody = {kind: grid.melody_pattern() for kind in SECTION_ENERGY}
    for kind, bar in grid.active(SECTION_ENERGY, 0.7):
        for step, length, jump, velocity in melody[kind][bar % 2]:
            pitch = grid.pitch((grid.degrees[bar] + jump) % 14, low)
            notes.append(grid.note(bar, step, length, pitch, velocity))
            if velocity > 0.9:  # a double stop now and then
                third = grid.pitch((grid.degrees[bar] + jump + 2) % 14, low)
                notes.append(grid.note(bar, step, length, third, velocity * 0.9))
    return notes


_PLAYERS = {"strum": _strummed, "pick": _picked, "power": _powered, "muted": _muted, "lead": _lead}


def _marks(pattern: str) -> list[tuple[int, str, float]]:
    """(step, mark, steps until the next mark or the bar's end) of a pattern."""
    steps = [step for step, mark in enumerate(pattern) if mark != "."]
    return [(a, pattern[a], float(b - a)) for a, b in zip(steps, [*steps[1:], len(pattern)], strict=True)]
