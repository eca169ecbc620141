"""What a pianist plays over a song's chords: comping, block chords, arpeggios, stride, ballads and a melody."""

from __future__ import annotations

import numpy as np

from .arranging import SECTION_ENERGY, Grid, Note
from .band_guitar_parts import chord_classes

PIANO_ROLES = ("comp", "blocks", "arp", "stride", "ballad", "melody")
LEFT_LOW = 36  # the left hand's lowest root


def piano_notes(grid: Grid, role: str) -> tuple[Note, ...]:
    """The notes of one piano in the manner of a role of PIANO_ROLES; all choices from the grid's own draws."""
    return tuple(_PLAYERS[role](grid))


class _Hands:
    """Two hands on a song's chords; the right one's inversions move as little as they can from chord to chord."""

    def __init__(self, grid: Grid):
        rng = grid.rng
        self.grid = grid
        self.tones = int(rng.choice([3, 3, 4]))
        self.low = int(rng.integers(52, 64))
        self.pedal = bool(rng.random() < 0.5)  # held: tones sound until the chord changes

    def right(self, bar: int) -> list[int]:
        return sorted(self.low + (c - self.low) % 12 for c in chord_classes(self.grid, bar, self.tones))

    def root(self, bar: int) -> int:
        return LEFT_LOW + (chord_classes(self.grid, bar, 1)[0] - LEFT_LOW) % 12

    def held(self, step: float, length: float) -> float:
        return max(length, 15.8 - step) if self.pedal else length

    def press(self, bar: int, step: float, length: float, pitches: list[int], velocity: float) -> list[Note]:
        """The pitches struck together, each a little differently."""
        uneven = self.grid.rng.uniform(-0.06, 0.06, len(pitches))
        held = self.held(step, length)
        return [
            self.grid.note(bar, step, held, pitch, velocity + float(d))
            for pitch, d in zip(pitches, uneven, strict=True)
        ]


def _comped(grid: Grid) -> list[Note]:
    rng, hands, notes = grid.rng, _Hands(grid), []
    left = bool(rng.random() < 0.6)
    rhythms: dict[str, list[tuple[int, float]]] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        if kind not in rhythms:
            steps = sorted(
                int(s) for s in rng.choice(np.arange(0, 16), int(rng.choice([2, 3, 4, 5, 6])), replace=False)
            )
            gate = float(rng.uniform(0.3, 0.95))
            rhythms[kind] = [
                (s, max(0.7, (e - s) * gate)) for s, e in zip(steps, [*steps[1:], 16 + steps[0]], strict=True)
            ]
        for step, length in rhythms[kind]:
            notes += hands.press(bar, step, min(length, 16 - step), hands.right(bar), 0.68)
        if left:
            notes += hands.press(bar, 0, 7, [hands.root(bar)], 0.7)
            notes += hands.press(bar, 8, 7, [hands.root(bar)], 0.6)
    return notes


def _blocks(grid: Grid) -> list[Note]:
    hands, notes = _Hands(grid), []
    every = int(grid.rng.choice([2, 4, 4, 8, 16]))
    for _, bar in grid.active(SECTION_ENERGY, 1.0):
        for step in range(0, 16, every):
            notes += hands.press(bar, step, every * 0.9, hands.right(bar), 0.65 + 0.12 * (step % 8 == 0))
        notes += hands.press(bar, 0, 15, [hands.root(bar), hands.root(bar) + 12], 0.72)
    return notes


def _broken(grid: Grid) -> list[Note]:
    rng, hands, notes = grid.rng, _Hands(grid), []
    every = int(rng.choice([1, 2, 2]))
    ups: dict[str, list[int]] = {}
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        chord = hands.right(bar)
        ladder = [*chord, *(p + 12 for p in chord)]
        if kind not in ups:
            order = list(range(len(ladder)))
            turned = [*order, *order[-2:0:-1]]
            ups[kind] = [turned, order, order[::-1], [0, 2, 1, 2]][int(rng.integers(4))]
        for i, step in enumerate(range(0, 16, every)):
            pitch = ladder[ups[kind][i % len(ups[kind])]]
            notes += hands.press(bar, step, every * 0.95, [pitch], 0.6 + 0.12 * (step % 4 == 0))
        notes += hands.press(bar, 0, 15, [hands.root(bar)], 0.7)
    return notes


def _stride(grid: Grid) -> list[Note]:
    rng, hands, notes = grid.rng, _Hands(grid), []
    melody = {kind: grid.melody_pattern() for kind in SECTION_ENERGY}
    tune = bool(rng.random() < 0.6)
    for kind, bar in grid.active(SECTION_ENERGY, 1.0):
        root = hands.root(bar)
        for step, bass in ((0, root), (8, root - 5 if root >= LEFT_LOW + 5 else root + 7)):
            notes += hands.press(bar, step, 3.5, [bass], 0.75)
            notes += hands.press(bar, step + 4, 2.5, [p - 12 if p > 60 else p for p in hands.right(bar)], 0.55)
        if tune:
            notes += _tune(grid, hands, bar, melody[kind][bar % 2], [0])
    return notes


def _ballad(grid: Grid) -> list[Note]:
    hands, notes = _Hands(grid), []
    hands.pedal = True
    halves = bool(grid.rng.random() < 0.6)
    for _, bar in grid.active(SECTION_ENERGY, 1.0):
        root = hands.root(bar)
        for i, step in enumerate(range(0, 16, 2)):
            notes += hands.press(bar, step, 2, [root + (0, 7, 12, 7)[i % 4]], 0.5 + 0.1 * (i == 0))
        for step in (0, 8) if halves else (0,):
            notes += hands.press(bar, step, 8, hands.right(bar), 0.6)
    return notes


def _melody(grid: Grid) -> list[Note]:
    rng, hands, notes = grid.rng, _Hands(grid), []
    hands.pedal = False
    melody = {kind: grid.melody_pattern() for kind in SECTION_ENERGY}
    octaves = [0, 12] if rng.random() < 0.4 else [0]
    for kind, bar in grid.active(SECTION_ENERGY, 0.9):
        notes += hands.press(bar, 0, 15, [hands.root(bar), hands.root(bar) + 7], 0.55)
        notes += _tune(grid, hands, bar, melody[kind][bar % 2], octaves)
    return notes


def _tune(
    grid: Grid, hands: _Hands, bar: int, pattern: list[tuple[float, float, int, float]], octaves: list[int]
) -> list[Note]:
    notes = []
    for step, length, jump, velocity in pattern:
        pitch = grid.pitch((grid.degrees[bar] + jump) % 14, hands.low + 7)
        notes += [grid.note(bar, step, length, pitch + octave, velocity) for octave in octaves]
    return notes


_PLAYERS = {
    "comp": _comped,
    "blocks": _blocks,
    "arp": _broken,
    "stride": _stride,
    "ballad": _ballad,
    "melody": _melody,
}
