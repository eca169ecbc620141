"""Band songs as notes: chords that hands can play, parts within their instruments' ranges, styles kept for tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from sepkit.data.arranging import Grid, Note
from sepkit.data.band_arranging import BAND_STEMS, HELD_OUT_STYLES, band_styles, compose_band, sounding_share
from sepkit.data.band_guitar_parts import (
    CHUGS,
    GUITAR_ROLES,
    OPEN_STRINGS,
    PICKS,
    POWERS,
    REACH,
    STRUMS,
    chord_classes,
    guitar_notes,
    guitar_voicing,
)
from sepkit.data.band_piano_parts import PIANO_ROLES, piano_notes
from sepkit.data.dice import Dice
from sepkit.data.grooves import DRUM_STYLES


def grid(seed: int, seconds: float = 16.0) -> Grid:
    return Grid(Dice(seed), 110.0, seconds, "rock", 3.0)


def test_every_chord_lies_under_one_hand_with_its_root_lowest() -> None:
    whole = []
    for root, third, fret in itertools.product(range(12), (3, 4), range(8)):
        classes = [root, (root + third) % 12, (root + 7) % 12]
        chord = guitar_voicing(classes, fret)
        assert chord[0] % 12 == root
        assert chord == sorted(chord)
        assert {p % 12 for p in chord} <= set(classes)
        strings = OPEN_STRINGS[len(OPEN_STRINGS) - len(chord) :]
        assert all(0 <= p - (s + fret) < REACH for p, s in zip(chord, strings, strict=True))
        whole.append({p % 12 for p in chord} == set(classes))
    assert np.mean(whole) > 0.9


def test_every_pattern_has_sixteen_steps_of_known_marks() -> None:
    for patterns, marks in ((STRUMS, "DUx."), (POWERS, "Xm."), (CHUGS, "rfoc.")):
        assert all(len(p) == 16 and set(p) <= set(marks) for p in patterns)
    assert all(16 % len(p) == 0 and set(p) <= set("01234.") for p in PICKS)


def _in_range(notes: tuple[Note, ...], low: float, high: float) -> bool:
    return all(low <= n.pitch <= high and n.seconds > 0 and 0 < n.velocity <= 1 and n.start_seconds >= 0 for n in notes)


@pytest.mark.parametrize(
    ("play", "role", "low", "high"),
    [(guitar_notes, role, 40, 90) for role in GUITAR_ROLES] + [(piano_notes, role, 28, 108) for role in PIANO_ROLES],
)
def test_players_play_what_their_instruments_can(
    play: Callable[[Grid, str], tuple[Note, ...]], role: str, low: float, high: float
) -> None:
    parts = [play(grid(seed), role) for seed in range(6)]
    assert sum(bool(notes) for notes in parts) >= 4  # a part may have no section to play in
    assert all(_in_range(notes, low, high) for notes in parts)
    assert parts[1] == play(grid(1), role)


@pytest.mark.parametrize(("role", "play"), [("strum", guitar_notes), ("power", guitar_notes), ("comp", piano_notes)])
def test_parts_follow_the_chords(role: str, play: object) -> None:
    song = grid(3)
    bar_seconds = 16 * song.step_seconds
    for note in play(song, role):  # type: ignore[operator]
        bar = min(song.bars - 1, int((note.start_seconds + 0.3 * song.step_seconds) / bar_seconds))
        root = chord_classes(song, bar, 1)[0]
        allowed = {root, (root + 7) % 12} if role == "power" else set(chord_classes(song, bar, 4))
        assert note.pitch % 12 in allowed


def test_strums_sound_string_after_string_and_turn_round_on_the_way_up() -> None:
    directions = set()
    for seed in range(8):
        notes = [n for n in guitar_notes(grid(seed), "strum") if n.velocity > 0.45]
        for a, b in itertools.pairwise(notes):
            gap = b.start_seconds - a.start_seconds
            if 0 < gap < 0.03 and a.pitch != b.pitch:
                directions.add(b.pitch > a.pitch)
    assert directions == {True, False}


def test_most_bands_have_the_four_and_no_training_song_is_in_a_held_out_style() -> None:
    styles: dict[bool, set[str]] = {True: set(), False: set()}
    complete = []
    for seed, held_out in itertools.product(range(10), (False, True)):
        song = compose_band(np.random.default_rng(seed), 20.0, held_out=held_out, fullness=3.0)
        styles[held_out].add(song.style)
        complete.append({part.stem for part in song.parts} == set(BAND_STEMS))
    assert np.mean(complete) > 0.7
    assert styles[True] <= set(HELD_OUT_STYLES)
    assert not styles[False] & set(HELD_OUT_STYLES)
    every = [
        name for held_out in (True, False) for machines in (True, False) for name in band_styles(held_out, machines)
    ]
    assert sorted(every) == sorted(DRUM_STYLES)
    assert all(band_styles(True, machines) for machines in (True, False))


def test_the_share_of_time_that_sounds() -> None:
    assert sounding_share((Note(0.0, 0.4, 60, 1.0),), 4.0) == 1 / 8
    assert sounding_share((Note(1.0, 9.0, 60, 1.0),), 4.0) == 6 / 8
    assert sounding_share((), 4.0) == 0
