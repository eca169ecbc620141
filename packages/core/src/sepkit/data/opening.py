"""Datasets by name: demo, demo:band, synthetic, synthetic:band, folder:PATH, musdb:PATH."""

from __future__ import annotations

from ..errors import DatasetError, UnknownNameError, nearest
from .track import Dataset

KINDS = {
    "demo": "a few short songs made by our own code; demo:band for bass, drums, guitar and piano",
    "synthetic": "more and longer songs made by our own code: synthetic:COUNT, synthetic:band or synthetic:band:COUNT",
    "folder": "folder:PATH, a folder of track folders with one sound file for each stem",
    "musdb": "musdb:PATH, MUSDB18-HQ",
}
FOLDER_KINDS = ("folder", "musdb")
"""Those that are read from a path; the others are made."""


def open_dataset(spec: str, split: str | None = None, *, sample_rate: int | None = None) -> Dataset:
    """The dataset that `spec` names: "demo", "synthetic", "synthetic:20", "folder:PATH" or "musdb:PATH".

    "demo:band", "synthetic:band" and "synthetic:band:20" are songs whose stems are bass, drums, guitar and piano.
    `split` is train, valid or test where the kind has splits. `sample_rate` resamples folders on reading; made songs
    are always 44.1 kHz. Raises UnknownNameError for a kind that is not known, DatasetError where nothing can be read.
    """
    kind, _, rest = spec.partition(":")
    if kind not in KINDS:
        raise UnknownNameError(f"no dataset is called {spec!r}: {nearest(kind, KINDS)}")
    if kind in FOLDER_KINDS and not rest:
        raise DatasetError(f"the dataset {kind!r} wants a path: write {kind}:PATH.")
    if kind == "folder":
        from .folder import FolderDataset

        return FolderDataset(rest, split, sample_rate=sample_rate)
    if kind == "musdb":
        from .musdb import musdb_dataset

        return musdb_dataset(rest, split or "test", sample_rate=sample_rate)
    return _made(kind, rest, split)


def _made(kind: str, rest: str, split: str | None) -> Dataset:
    """Songs of our own code: `rest` is nothing, a number of songs, "band", or "band:" and a number."""
    band, _, count = rest.partition(":") if rest.startswith("band") else ("", "", rest)
    if band not in ("", "band") or (count and (kind == "demo" or not count.isdigit())):
        raise DatasetError(
            f"{kind}:{rest} says neither a number of songs nor what songs: write synthetic:20, synthetic:band, "
            "synthetic:band:20, demo or demo:band."
        )
    if band:
        from .band_songs import band_demo_set, band_set

        return band_demo_set() if kind == "demo" else band_set(int(count or 8), split=split or "test")
    from .synthetic import demo_set, synthetic_set

    return demo_set() if kind == "demo" else synthetic_set(int(count or 8), split=split or "test")
