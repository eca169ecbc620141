"""Licences of weights: which of them allow commercial use, in one table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .errors import LicenceError


class Terms(NamedTuple):
    """What a family of licences allows, and the keys under which the Hugging Face Hub knows it."""

    commercial: bool
    hub_keys: tuple[str, ...] = ()


LICENCES: dict[str, Terms] = {
    "CC0": Terms(True, ("cc0-1.0",)),
    "CC-BY": Terms(True, ("cc-by-4.0", "cc-by-3.0", "cc-by-2.0")),
    "CC-BY-SA": Terms(True, ("cc-by-sa-4.0", "cc-by-sa-3.0")),
    "MIT": Terms(True, ("mit",)),
    "MIT-0": Terms(True),
    "APACHE": Terms(True, ("apache-2.0",)),
    "BSD": Terms(True, ("bsd",)),
    "BSD-2-CLAUSE": Terms(True, ("bsd-2-clause",)),
    "BSD-3-CLAUSE": Terms(True, ("bsd-3-clause",)),
    "0BSD": Terms(True),
    "ISC": Terms(True, ("isc",)),
    "UNLICENSE": Terms(True, ("unlicense",)),
    "MPL": Terms(True, ("mpl-2.0",)),
    "CC-BY-ND": Terms(True, ("cc-by-nd-4.0",)),
    "CC-BY-NC": Terms(False, ("cc-by-nc-4.0", "cc-by-nc-3.0", "cc-by-nc-2.0")),
    "CC-BY-NC-SA": Terms(False, ("cc-by-nc-sa-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-2.0")),
    "CC-BY-NC-ND": Terms(False, ("cc-by-nc-nd-4.0", "cc-by-nc-nd-3.0")),
}
"""Family (SPDX identifier in capitals, without version) → terms. What is not here counts as not allowing anything."""

VERSION = re.compile(r"-V?\d+(\.\d+)+$")


def terms(licence: str) -> Terms | None:
    """The terms of one SPDX identifier, `CC-BY-4.0` or `cc by 4.0`; None for what the table does not have."""
    written = re.sub(r"[\s_]+", "-", licence.strip()).upper()
    return LICENCES.get(VERSION.sub("", written))


def allows_commercial(licence: str | None) -> bool:
    """Whether a licence allows commercial use: of `A AND B` both must, of `A OR B` one. Unknown words don't."""
    if licence is None:
        return False
    for words, every in ((r"\s+OR\s+", any), (r"\s+AND\s+", all)):
        parts = re.split(words, licence.strip(), flags=re.IGNORECASE)
        if len(parts) > 1:
            return every(allows_commercial(part) for part in parts)
    found = terms(licence)
    return found is not None and found.commercial


WITHOUT_CONDITIONS = ("CC0", "UNLICENSE", "0BSD", "MIT-0")
"""Families that ask for nothing, so that beside another licence they change nothing."""


def combined_licence(licences: Iterable[str]) -> str:
    """The licence of what is made of parts under several: all that ask for anything, the strictest first.

    Strictest are words that the table does not have, then licences without commercial use.
    """
    found = list(dict.fromkeys(licences))
    asking = [licence for licence in found if not _asks_nothing(licence)] or found[:1]
    asking.sort(key=lambda licence: (allows_commercial(licence), licence))
    return " AND ".join(f"({one})" if " OR " in one.upper() and len(asking) > 1 else one for one in asking)


def _asks_nothing(licence: str) -> bool:
    written = VERSION.sub("", re.sub(r"[\s_]+", "-", licence.strip()).upper())
    return written in WITHOUT_CONDITIONS


def hub_key(licence: str) -> str | None:
    """What the Hugging Face Hub calls a licence in a model card; None where it has no word for it."""
    found, key = terms(licence), re.sub(r"[\s_]+", "-", licence.strip()).lower()
    return key if found is not None and key in found.hub_keys else None


def check_commercial(what: str, licences: Iterable[str | None]) -> None:
    """Raise LicenceError that names the licence unless all of them allow commercial use; `what` begins the sentence."""
    for licence in licences:
        if allows_commercial(licence):
            continue
        if licence is not None and terms(licence) is not None:
            why = f"under {licence!r}, which does not allow commercial use"
        else:
            known = ", ".join(name for name, found in LICENCES.items() if found.commercial)
            why = f"under {licence!r}, which sepkit does not know to allow commercial use (those that do: {known})"
        raise LicenceError(
            f"{what}: the weights are {why}. Choose a method of `sepkit list --commercial`, or weights under such a "
            "licence with --checkpoint."
        )
