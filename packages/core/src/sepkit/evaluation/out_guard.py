"""What keeps a run's folder and the user's sounds apart, and two runs out of one folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OptionError
from .out_folder import file_name

LOCK = ".lock"


def refuse_overlap(out: Path, inputs: Iterable[Path]) -> None:
    """Raise OptionError where an input lies in the run's folder, which --fresh would delete, or the folder in it."""
    own = out.resolve()
    for path in inputs:
        real = path.resolve()
        if own == real or own in real.parents:
            raise OptionError(
                f"{path} lies in {out}, where the results go: they would be mixed up, and --fresh would delete it. "
                "Give a folder outside of it with --out."
            )
        if real in own.parents:
            raise OptionError(
                f"{out}, where the results go, lies in {path}, which is read: give a folder outside of it with --out."
            )


def refuse_same_files(names: Iterable[str], what: str) -> None:
    """Raise OptionError where two names would have one file in the run's folder (`a?b` and `a_b`)."""
    seen: dict[str, str] = {}
    for name in dict.fromkeys(names):
        other = seen.setdefault(file_name(name), name)
        if other != name:
            raise OptionError(
                f"The {what} {other!r} and {name!r} would both be called {file_name(name)!r} in the folder of the "
                "results, and one would overwrite the other: rename one of them."
            )


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it until the end, also where this one is killed.

    The lock is the system's, which ends with the process; the file OUT/.lock only says whose it is. Raises OptionError
    where another run has it, or where no folder can be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(out / LOCK)
    except OSError as error:
        wanted = "it is a file" if out.is_file() else error.strerror
        raise OptionError(
            f"{out} cannot be the folder of the results ({wanted}): give another one with --out."
        ) from error
    if descriptor is None:
        raise OptionError(
            f"Another run{_owner(out / LOCK)} is at work in {out}: wait until it has ended, or give another folder "
            "with --out."
        )
    try:
        yield
    finally:
        with suppress(OSError):
            (out / LOCK).unlink()  # before the lock ends: after that the file may be another run's
        os.close(descriptor)


def _owner(path: Path) -> str:
    try:
        return f" (process {int(path.read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`; None where another run has it."""
    try:
        import fcntl
    except ImportError:  # no such locks here: nothing is kept out
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # a file system without locks
            return descriptor
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode("ascii"))
            return descriptor
        os.close(descriptor)  # its last owner has just removed it
