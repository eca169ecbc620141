"""Datasets by name: demo, synthetic, folder:PATH, musdb:PATH, slakh:PATH and others, also those of plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import DatasetError, PluginError, SepkitError, UnknownNameError, nearest
from ..plugins import announced, load, sources, working_names

if TYPE_CHECKING:
    from .part_files import BadTrack
    from .track import Dataset

GROUP = "sepkit.datasets"
"""Entry points: name -> `open(rest, split, sample_rate) -> Dataset`, where `rest` is what follows `name:`."""
BUILT_IN = {
    "demo": "a few short songs made by our own code; demo:band for bass, drums, guitar and piano",
    "synthetic": "more and longer songs made by our own code: synthetic:COUNT, synthetic:band or synthetic:band:COUNT",
    "folder": "folder:PATH, sound files named by their stems: Song/vocals.wav, vocals/Song.wav or Song_vocals.wav",
    "musdb": "musdb:PATH, MUSDB18 (.stem.mp4) or MUSDB18-HQ",
    "slakh": "slakh:PATH, Slakh2100 as bass, drums, guitar, piano and other",
    "slakh-band": "slakh-band:PATH, Slakh2100's bass, drums, guitar and piano alone; their sum is the mixture",
    "slakh-classes": "slakh-classes:PATH, Slakh2100 with a stem for every class of instruments",
    "moisesdb": "moisesdb:PATH, MoisesDB as vocals, drums, bass, guitar, piano and other",
    "moisesdb-all": "moisesdb-all:PATH, MoisesDB with its own eleven stems",
    "medleydb": "medleydb:PATH, MedleyDB without the songs that MUSDB18 has or whose artists it has",
    "saraga": "saraga:PATH, Saraga Carnatic's multitrack concerts: vocals and mixture",
}
FOLDER_KINDS = tuple(kind for kind, text in BUILT_IN.items() if f"{kind}:PATH" in text)
"""Those that are read from a path; the others are made."""


class _Kinds(Mapping[str, str]):
    """Every kind with a line about it, those that plugins announce at this moment included."""

    def __getitem__(self, name: str) -> str:
        if name in BUILT_IN:
            return BUILT_IN[name]
        return f"{name}:..., from {sources(announced(GROUP)[name])}"

    def __iter__(self) -> Iterator[str]:
        yield from BUILT_IN
        yield from (name for name in working_names(BUILT_IN, GROUP, "dataset") if name not in BUILT_IN)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in BUILT_IN or name in announced(GROUP)


KINDS: Mapping[str, str] = _Kinds()
"""The names that may stand before a spec's colon, built in or of plugins, with a line about each; imports nothing."""


def open_dataset(
    spec: str, split: str | None = None, *, sample_rate: int | None = None, bad: list[BadTrack] | None = None
) -> Dataset:
    """The dataset that `spec` names: "demo", "synthetic:20", "folder:PATH", "musdb:PATH" or another of `KINDS`.

    "demo:band", "synthetic:band" and "synthetic:band:20" are songs whose stems are bass, drums, guitar and piano.
    `split` is train, valid or test where the kind has splits. `sample_rate` resamples on reading; made songs are
    always 44.1 kHz. Songs that cannot be read are raised, or put into `bad` where that is given (not by plugins).
    Raises UnknownNameError for a kind that is not known, DatasetError where nothing can be read, for nothing can be
    learnt from no song, and PluginError where a plugin fails.
    """
    kind, _, rest = spec.partition(":")
    if kind not in KINDS:
        raise UnknownNameError(f"no dataset is called {spec!r}: {nearest(kind, KINDS)}")
    if kind in FOLDER_KINDS and not rest:
        raise DatasetError(f"the dataset {kind!r} wants a path: write {kind}:PATH.")
    if kind not in BUILT_IN:
        dataset = _announced(kind, rest, split, sample_rate)
    elif kind in FOLDER_KINDS:
        dataset = _read(kind, rest, split, {"sample_rate": sample_rate, "bad": bad})
    else:
        dataset = _made(kind, rest, split)
    if not len(dataset) and not bad:
        raise DatasetError(f"{spec} has no song{f' in the split {split}' if split else ''}: check its folder.")
    return dataset


def _read(kind: str, path: str, split: str | None, options: dict[str, Any]) -> Dataset:
    name, _, view = kind.partition("-")
    if name == "folder":
        from .folder import FolderDataset

        return FolderDataset(path, split, **options)
    if name == "musdb":
        from .musdb import musdb_dataset

        return musdb_dataset(path, split or "test", **options)
    if name == "slakh":
        from .slakh import slakh_dataset

        return slakh_dataset(path, split, view=view or "rest", **options)
    if name == "moisesdb":
        from .moisesdb import moisesdb_dataset

        return moisesdb_dataset(path, split, every_stem=view == "all", **options)
    if name == "medleydb":
        from .medleydb import medleydb_dataset

        return medleydb_dataset(path, split, **options)
    from .saraga import saraga_dataset

    return saraga_dataset(path, split, **options)


def _announced(kind: str, rest: str, split: str | None, sample_rate: int | None) -> Dataset:
    """What a plugin opens. Raises PluginError where it cannot be imported, fails, or returns something else."""
    from .track import Dataset

    what = f"The dataset {kind!r}"
    opened = load(what, announced(GROUP)[kind])
    try:
        dataset = opened(rest, split, sample_rate)
    except SepkitError:
        raise
    except Exception as error:
        raise PluginError(f"{what} failed on {rest!r}: {type(error).__name__}: {error}") from error
    if not isinstance(dataset, Dataset):
        raise PluginError(f"{what} opened a {type(dataset).__name__}; a sepkit.data.Dataset is wanted.")
    return dataset


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
