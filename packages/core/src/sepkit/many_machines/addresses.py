"""Addresses of object stores, `s3://bucket/song.wav`, where paths are expected, and the stores behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, OptionError, SepkitError, nearest

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/+(.*)", re.DOTALL)  # two letters at least: C:/ is a drive


class StoreError(SepkitError, OSError):
    """An object store that cannot be reached, or a package for it that is not installed."""


def address_of(path: Path) -> str | None:
    """The address that `path` stands for, or None for a path of this machine.

    `Path("s3://bucket/x")` holds `s3:/bucket/x`, so that an address may travel as a path: this is the way back. Two
    slashes are all it remembers, so that `hdfs://host/x` needs its host.
    """
    found = _ADDRESS.fullmatch(path.as_posix())
    if found is None:
        return None
    kind = found[1].lower()
    return f"{kind}://{'/' if kind == 'local' else ''}{found[2]}"  # fsspec's `local` is this machine, with no host


def local(path: Path) -> Path:
    """The same path, where `file:///tmp/x` is `/tmp/x`."""
    found = _ADDRESS.fullmatch(path.as_posix())
    return Path(f"/{found[2]}") if found and found[1].lower() == "file" else path


def shown(path: Path) -> str:
    """The path as its user wrote it."""
    return address_of(path) or str(path)


def check_shared(address: str) -> None:
    """Raise for an address that other processes cannot reach, or that nothing installed here can open."""
    if address.startswith("memory://"):
        raise OptionError(f"{address} lies in the memory of one process, and Ray's workers are others: name a store.")
    if "::" in address:
        raise OptionError(f"{address} is an address within an address, which is not supported: copy the files out.")
    store_of(address)


def store_of(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path within it.

    Raises StoreError that names the package to install, and OptionError for an unknown kind of store.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("fsspec", "ray", f"The address {address}") from error
    try:
        store, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        package = getattr(error.__cause__, "name", None)
        command = f": pip install {package}, on every machine that works with it" if package else "."
        raise StoreError(f"{address} needs a package that is not installed ({error}){command}") from error
    except ValueError as error:
        kind = address.partition(":")[0]
        known = nearest(kind, fsspec.available_protocols())
        raise OptionError(f"{address} is no address of a known kind ({kind!r}): {known}") from error
    except Exception as error:
        raise StoreError(f"{address} cannot be opened: {type(error).__name__}: {error}") from error
    return store, path
