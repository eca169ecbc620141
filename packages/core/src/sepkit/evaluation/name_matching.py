"""Two lists of names put together by name, never by order; what could mean two things is said, not guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

LISTED = 8  # names in a message; a whole dataset would bury what is wrong


@dataclass(frozen=True)
class Matching:
    """Which name belongs to which: `pairs` left -> right, what is ambiguous, and what is alone on either side."""

    pairs: Mapping[str, str]
    ambiguous: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]  # lefts and rights that could be each other's
    lefts: tuple[str, ...]
    rights: tuple[str, ...]


def match_names(lefts: Iterable[str], rights: Iterable[str]) -> Matching:
    """Match names that differ in case, in Unicode normalisation, or in what file systems refuse, and in nothing else.

    Spellings that are the same on both sides belong together even where others are like them. The result does not
    depend on the order of the arguments.
    """
    pairs: dict[str, str] = {}
    ambiguous = []
    lefts, rights = sorted(set(lefts)), sorted(set(rights))
    for key in (name_key, _file_system_key):
        left_groups, right_groups = _grouped(lefts, key), _grouped(rights, key)
        for common in sorted(left_groups.keys() & right_groups.keys()):
            found = _paired(left_groups[common], right_groups[common])
            if found is None:
                ambiguous.append((tuple(left_groups[common]), tuple(right_groups[common])))
            pairs |= found or {}
        taken = {name for group in ambiguous for name in group[0]} | pairs.keys()
        gone = {name for group in ambiguous for name in group[1]} | set(pairs.values())
        lefts, rights = [name for name in lefts if name not in taken], [name for name in rights if name not in gone]
    return Matching(dict(sorted(pairs.items())), tuple(ambiguous), tuple(lefts), tuple(rights))


def name_key(name: str) -> str:
    """What two spellings of one name share: NFC, no case, no space around."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def near(name: str, known: Sequence[str]) -> str:
    """The nearest of the names and the first few of them: `did you mean 'a'? There: a, b, c and 40 more.`"""
    keys = {name_key(other): other for other in known}
    close = get_close_matches(name_key(name), keys, n=1, cutoff=0.5)
    hint = f"did you mean {keys[close[0]]!r}? " if close else ""
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"{hint}There: {', '.join(known[:LISTED]) or 'none'}{more}."


def _file_system_key(name: str) -> str:
    """What is left of a name in file systems and in the folders of a run, where `a/b` and `a:b` are `a_b`."""
    return re.sub(r"[^\w\-+@. ]", "_", name_key(name)).strip(". ")


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _paired(lefts: list[str], rights: list[str]) -> dict[str, str] | None:
    """The one way to pair them, or None."""
    if len(lefts) == len(rights) == 1:
        return {lefts[0]: rights[0]}
    if lefts == rights:
        return {name: name for name in lefts}
    return None
