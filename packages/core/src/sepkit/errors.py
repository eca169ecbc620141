"""The errors a user can meet: each says what was given, what was wanted and what to do now."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SepkitError(Exception):
    """Base of every error that sepkit raises on purpose."""


class AudioError(SepkitError, ValueError):
    """Audio that cannot be read, written or used as given."""


class OptionError(SepkitError, ValueError):
    """A setting with an unknown name or a value outside its range."""


class UnknownNameError(SepkitError, LookupError):
    """A name that no registry entry, stem, preset or recipe has."""


class PluginError(SepkitError, RuntimeError):
    """An installed plugin that cannot be imported or breaks its contract."""


class CheckpointError(SepkitError, RuntimeError):
    """A checkpoint that is missing, corrupted or does not fit the code."""


class LicenceError(SepkitError, RuntimeError):
    """Weights whose licence does not allow what was asked for."""


class NonFiniteOutput(SepkitError, ArithmeticError):
    """A method returned NaN or infinity; the message names the window."""


class DeviceError(SepkitError, RuntimeError):
    """A device or precision that was asked for and cannot be used here."""


class DatasetError(SepkitError, ValueError):
    """A dataset folder that is empty, incomplete or contradicts itself."""


class OutputExistsError(SepkitError, FileExistsError):
    """An output file is already there and nothing said to replace it."""


class MissingExtraError(SepkitError, ImportError):
    """An optional dependency is needed; the message has the install line."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: pip install 'sepkit[{extra}]'"
        )


def nearest(given: str, known: Iterable[str]) -> str:
    """A clause that lists the known names, led by the nearest to the given one: `did you mean 'x'? Known: x, y.`"""
    known = sorted(known)
    close = get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known) or 'none'}."
