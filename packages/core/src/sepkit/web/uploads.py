"""Uploaded files: a name that stays in its folder, and a look at the sound before anything works on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from ..cli.inputs import AUDIO_SUFFIXES
from ..errors import SepkitError
from ..soundfiles import open_reader
from .limits import Limits, NotSound, TooLarge

CHUNK_BYTES = 1 << 20
LONGEST_NAME = 100  # characters: at most 400 bytes would pass what file systems allow, so the bytes are counted too
LONGEST_NAME_BYTES = 200
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069]')  # control, direction, what Windows forbids
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


def safe_name(given: str | None) -> str:
    """The last part of a file name as a browser gave it, without anything that could lead out of a folder.

    Raises NotSound for a suffix that no sound file has.
    """
    last = re.split(r"[/\\]", given or "")[-1]
    last = UNSAFE.sub("_", last).strip(" .")
    stem, dot, suffix = last.rpartition(".")
    if not dot or f".{suffix.lower()}" not in AUDIO_SUFFIXES:
        known = ", ".join(sorted(name.lstrip(".") for name in AUDIO_SUFFIXES))
        raise NotSound(f"{last or 'A file without a name'!r} is no sound file by its name. Known suffixes: {known}.")
    stem = stem.strip(" .")[:LONGEST_NAME].encode()[:LONGEST_NAME_BYTES].decode(errors="ignore") or "track"
    if RESERVED.match(stem):
        stem = f"_{stem}"
    return f"{stem}.{suffix}"


def receive(stream: IO[bytes], path: Path, limits: Limits) -> int:
    """Copy an upload to `path` and return its bytes; raises TooLarge as soon as it is, NotSound for an empty one."""
    count = 0
    with path.open("xb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            count += len(chunk)
            if count > limits.max_bytes:
                raise TooLarge(too_many_bytes(limits))
            file.write(chunk)
    if count == 0:
        raise NotSound(f"{path.name} is empty (0 bytes). Was it still being written? Send the whole file.")
    return count


def too_many_bytes(limits: Limits) -> str:
    """The answer to a file with too many bytes."""
    return (
        f"The file is larger than {limits.max_megabytes:g} MB, the most that this server takes. Send a compressed or "
        "shorter one, start the server with a larger --max-megabytes, or run sepkit separate without a server."
    )


def check_sound(path: Path, limits: Limits) -> float:
    """The length in seconds of a file that can be read and is not too long; raises NotSound or TooLarge.

    Messages name the file and never the folder it lies in.
    """
    try:
        with open_reader(path) as reader:
            rate, length_samples = reader.sample_rate, reader.length_samples
            most = int(limits.max_minutes * 60 * rate)
            if length_samples is None:  # counted, no further than the limit
                length_samples = sum(len(block) for block in reader.blocks(length_samples=most + 1))
    except (SepkitError, OSError) as error:
        raise NotSound(f"{without_folder(str(error), path)}") from error
    if length_samples > most:
        minutes = length_samples / rate / 60
        length = f"{minutes:.0f} minutes" if length_samples > most + 1 else f"more than {limits.max_minutes:g} minutes"
        raise TooLarge(
            f"{path.name} lasts {length}; this server takes at most {limits.max_minutes:g}. Cut it, start the server "
            "with a larger --max-minutes, or run sepkit separate without a server, which takes any length."
        )
    if length_samples == 0:
        raise NotSound(f"{path.name} holds no sound at all (0 samples).")
    return length_samples / rate


def without_folder(message: str, path: Path) -> str:
    """An error's message as a stranger may read it."""
    for folder in (path.parent, path.parent.parent):
        message = message.replace(f"{folder}/", "").replace(str(folder), "the work folder")
    return message
