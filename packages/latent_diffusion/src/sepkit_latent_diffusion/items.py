"""Training items: crops of mixtures and their target stems, from stems that are remixed or from pairs as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset

from sepkit.data.crops import SILENCE, RandomCrops
from sepkit.data.opening import open_dataset
from sepkit.data.track import Dataset as Songs
from sepkit.errors import DatasetError, OptionError
from sepkit.training.equaliser import equalised
from sepkit.training.items import StemData, StemItems
from sepkit.training.processes import main_first

from .pairs import MIXTURE, pair_dataset

Item = dict[str, Tensor]
"""`mixture` c t and `targets` k c t."""

TRIES = 8
STRIDE = 2**34
"""Between an item and what takes its place; beyond the items of any run, so that no place is used twice."""


class PairData(StemData):
    """Where training audio comes from and how it is varied.

    `mode` stems: all stems of a song are needed, and mixtures are sums of stems that may come from several songs.
    `pairs`: a song needs its mixture and the targets, which stay together: speed varies, and sign, channels and gain
    for all alike. `latents`: pairs whose latents are computed once and kept in `latent_cache`; only the sign varies.
    `equaliser_db` belongs to `stems`.
    `keep_silent`: the share of crops without the first target that are kept.
    """

    crop_seconds: float = Field(default=3.0, gt=0)
    keep_silent: float = Field(default=0.05, ge=0, le=1)
    mode: Literal["stems", "pairs", "latents"] = "stems"
    latent_cache: str | None = None  # folder; None: beside the run


class CropItems(Protocol):
    """Items of audio, each a function of (seed, i), and what was decoded for them."""

    seed: int

    def __getitem__(self, index: int, /) -> Item: ...

    def prepare(self) -> None:
        """Decode all audio into the cache now."""
        ...


def crop_items(
    data: PairData,
    *,
    targets: Sequence[str],
    stems: Sequence[str],
    length_samples: int,
    sample_rate: int,
    channels: int,
    seed: int,
) -> CropItems:
    """Items as `data.mode` says; raises DatasetError for songs that lack what the mode needs."""
    if data.mode == "stems":
        _check_others(data, targets)
        found = StemItems(
            data, stems=stems, length_samples=length_samples, sample_rate=sample_rate, channels=channels, seed=seed
        )
        return RemixedItems(found, targets)
    return PairItems(
        data, targets, length_samples=length_samples, sample_rate=sample_rate, channels=channels, seed=seed
    )


class RemixedItems(Dataset[Item]):
    """Items of stems as mixtures and targets, `accompaniment` being all but the vocals."""

    def __init__(self, items: StemItems, targets: Sequence[str]):
        missing = [target for target in targets if target not in items.stems and target != "accompaniment"]
        if missing:
            raise OptionError(f"the target {missing[0]!r} is none of the training stems: {', '.join(items.stems)}.")
        self.items, self.targets, self.seed = items, tuple(targets), items.seed

    def prepare(self) -> None:
        self.items.prepare()

    def __getitem__(self, index: int) -> Item:
        item = self.items[index]
        stems = item["stems"]
        if "equaliser_db" in item:
            stems = equalised(stems, item["equaliser_db"], self.items.crops.sample_rate)
        mixture, names = stems.sum(dim=0), self.items.stems
        found = [
            stems[names.index(target)] if target in names else mixture - stems[names.index("vocals")]
            for target in self.targets
        ]
        return {"mixture": mixture, "targets": torch.stack(found)}


class PairItems(Dataset[Item]):
    """Crops of pairs at random places, varied as one sound is: speed, then sign, channels and gain alike for both."""

    def __init__(
        self,
        data: PairData,
        targets: Sequence[str],
        *,
        length_samples: int,
        sample_rate: int,
        channels: int,
        seed: int,
    ):
        self.data, self.seed = data, seed
        sets = [pair_dataset(open_dataset(spec, split="train"), targets) for spec in data.sources]
        shares = data.shares or tuple(float(len(songs)) for songs in sets)
        self.crops = RandomCrops(
            Songs("+".join(data.sources), [song for songs in sets for song in songs], split="train"),
            length_samples=length_samples,
            sample_rate=sample_rate,
            channels=channels,
            stems=(MIXTURE, *targets),
            seed=seed,
            count=2**40,
            remix_probability=0.0,
            speed=data.speed,
            silence_tries=data.silence_tries,
            weights=[
                share * part for share, songs in zip(shares, sets, strict=True) for part in shares_by_length(songs)
            ],
            cache=Path(data.cache) if data.cache else None,
        )

    def prepare(self) -> None:
        with main_first():
            self.crops.prepare()

    def __getitem__(self, index: int) -> Item:
        sounds = self.crops[index]
        rng = np.random.default_rng([self.seed, index, 3])
        gain = 10 ** (rng.uniform(*self.data.gain_db) / 20)
        gain *= -1 if rng.random() < self.data.flip_sign else 1
        if rng.random() < self.data.swap_channels:
            sounds = sounds.flip(1)
        sounds = gain * sounds
        return {"mixture": sounds[0], "targets": sounds[1:]}


class SoundingItems(Dataset[Item]):
    """`items`, where an item whose first target is silent is kept by the chance `keep_silent`, else another is drawn.

    Item i is a function of (seed, i) alone. A target that no try finds stays silent.
    """

    def __init__(self, items: CropItems, keep_silent: float):
        self.items, self.keep_silent = items, keep_silent

    def __len__(self) -> int:
        return STRIDE

    def __getitem__(self, index: int) -> Item:
        item = self.items[index]
        if self.keep_silent >= 1:
            return item
        for attempt in range(1, TRIES):
            if item["targets"][0].abs().max() > SILENCE:
                break
            if np.random.default_rng([self.items.seed, index, attempt, 2]).random() < self.keep_silent:
                break
            item = self.items[index + attempt * STRIDE]
        return item


def shares_by_length(songs: Songs) -> list[float]:
    """Shares of the songs, by their length, that sum to one."""
    seconds = [song.seconds for song in songs]
    total = sum(seconds)
    return [value / total if total else 1 / len(seconds) for value in seconds]


def _check_others(data: PairData, targets: Sequence[str]) -> None:
    """Refuse songs that have nothing but the target: their sum would be no mixture, and the task would be copying."""
    for song in (song for spec in data.sources for song in open_dataset(spec, split="train")):
        if set(song.stems) <= set(targets):
            raise DatasetError(
                f"track {song.name!r} has no stem but {', '.join(song.stems)}, so stems of it make no mixture. Take "
                "pairs as they are: --set data.mode=pairs (or latents)."
            )
