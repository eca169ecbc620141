"""Datasets by name: demo, synthetic, folder:PATH, musdb:PATH."""

from __future__ import annotations

from ..errors import DatasetError, UnknownNameError, nearest
from .track import Dataset

KINDS = {
    "demo": "a few short songs made by our own code",
    "synthetic": "more and longer songs made by our own code; synthetic:COUNT for another number",
    "folder": "folder:PATH, a folder of track folders with one sound file for each stem",
    "musdb": "musdb:PATH, MUSDB18-HQ",
}


def open_dataset(spec: str, split: str | None = None, *, sample_rate: int | None = None) -> Dataset:
    """The dataset that `spec` names: "demo", "synthetic", "synthetic:20", "folder:PATH" or "musdb:PATH".

    `split` is train, valid or test where the kind has splits. `sample_rate` resamples folders on reading; made songs
    are always 44.1 kHz. Raises UnknownNameError for a kind that is not known, DatasetError where nothing can be read.
    """
    kind, _, rest = spec.partition(":")
    if kind not in KINDS:
        raise UnknownNameError(f"no dataset is called {spec!r}: {nearest(kind, KINDS)}")
    if kind in ("folder", "musdb") and not rest:
        raise DatasetError(f"the dataset {kind!r} wants a path: write {kind}:PATH.")
    if kind == "folder":
        from .folder import FolderDataset

        return FolderDataset(rest, split, sample_rate=sample_rate)
    if kind == "musdb":
        from .musdb import musdb_dataset

        return musdb_dataset(rest, split or "test", sample_rate=sample_rate)
    from .synthetic import demo_set, synthetic_set

    if kind == "demo":
        return demo_set()
    if rest and not rest.isdigit():
        raise DatasetError(f"synthetic:{rest} does not say a number of songs: write synthetic:20, say.")
    return synthetic_set(int(rest) if rest else 8, split=split or "test")
