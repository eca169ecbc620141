"""Which methods a group keeps for a dataset."""

from __future__ import annotations

import torch

from sepkit.data.track import Track, track_in_memory
from sepkit.evaluation.fitting import fitting
from sepkit.evaluation.methods import Method

FOUR = Method(name="four", stems=("vocals", "drums", "bass", "other"))
PAIR = Method(name="pair", stems=("vocals", "accompaniment"))
BAND = Method(name="band", stems=("bass", "drums", "guitar", "piano"))
UNKNOWN = Method(name="unknown")
ALL = [FOUR, PAIR, BAND, UNKNOWN]


def song(*stems: str) -> Track:
    return track_in_memory("song", {stem: torch.ones(2, 10) for stem in stems}, 8000)


def names(tracks: list[Track], asked: tuple[str, ...] = ("all",)) -> list[str]:
    return [method.name for method in fitting(ALL, asked, tracks)[0]]


def test_a_method_needs_all_its_stems_in_some_song() -> None:
    usual, band = song("vocals", "drums", "bass", "other"), song("bass", "drums", "guitar", "piano")
    assert names([usual]) == ["four", "pair", "unknown"]
    assert names([band]) == ["band", "unknown"]
    assert names([band, usual]) == ["four", "pair", "band", "unknown"]
    assert names([song("vocals", "drums", "bass", "guitar")]) == ["four", "pair", "unknown"]  # a guitar is `other`


def test_what_is_named_is_kept_and_what_is_not_is_told() -> None:
    usual = song("vocals", "drums", "bass", "other")
    assert names([usual], ("all", "band")) == ["four", "pair", "band", "unknown"]
    _, notes = fitting(ALL, ("all",), [usual])
    assert notes == ["band is left out: no song has guitar and piano; name it to have it all the same."]
    assert fitting(ALL, ("all",), []) == (ALL, [])
