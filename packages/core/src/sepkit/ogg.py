"""How many streams an Ogg file holds: of joined ones, libsndfile reads the first and keeps silent about the rest."""

from __future__ import annotations

import mmap
from pathlib import Path

_HEADER_BYTES = 27  # before the table of segment sizes
_FIRST_PAGE = 0x02


def count_streams(path: Path) -> int:
    """The number of pages marked as the first of a stream, found by walking from page to page."""
    streams = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(b"OggS")
        while place >= 0 and place + _HEADER_BYTES <= len(data):
            streams += bool(data[place + 5] & _FIRST_PAGE)
            table = data[place + _HEADER_BYTES : place + _HEADER_BYTES + data[place + 26]]
            place = data.find(b"OggS", place + _HEADER_BYTES + len(table) + sum(table))
    return streams
