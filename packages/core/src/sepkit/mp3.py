"""How many frames an MP3 file really holds, and a way to decode all of them.

libsndfile believes the frame count in an MP3's first frame, or guesses one from the file size where there is none: a
file made of two joined ones, or of variable bit rate without that frame, would lose its end without a word.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version bits
_LAYER_3 = 1
_PIPE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Mp3Frames:
    """`promised`: the count in the header frame, None without one; `found`: frames with sound that are there.

    The frames with sound lie from `first_byte` to `end_byte`.
    """

    promised: int | None
    found: int
    first_byte: int
    end_byte: int

    @property
    def truthful(self) -> bool:
        """Whether the header frame is there and right, so that libsndfile's length is exact."""
        return self.promised == self.found


def count_frames(path: Path) -> Mp3Frames:
    """Walk over all frame headers of a Layer III file; what cannot be walked over counts as no frames."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = _find_frame(data, _after_tags(data))
        if start is None:
            return Mp3Frames(None, 0, 0, 0)
        promised, is_header = _header_frame(data, start)
        first_byte = start + _frame_bytes(data, start) if is_header else start
        found, end_byte, place = 0, first_byte, first_byte
        while True:
            size = _frame_bytes(data, place)
            if size and _same_kind(data, start, place) and place + size <= len(data):
                found += 1
                place += size
                end_byte = place
            elif (lost_at := _find_frame(data, place + 1)) is not None:  # tags or damage between frames
                place = lost_at
            else:
                return Mp3Frames(promised, found, first_byte, end_byte)


def _after_tags(data: mmap.mmap) -> int:
    """Where ID3v2 tags end; their sizes are four bytes of seven bits."""
    place = 0
    while data[place : place + 3] == b"ID3" and len(data) >= place + 10:
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        has_footer = data[place + 5] & 0x10
        place += size + (20 if has_footer else 10)
    return place


def _frame_bytes(data: mmap.mmap, place: int) -> int:
    """Length of the Layer III frame whose header is at `place`; 0 if there is none."""
    head = data[place : place + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer != _LAYER_3 or rate == 3 or bit_rate in (0, 15):
        return 0
    kbits = (_KBITS_MPEG1 if version == 3 else _KBITS_MPEG2)[bit_rate]
    return (144_000 if version == 3 else 72_000) * kbits // _RATES[version][rate] + padding


def _find_frame(data: mmap.mmap, place: int) -> int | None:
    """The first frame at or after `place` that another such frame, or the end, follows: chance bytes rarely do."""
    while 0 <= place < len(data):
        size = _frame_bytes(data, place)
        after = place + size
        if size and (after == len(data) or (_frame_bytes(data, after) and _same_kind(data, place, after))):
            return place
        place = data.find(b"\xff", place + 1)
    return None


def _same_kind(data: mmap.mmap, one: int, other: int) -> bool:
    """Whether two frame headers agree in version, layer and sample rate."""
    return data[one + 1] & 0xFE == data[other + 1] & 0xFE and data[one + 2] & 0x0C == data[other + 2] & 0x0C


def _header_frame(data: mmap.mmap, place: int) -> tuple[int | None, bool]:
    """The frame count that the frame at `place` tells, and whether it is a header frame without sound at all."""
    version, mono = data[place + 1] >> 3 & 3, data[place + 3] >> 6 == 3
    side_bytes = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    tag = place + 4 + side_bytes
    if data[tag : tag + 4] in (b"Xing", b"Info"):
        has_count = data[tag + 7] & 1
        return (int.from_bytes(data[tag + 8 : tag + 12], "big") if has_count else None), True
    return None, data[place + 36 : place + 40] == b"VBRI"


@contextmanager
def piped(path: Path, first_byte: int, end_byte: int) -> Iterator[int]:
    """A file descriptor that delivers a part of the file; libsndfile guesses no length for a pipe, and reads on."""
    reading, writing = os.pipe()
    feeder = threading.Thread(target=_feed, args=(path, first_byte, end_byte, writing), daemon=True)
    feeder.start()
    try:
        yield reading
    finally:
        os.close(reading)  # a feeder that is still writing ends with a broken pipe
        feeder.join()


def _feed(path: Path, first_byte: int, end_byte: int, writing: int) -> None:
    with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe, path.open("rb") as file:
        file.seek(first_byte)
        while first_byte < end_byte and (chunk := file.read(min(_PIPE_BYTES, end_byte - first_byte))):
            pipe.write(chunk)
            first_byte += len(chunk)
