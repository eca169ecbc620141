"""Drum grooves of sixteen steps, by style, in General MIDI drum pitches."""

from __future__ import annotations

from dataclasses import dataclass

from .dice import Random

KICK, RIM, SNARE, CLAP, CLOSED, PEDAL, OPEN, RIDE, SHAKER, COWBELL, TAMBOURINE, CONGA = (
    36,
    37,
    38,
    39,
    42,
    44,
    46,
    51,
    70,
    56,
    54,
    63,
)


@dataclass(frozen=True)
class DrumStyle:
    """Tempo range, whether machines usually play it, and for each drum its candidate patterns of sixteen steps.

    `x` is a stroke, `o` a soft one, `?` one that is there half of the time; two bars of candidates mean a choice.
    """

    beats_per_minute: tuple[float, float]
    electronic: bool
    patterns: dict[int, tuple[str, ...]]


FOUR = "x...x...x...x..."
BACK = "....x.......x..."
EIGHTHS = "x.o.x.o.x.o.x.o."
SIXTEENTHS = "xoooxoooxoooxooo"
OFF = "..x...x...x...x."

DRUM_STYLES: dict[str, DrumStyle] = {
    "house": DrumStyle(
        (116, 130),
        True,
        {
            KICK: (FOUR,),
            CLAP: (BACK,),
            OPEN: (OFF,),
            CLOSED: (SIXTEENTHS, "?.o??.o??.o??.o?"),
            SHAKER: ("", "oxoxoxoxoxoxoxox"),
        },
    ),
    "techno": DrumStyle(
        (124, 142),
        True,
        {
            KICK: (FOUR,),
            CLAP: ("", BACK),
            OPEN: (OFF,),
            CLOSED: ("", SIXTEENTHS),
            RIM: ("..?x..?...x..?..", ""),
            COWBELL: ("", "...x.....x......"),
        },
    ),
    "synthpop": DrumStyle(
        (96, 132),
        True,
        {
            KICK: (FOUR, "x.......x.x.....", "x..x....x..x...."),
            SNARE: (BACK,),
            CLOSED: (EIGHTHS, SIXTEENTHS),
            CLAP: ("", BACK),
            TAMBOURINE: ("", OFF),
        },
    ),
    "trap": DrumStyle(
        (64, 80),
        True,
        {
            KICK: ("x.....x...x.....", "x..x......x..?.."),
            CLAP: ("....x.......x...", "........x......."),
            CLOSED: ("xxxxxxxxxxxxxxxx", "x.x.x.xxx.x.xxxx"),
            OPEN: ("", "..............x."),
        },
    ),
    "breakbeat": DrumStyle(
        (120, 174),
        True,
        {
            KICK: ("x.x.......xx....", "x.........x....."),
            SNARE: ("....x..o.o..x..o", "....x.......x..?"),
            CLOSED: (EIGHTHS, SIXTEENTHS),
            RIDE: ("", EIGHTHS),
        },
    ),
    "electro": DrumStyle(
        (108, 128),
        True,
        {
            KICK: ("x..x..x...x.....", "x.....x..x......"),
            SNARE: (BACK,),
            CLAP: ("", BACK),
            CLOSED: (SIXTEENTHS, EIGHTHS),
            COWBELL: ("", "..x..x..x..x..x."),
        },
    ),
    "garage": DrumStyle(
        (126, 138),
        True,
        {
            KICK: ("x.........x.....", "x..x......x....."),
            SNARE: (BACK,),
            CLOSED: ("..xo..xo..xo..xo",),
            SHAKER: ("oxo?oxo?oxo?oxo?", ""),
            RIM: ("...?..x....?....",),
        },
    ),
    "ambient": DrumStyle(
        (60, 100),
        True,
        {
            KICK: ("x...............", "x.......?......."),
            SNARE: ("", "........o......."),
            CLOSED: ("", "..o...o...o...o."),
        },
    ),
    "downtempo": DrumStyle(
        (72, 100),
        True,
        {
            KICK: ("x......xx.......", "x.....x...x....."),
            SNARE: (BACK,),
            CLOSED: (EIGHTHS, "x.oox.oox.oox.oo"),
            RIM: ("", "...o......o....."),
        },
    ),
    "rock": DrumStyle(
        (84, 160),
        False,
        {
            KICK: ("x.......x.......", "x.....x.x.x.....", "x..x....x..?...."),
            SNARE: (BACK,),
            CLOSED: (EIGHTHS, ""),
            RIDE: ("", EIGHTHS),
        },
    ),
    "pop": DrumStyle(
        (80, 126),
        False,
        {
            KICK: ("x.......x..x....", "x.....x.x.......", FOUR),
            SNARE: (BACK,),
            CLOSED: (EIGHTHS, SIXTEENTHS),
            TAMBOURINE: ("", OFF),
        },
    ),
    "disco": DrumStyle(
        (108, 128),
        False,
        {
            KICK: (FOUR,),
            SNARE: (BACK,),
            OPEN: (OFF,),
            CLOSED: ("x...x...x...x...", SIXTEENTHS),
            CONGA: ("", "..ox..oo..ox.x.o"),
        },
    ),
    "funk": DrumStyle(
        (88, 116),
        False,
        {
            KICK: ("x.x.......x..x..", "x..x..x...x....."),
            SNARE: ("....x..o.o..x..o",),
            CLOSED: (SIXTEENTHS, EIGHTHS),
            OPEN: ("", ".............x.."),
        },
    ),
    "latin": DrumStyle(
        (90, 130),
        False,
        {
            KICK: ("x..xx..xx..xx..x", "x..x....x..x...."),
            RIM: ("x..x..x...x.x...", "..x.x...x..x..x."),
            CLOSED: (SIXTEENTHS, ""),
            CONGA: ("o.xo..xxo.xo..xx",),
            SHAKER: (SIXTEENTHS, ""),
        },
    ),
    "ballad": DrumStyle(
        (60, 84),
        False,
        {
            KICK: ("x.......x.......", "x......xx......."),
            SNARE: (BACK, ""),
            RIM: ("", BACK),
            CLOSED: (EIGHTHS,),
            RIDE: ("", EIGHTHS),
        },
    ),
    "punk": DrumStyle(
        (150, 190),
        False,
        {
            KICK: ("x.x...x.x.x...x.", "x...x...x...x..."),
            SNARE: ("..x...x...x...x.", BACK),
            CLOSED: (EIGHTHS, ""),
            RIDE: ("", "x.x.x.x.x.x.x.x."),
        },
    ),
}


def drum_bar(rng: Random, style: str, energy: float) -> list[tuple[float, int, float]]:
    """One bar of (step, drum pitch, velocity); low `energy`, 0 to 1, leaves drums out."""
    hits: list[tuple[float, int, float]] = []
    for drum, candidates in DRUM_STYLES[style].patterns.items():
        if rng.random() > 0.35 + 0.7 * energy:
            continue
        pattern = candidates[int(rng.integers(len(candidates)))]
        for step, mark in enumerate(pattern):
            if mark == "." or (mark == "?" and rng.random() < 0.5):
                continue
            velocity = {"x": 0.95, "o": 0.45, "?": 0.7}[mark]
            rolls = 2 if style == "trap" and drum == CLOSED and rng.random() < 0.1 else 1
            hits += [(step + i / rolls, drum, velocity * (1 - 0.2 * i)) for i in range(rolls)]
        if rng.random() < 0.3 and pattern:  # a ghost stroke that the pattern does not have
            hits.append((float(rng.integers(16)), drum, 0.35))
    return hits
