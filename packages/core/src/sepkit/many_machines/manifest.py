"""What a folder of results already holds: made from which version of each input, with which settings."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from pydantic import Field, ValidationError

from ..config import Frozen
from ..partial_files import write_text
from .addresses import address_of
from .transfers import read_bytes, write_bytes

NAME = "sepkit-manifest.jsonl"
STORE_SECONDS = 10.0  # between two writings of a manifest in a store, where nothing can be appended


class Made(Frozen):
    """One output: its place below the folder of results, its size and its content."""

    file: str
    bytes: int
    sha256: str


class Entry(Frozen):
    """One input and what became of it. `begun`: a run that has ended since may have left some of its outputs."""

    key: str  # the place of its record, `provenance.json`, below the folder of results
    source: str
    input: dict[str, str | int]  # size and time, or the store's tag
    settings: str
    status: Literal["begun", "done", "failed"]
    files: dict[str, Made] = Field(default_factory=dict)
    error: str | None = None
    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


class Manifest:
    """OUT/sepkit-manifest.jsonl, the last line of a key counts. One process writes it; a context manager.

    On this machine a line is on disk when `add` returns, and a torn last line is left out when reading. In a store the
    file is written anew every few seconds and at the end.
    """

    def __init__(self, out: Path):
        self.path = out / NAME
        self._address = address_of(self.path)
        self._entries = self._read()
        self._file: IO[str] | None = None
        self._changed = False
        self._written = time.monotonic()

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def add(self, *entries: Entry) -> None:
        """Take these in, and write them down."""
        self._entries |= {entry.key: entry for entry in entries}
        self._changed = True
        if self._address is not None:
            if len(entries) > 1 or time.monotonic() - self._written > STORE_SECONDS:
                self._write()
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, self._text())  # without a torn line, to which the next would be joined
            self._file = self.path.open("a", encoding="utf-8")
        else:
            self._file.write("".join(entry.model_dump_json(exclude_none=True) + "\n" for entry in entries))
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the file a last time, a line for each key; one that nothing was added to is not touched."""
        if self._file is not None:
            self._file.close()
        if self._changed:
            self._write()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> dict[str, Entry]:
        try:
            content = read_bytes(self._address) if self._address is not None else self.path.read_bytes()
        except FileNotFoundError:
            content = None
        entries = {}
        for line in (content or b"").decode("utf-8", errors="replace").split("\n"):
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError:
                continue  # empty, torn, or written by someone else: its outputs count as unknown
            entries[entry.key] = entry
        return entries

    def _text(self) -> str:
        return "".join(entry.model_dump_json(exclude_none=True) + "\n" for entry in self._entries.values())

    def _write(self) -> None:
        if self._address is not None:
            write_bytes(self._address, self._text().encode())
        else:
            write_text(self.path, self._text())
        self._written = time.monotonic()
