"""Two lists of names put together by name, never by order; what could mean two things is said, not guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import UnknownNameError

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
    """The nearest of the names and the first few of them: `did you mean 'a'? There: a, b, c and 40 more.`

    Nothing at all where there are none.
    """
    if not known:
        return ""
    keys = {name_key(other): other for other in known}
    close = get_close_matches(name_key(name), keys, n=1, cutoff=0.5)
    hint = f"did you mean {keys[close[0]]!r}? " if close else ""
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"{hint}There: {', '.join(known[:LISTED])}{more}."


def with_near(text: str, name: str, known: Sequence[str]) -> str:
    """The text (without a stop) and what is near the name: `no such stem 'a': did you mean 'b'? There: b, c.`"""
    hint = near(name, known)
    return f"{text}{':' if hint.startswith('did') else '.'} {hint}".rstrip()


def pick_names(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The known names that are wanted, in that order, each once; case and Unicode normalisation do not matter.

    Raises UnknownNameError for one that is not there, or that could be two.
    """
    found = []
    for name in wanted:
        alike = [other for other in known if name_key(other) == name_key(name)]
        if name not in known and len(alike) != 1:
            if alike:
                raise UnknownNameError(f"{name!r} could be {' or '.join(map(repr, alike))}: write one as it is.")
            raise UnknownNameError(with_near(f"There is no track {name!r}", name, known))
        found.append(name if name in known else alike[0])
    return list(dict.fromkeys(found))


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
