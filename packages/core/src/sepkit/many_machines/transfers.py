"""Files to and from object stores: whole, under a temporary name until everything that belongs together is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .addresses import StoreError, address_of, store_of

_VERSIONS = ("ETag", "etag", "md5Hash", "crc32c", "mtime", "LastModified", "last_modified", "updated", "created")


def fetch(address: str, path: Path) -> None:
    """Copy what lies at an address into a local file. Raises StoreError."""
    store, remote = store_of(address)
    try:
        store.get_file(remote, str(path))
    except Exception as error:
        raise StoreError(f"{address} cannot be read: {_words(error)}") from error


def publish(files: Mapping[Path, str], token: str) -> None:
    """Put local files at addresses; all are sent before the first gets its final name.

    `token` makes the temporary names: a second attempt with it replaces what a first one has left. Raises StoreError,
    and then none of the temporary names is left.
    """
    try:
        for path, address in files.items():
            store, remote = store_of(address)
            with suppress(Exception):  # most stores have no folders; where one is missing, sending fails
                store.makedirs(remote.rpartition("/")[0], exist_ok=True)
            _try(address, "sent", lambda s=store, p=path, r=remote: s.put_file(str(p), temporary_name(r, token)))
        for address in files.values():
            store, remote = store_of(address)
            _try(address, "renamed", lambda s=store, r=remote: _move(s, temporary_name(r, token), r))
    except BaseException:
        forget(files.values(), token)
        raise


def write_bytes(address: str, content: bytes) -> None:
    """Put a small file at an address, in full or not at all. Raises StoreError."""
    store, remote = store_of(address)
    with suppress(Exception):
        store.makedirs(remote.rpartition("/")[0], exist_ok=True)
    temporary = temporary_name(remote, "new")
    _try(address, "written", lambda: store.pipe_file(temporary, content))
    _try(address, "renamed", lambda: _move(store, temporary, remote))


def read_bytes(address: str) -> bytes | None:
    """What lies at an address; None where nothing does. Raises StoreError."""
    store, remote = store_of(address)
    try:
        return bytes(store.cat_file(remote))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise StoreError(f"{address} cannot be read: {_words(error)}") from error


def forget(addresses: Iterable[str], token: str) -> None:
    """Remove temporary names that an attempt may have left."""
    for address in addresses:
        with suppress(Exception):
            store, remote = store_of(address)
            store.rm_file(temporary_name(remote, token))


def temporary_name(remote: str, token: str) -> str:
    folder, slash, name = remote.rpartition("/")
    return f"{folder}{slash}.{name}.partial-{token}"


def state_of(path: Path) -> dict[str, str | int] | None:
    """What tells one version of a file from another, its size and its time or tag; None where there is no file."""
    address = address_of(path)
    if address is None:
        try:
            found = path.stat()
        except OSError:
            return None
        return {"bytes": found.st_size, "version": str(found.st_mtime_ns)}
    store, remote = store_of(address)
    try:
        info = store.info(remote)
    except FileNotFoundError:
        return None
    except Exception as error:
        raise StoreError(f"{address} cannot be looked at: {_words(error)}") from error
    version = next((info[key] for key in _VERSIONS if info.get(key) is not None), "")
    return {"bytes": int(info.get("size") or 0), "version": str(version)}


def sizes_below(folder: Path, wanted: Iterable[Path]) -> dict[Path, int]:
    """The size of each of these files that is there; in a store by one listing of `folder`, which holds them all."""
    address = address_of(folder)
    if address is None:
        return {path: path.stat().st_size for path in wanted if path.is_file()}
    store, remote = store_of(address)
    try:
        listing: dict[str, Any] = store.find(remote, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:
        raise StoreError(f"{address} cannot be listed: {_words(error)}") from error
    sizes = {name.strip("/"): int(info.get("size") or 0) for name, info in listing.items()}
    root = remote.strip("/")
    names = {path: f"{root}/{path.relative_to(folder).as_posix()}".strip("/") for path in wanted}
    return {path: sizes[name] for path, name in names.items() if name in sizes}


def _move(store: Any, source: str, target: str) -> None:
    try:
        store.mv(source, target)
    except FileExistsError:  # some stores rename like that
        store.rm_file(target)
        store.mv(source, target)


def _try(address: str, what: str, do: Any) -> None:
    try:
        do()
    except Exception as error:
        raise StoreError(f"{address} cannot be {what}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
