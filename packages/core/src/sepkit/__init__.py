"""Music source separation: `get_separator("lightsaft").separate("song.wav")["vocals"]`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .audio import Audio as Audio
    from .audio import Stems as Stems
    from .registry import get_separator as get_separator
    from .registry import list_separators as list_separators
    from .separator import Separator as Separator
    from .separator import SeparatorInfo as SeparatorInfo
    from .separator import WindowModel as WindowModel
    from .separator import WindowSettings as WindowSettings

_HOMES = {
    "Audio": "audio",
    "Stems": "audio",
    "get_separator": "registry",
    "list_separators": "registry",
    "Separator": "separator",
    "SeparatorInfo": "separator",
    "WindowModel": "separator",
    "WindowSettings": "separator",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import sepkit` stays free of torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
