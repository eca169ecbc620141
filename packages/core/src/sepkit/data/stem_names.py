"""The names that stems go by: canonical ones, the many others that people use, and what sums to what."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

STEMS = ("vocals", "drums", "bass", "other", "guitar", "piano", "accompaniment")
"""Canonical stem names. `accompaniment` is everything but the vocals."""

ALIASES = {
    "vocal": "vocals",
    "voice": "vocals",
    "voices": "vocals",
    "vox": "vocals",
    "lead_vocals": "vocals",
    "singing": "vocals",
    "drum": "drums",
    "percussion": "drums",
    "bass_guitar": "bass",
    "others": "other",
    "rest": "other",
    "residual": "other",
    "guitars": "guitar",
    "keys": "piano",
    "no_vocals": "accompaniment",
    "novocals": "accompaniment",
    "instrumental": "accompaniment",
    "instrumentals": "accompaniment",
    "backing": "accompaniment",
    "karaoke": "accompaniment",
    # German, French, Spanish, Italian, Portuguese, without their accents
    "gesang": "vocals",
    "stimme": "vocals",
    "voix": "vocals",
    "chant": "vocals",
    "voz": "vocals",
    "voces": "vocals",
    "vozes": "vocals",
    "voce": "vocals",
    "voci": "vocals",
    "schlagzeug": "drums",
    "batterie": "drums",
    "bateria": "drums",
    "batteria": "drums",
    "basse": "bass",
    "bajo": "bass",
    "basso": "bass",
    "baixo": "bass",
    "autres": "other",
    "otros": "other",
    "altri": "other",
    "altro": "other",
    "outros": "other",
    "gitarre": "guitar",
    "guitare": "guitar",
    "guitarra": "guitar",
    "chitarra": "guitar",
    "violao": "guitar",
    "klavier": "piano",
    "pianoforte": "piano",
    "begleitung": "accompaniment",
    "accompagnement": "accompaniment",
    "acompanamiento": "accompaniment",
    "acompanhamento": "accompaniment",
    "accompagnamento": "accompaniment",
    # Chinese and Japanese
    "人声": "vocals",
    "人聲": "vocals",
    "ボーカル": "vocals",
    "鼓": "drums",
    "ドラム": "drums",
    "贝斯": "bass",
    "貝斯": "bass",
    "ベース": "bass",
    "其他": "other",
    "その他": "other",
    "吉他": "guitar",
    "ギター": "guitar",
    "钢琴": "piano",
    "鋼琴": "piano",
    "ピアノ": "piano",
    "伴奏": "accompaniment",
}
MIXTURE_NAMES = ("mixture", "mix", "master", "full", "mischung", "melange", "mezcla", "mistura", "混音", "ミックス")


def canonical_stem(name: str) -> str | None:
    """The canonical name for any spelling of a stem ("Lead Vocals", "no-vocals"), or None for a name we do not know."""
    plain = re.sub(r"[\s\-]+", "_", _plain(name))
    plain = ALIASES.get(plain, plain)
    return plain if plain in STEMS else None


def is_mixture(name: str) -> bool:
    """Whether a file of this name (without its ending) is the mixture."""
    return _plain(name) in MIXTURE_NAMES


def _plain(name: str) -> str:
    """In lower case, Latin letters without their accents; file systems disagree about how an accent is written."""
    letters = unicodedata.normalize("NFD", name.strip().lower())
    kept = (c for i, c in enumerate(letters) if not (unicodedata.combining(c) and letters[i - 1].isascii()))
    return unicodedata.normalize("NFC", "".join(kept))


def without_overlap(stems: Sequence[str]) -> tuple[str, ...]:
    """Stems that have no sound in common: the accompaniment only where no finer stem is part of it."""
    finer = tuple(stem for stem in stems if stem != "accompaniment")
    return finer if set(finer) - {"vocals"} else tuple(stems)


def parts_of(stem: str, wanted: Iterable[str], present: Sequence[str], *, complete: bool = True) -> tuple[str, ...]:
    """The present stems that sum to `stem` when a set of stems is wanted.

    `accompaniment` is all but the vocals; `other` is all that no wanted stem names. Empty where the song has none, and
    for these two where the present stems are not `complete`: then nobody has all the rest. An `other` of the song's own
    counts all the same where it is all the rest that there is and the song lacks a stem that is wanted by name, for
    that one then is what is missing.
    """
    if stem in present and stem != "other":
        return (stem,)
    if stem == "accompaniment" and complete:
        return tuple(name for name in present if name != "vocals")
    if stem == "other":
        named = set(wanted) - {"other", "accompaniment"}
        rest = tuple(name for name in present if name not in named and name != "accompaniment")
        return rest if complete or (rest == ("other",) and not named <= set(present)) else ()
    return ()
