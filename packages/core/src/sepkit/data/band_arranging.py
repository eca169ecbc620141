"""Songs for bass, drums, guitar and piano, composed by chance on the chords and grooves that all our songs have."""

from __future__ import annotations

from .arranging import Grid, Note, Part, Song
from .band_guitar_parts import GUITAR_ROLES, guitar_notes
from .band_piano_parts import PIANO_ROLES, piano_notes
from .dice import Random
from .grooves import DRUM_STYLES

BAND_STEMS = ("bass", "drums", "guitar", "piano")
HELD_OUT_STYLES = ("funk", "latin", "downtempo", "synthpop")
"""Styles that only test songs are in: training and validation songs never are."""

GUITAR_LIKES = {
    "rock": ("power", "power", "strum", "lead", "pick"),
    "punk": ("power", "power", "power", "lead"),
    "ballad": ("pick", "pick", "strum", "lead"),
    "disco": ("muted", "strum", "strum"),
    "funk": ("muted", "muted", "strum", "lead"),
    "breakbeat": ("power", "muted", "lead", "pick"),
    "ambient": ("pick", "lead"),
}
PIANO_LIKES = {
    "ballad": ("ballad", "ballad", "arp", "blocks", "melody"),
    "ambient": ("arp", "ballad", "blocks"),
    "house": ("comp", "comp", "blocks"),
    "punk": ("blocks", "comp"),
    "latin": ("comp", "stride", "arp"),
}


def band_styles(held_out: bool, electronic: bool) -> list[str]:
    """Names of the styles for training songs, or those held out for tests, of machines or of players."""
    return [n for n, s in DRUM_STYLES.items() if s.electronic == electronic and (n in HELD_OUT_STYLES) == held_out]


def compose_band(
    rng: Random, seconds: float, *, held_out: bool = False, electronic: float = 0.3, fullness: float = 1.6
) -> Song:
    """A new song of about `seconds` for bass, drums, one or two guitars and pianos, all choices from `rng`.

    A part that no section has is left out. `held_out` takes a style that no training song has. `electronic` is the
    chance of a style of machines; `fullness` above 1 leaves parts out of fewer sections.
    """
    names = band_styles(held_out, bool(rng.random() < electronic))
    name = names[int(rng.integers(len(names)))]
    tempo = float(rng.uniform(*DRUM_STYLES[name].beats_per_minute))
    grid = Grid(rng, tempo, seconds, name, fullness)
    parts = [Part("drums", "drums", grid.drums()), Part("bass", "bass", grid.bass())]
    for role in _roles(rng, GUITAR_LIKES.get(name, GUITAR_ROLES), 0.35):
        parts.append(Part("guitar", role, guitar_notes(grid, role)))
    for role in _roles(rng, PIANO_LIKES.get(name, PIANO_ROLES), 0.15):
        parts.append(Part("piano", role, piano_notes(grid, role)))
    kicks = tuple(n.start_seconds for n in parts[0].notes if n.pitch == 36)
    return Song(seconds, tempo, name, tuple(p for p in parts if p.notes), (), kicks)


def _roles(rng: Random, likes: tuple[str, ...], second: float) -> list[str]:
    """One role, and with the chance `second` another."""
    drawn = [str(rng.choice(likes)), str(rng.choice(likes))]
    return list(dict.fromkeys(drawn if rng.random() < second else drawn[:1]))


def sounding_share(notes: tuple[Note, ...], seconds: float) -> float:
    """Share of a song's half seconds, 0 to 1, in which one of the notes sounds."""
    blocks = max(1, round(2 * seconds))
    heard: set[int] = set()
    for n in notes:
        heard.update(range(int(2 * n.start_seconds), int(2 * (n.start_seconds + n.seconds)) + 1))
    return len({b for b in heard if b < blocks}) / blocks
