"""Which methods of a group fit a dataset: those whose stems are all there in some of its songs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..data.track import Track
from ..errors import DatasetError
from .methods import Method


def fitting(methods: Sequence[Method], asked: Iterable[str], tracks: Sequence[Track]) -> tuple[list[Method], list[str]]:
    """The methods that fit, and a line for each that was left out; what is `asked` for by its own name always fits.

    A method of bass, drums, guitar and piano has nothing to say about songs of vocals and accompaniment; one whose
    stems nobody knows is kept.
    """
    named = set(asked)
    kept: list[Method] = []
    notes: list[str] = []
    for method in methods:
        missing = () if method.name in named else lacking(method, tracks)
        if missing:
            notes.append(f"{method.name} is left out: no song has {_listed(missing)}; name it to have it all the same.")
        else:
            kept.append(method)
    return kept, notes


def lacking(method: Method, tracks: Sequence[Track]) -> tuple[str, ...]:
    """The method's stems that are missing from the song that has most of them."""
    if method.stems is None or not tracks:
        return ()
    return min((_missing(method.stems, track) for track in tracks), key=len)


def _missing(stems: Sequence[str], track: Track) -> tuple[str, ...]:
    try:
        found = track.view(stems).stems
    except DatasetError:
        return tuple(stems)
    return tuple(stem for stem in stems if stem not in found)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
