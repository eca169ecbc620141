"""Datasets of songs with known stems: read from folders, made by our own code, cropped for training.

Names are imported when they are first used, so that rendering in many processes does not import torch in each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .band_songs import band_demo_set, band_set, band_song
    from .crops import RandomCrops
    from .folder import FolderDataset
    from .opening import open_dataset
    from .synthetic import demo_set, song, synthetic_set
    from .track import Dataset, Track

__all__ = [
    "Dataset",
    "FolderDataset",
    "RandomCrops",
    "Track",
    "band_demo_set",
    "band_set",
    "band_song",
    "demo_set",
    "open_dataset",
    "song",
    "synthetic_set",
]

_HOMES = {
    "Dataset": "track",
    "FolderDataset": "folder",
    "RandomCrops": "crops",
    "Track": "track",
    "band_demo_set": "band_songs",
    "band_set": "band_songs",
    "band_song": "band_songs",
    "demo_set": "synthetic",
    "open_dataset": "opening",
    "song": "synthetic",
    "synthetic_set": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
