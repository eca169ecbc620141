"""What to say where a peer's package is not installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from sepkit.errors import MissingExtraError


class MissingPeerError(MissingExtraError):
    """A peer's own package is needed; the message has the install line."""

    def __init__(self, extra: str, method: str, reason: Exception):
        message = (
            f"The method {method!r} runs the package {extra!r} of its authors, which cannot be imported ({reason})"
        )
        ImportError.__init__(self, f"{message}: pip install 'sepkit-peers[{extra}]'")


def peer_module(module: str, *, extra: str, method: str) -> ModuleType:
    """Import a module of a peer's package; raises MissingPeerError where it is missing or does not load here."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # torchaudio that does not fit torch is an OSError
        raise MissingPeerError(extra, method, error) from error
