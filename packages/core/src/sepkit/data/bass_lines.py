"""Bass lines of one bar, by kind."""

from __future__ import annotations

import numpy as np

from .dice import Random

BASS_LINES = (
    "roots",
    "eighths",
    "offbeat",
    "octaves",
    "sustained",
    "sixteenths",
    "syncopated",
    "walking",
    "acid",
    "dotted",
)


def bass_pattern(rng: Random, line: str, gate: float) -> list[tuple[float, float, int, float]]:
    """One bar of (step, length in steps, offset, velocity); `gate`, 0 to 1, says how long notes are held.

    An offset of 0 or 12 is in semitones above the chord's root, any other in degrees of the scale.
    """
    if line == "roots":
        return [(0, 8 * gate + 2, 0, 0.9), (8, 6, 0, 0.8)]
    if line == "sustained":
        return [(0, 15.5, 0, 0.9)]
    if line in ("eighths", "walking"):
        walk = [0, 0, 0, 0, 0, 0, 0, 0] if line == "eighths" else [0, 2, 4, 2, 0, 4, 5, 4]
        return [(2 * i, 2 * (0.4 + 0.55 * gate), w, 0.8 + 0.15 * (i % 2 == 0)) for i, w in enumerate(walk)]
    if line == "offbeat":
        return [(s, 1.5, 0, 0.9) for s in (2, 6, 10, 14)]
    if line == "octaves":
        return [(s, 1.6, 12 * (i % 2), 0.85) for i, s in enumerate(range(0, 16, 2))]
    if line == "dotted":
        return [(s, 2.6 * gate + 0.3, 0, 0.9) for s in (0, 3, 6, 8, 11, 14)]
    if line == "syncopated":
        steps = sorted({0, *(int(s) for s in rng.choice(np.arange(1, 16), int(rng.integers(3, 6)), replace=False))})
        ends = [*steps[1:], 16]
        return [
            (s, (e - s) * (0.5 + 0.5 * gate), int(rng.choice([0, 0, 0, 12, 4])), 0.85)
            for s, e in zip(steps, ends, strict=True)
        ]
    offsets = [0, 0, 0, 12, 0, 2, 4, 6] if line == "acid" else [0, 0, 0, 0, 0, 0, 12]
    return [
        (s, 0.9 * gate + 0.1, int(rng.choice(offsets)), float(rng.uniform(0.5, 1)))
        for s in range(16)
        if rng.random() < 0.85
    ]
