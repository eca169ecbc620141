"""Which sound files the user meant, among them those in object stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ..cli.inputs import AUDIO_SUFFIXES, Source, Sources, find_sources
from .addresses import StoreError, address_of, check_shared, local, shown, store_of


def find_sources_anywhere(arguments: Sequence[Path], *, recursive: bool, out: Path) -> Sources:
    """As `find_sources`, where an argument may be an address of a file or of a folder in a store."""
    found: dict[Path, Source] = {}
    refused: list[tuple[Path, str]] = []
    for argument in map(local, arguments):
        address = address_of(argument)
        if address is None:
            some = find_sources([argument], recursive=recursive, out=out)
        else:
            check_shared(address)
            some = _in_store(argument, address, recursive, out)
        refused += some.refused
        for source in some.found:
            found.setdefault(source.path.resolve(), source)
    return Sources(tuple(found.values()), tuple(refused))


def _in_store(argument: Path, address: str, recursive: bool, out: Path) -> Sources:
    store, remote = store_of(address)
    try:
        if store.isfile(remote):
            return Sources((Source(argument, PurePosixPath(remote).parent.name),), ())
        names = sorted(store.find(remote, maxdepth=None if recursive else 1))
    except FileNotFoundError:
        names = []
    except Exception as error:
        raise StoreError(f"{shown(argument)} cannot be listed: {type(error).__name__}: {error}") from error
    sources = tuple(_sounds(argument, remote, names, out))
    if sources:
        return Sources(sources, ())
    deeper = "" if recursive else ", or -r is needed to look into its folders"
    return Sources((), ((argument, f"there is no such file, and no sound file below it{deeper}"),))


def _sounds(argument: Path, remote: str, names: Sequence[str], out: Path) -> Iterator[Source]:
    top = PurePosixPath(remote).name
    for name in names:
        below = PurePosixPath(name.strip("/")).relative_to(remote.strip("/"))
        path = argument / below
        hidden = any(part.startswith(".") for part in below.parts)
        if below.suffix.lower() in AUDIO_SUFFIXES and not hidden and not path.is_relative_to(out):
            yield Source(path, str(PurePosixPath(top, below.parent)))
