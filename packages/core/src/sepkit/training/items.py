"""Training items: random crops of stems from several datasets; item i is a function of (seed, i)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..config import Frozen
from ..data.crops import RandomCrops
from ..data.opening import open_dataset
from ..data.track import Dataset
from .processes import main_first, speaks


class StemData(Frozen):
    """Where training audio comes from and how it is varied. Defaults: stems of independent songs, nothing else."""

    sources: tuple[str, ...]  # dataset specs, e.g. `folder:PATH`; only their train split is read
    shares: tuple[float, ...] | None = None  # how often each source is drawn; None: by its number of tracks
    remix_probability: float = 1.0
    gain_db: tuple[float, float] = (0.0, 0.0)
    flip_sign: float = 0.0
    swap_channels: float = 0.0
    absent_probability: float = 0.0
    speed: tuple[float, float] = (1.0, 1.0)
    silence_tries: int = 1
    equaliser_db: float = Field(default=0.0, ge=0)  # standard deviation of random gains, nine points over the band
    cache: str | None = None  # folder of decoded audio; None: the user's cache folder


VARIATIONS = {
    "remix_probability",
    "gain_db",
    "flip_sign",
    "swap_channels",
    "absent_probability",
    "speed",
    "silence_tries",
}


class StemItems(torch.utils.data.Dataset[dict[str, Tensor]]):
    """`stems` s c t, `target` = i mod s (so that every batch asks for all stems alike), `equaliser_db` s k."""

    def __init__(
        self,
        config: StemData,
        *,
        stems: Sequence[str],
        length_samples: int,
        sample_rate: int,
        channels: int,
        seed: int,
    ):
        self.config, self.stems, self.seed = config, tuple(stems), seed
        datasets = [open_dataset(spec, split="train") for spec in config.sources]
        shares = config.shares or tuple(float(len(dataset)) for dataset in datasets)
        self.crops = RandomCrops(
            Dataset("+".join(config.sources), [track for dataset in datasets for track in dataset], split="train"),
            length_samples=length_samples,
            sample_rate=sample_rate,
            channels=channels,
            stems=self.stems,
            seed=seed,
            count=2**40,
            weights=[
                share * part for share, dataset in zip(shares, datasets, strict=True) for part in _by_length(dataset)
            ],
            cache=Path(config.cache) if config.cache else None,
            **config.model_dump(include=VARIATIONS),
        )

    def prepare(self) -> None:
        """Decode all audio into the cache now, with a line of progress on standard error.

        Of processes that train together, the first of each machine decodes while the others wait.
        """
        with main_first():
            self.crops.prepare(_say_decoding if speaks() else None)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {"stems": self.crops[index], "target": torch.tensor(index % len(self.stems))}
        if self.config.equaliser_db:
            rng = np.random.default_rng([self.seed, index, 1])
            gains = rng.normal(0.0, self.config.equaliser_db, (len(self.stems), 9)) * (
                rng.random((len(self.stems), 1)) < 0.5
            )
            item["equaliser_db"] = torch.from_numpy(gains.astype(np.float32))
        return item


def _by_length(dataset: Dataset) -> list[float]:
    """Shares of the tracks, by their length, that sum to one."""
    total = sum(track.length_samples / track.sample_rate for track in dataset)
    return [track.length_samples / track.sample_rate / total for track in dataset]


def _say_decoding(done: int, total: int) -> None:
    """A progress line for a terminal, and one line for a log."""
    if sys.stderr.isatty() or done == total:
        print(f"\rdecoding stem {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
