"""Songs for bass, drums, guitar and piano made by our own code, with no file, program or licence behind them.

Every song is given by its seed, as those of `sepkit.data.synthetic` are; the same disjoint ranges of seeds are for
training, validation, test and demo songs, and the test songs are in styles that no other song is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import OptionError
from .band_arranging import BAND_STEMS
from .band_maker import BAND_VERSION, made_band_stems
from .resampled import resampled_track
from .song_maker import SAMPLE_RATE, SEED_RANGES
from .synthetic import DEMO_SECONDS, split_of
from .track import Dataset, Track

BAND_DEMO_SEEDS = (0, 1, 2)  # within the demo range


def band_song(seed: int, seconds: float = 30.0, sample_rate: int = SAMPLE_RATE) -> Track:
    """Song `seed`: bass, drums, guitar and piano, stereo; made when its samples are first asked for.

    The same seed and seconds give the same song everywhere, to within one step of 16 bits; the stems lie on the 16-bit
    grid, so they sum to the mixture exactly (not after resampling). Which seeds are for what: `SEED_RANGES`.
    """
    if seed < 0 or not 0.5 <= seconds <= 3600:
        raise OptionError(f"band_song({seed}, {seconds}) wants a seed of 0 or more and 0.5 to 3600 seconds.")
    split = split_of(seed)
    track = Track(
        f"band_{split}_{seed - SEED_RANGES[split].start if split in SEED_RANGES else seed:04d}",
        SAMPLE_RATE,
        2,
        round(seconds * SAMPLE_RATE),
        BAND_STEMS,
        BandSource(seed, float(seconds)),
        facts={"seed": seed, "source": "made by sepkit"},
    )
    return track if sample_rate == SAMPLE_RATE else resampled_track(track, sample_rate)


def band_set(count: int = 8, seed: int = 0, seconds: float = 30.0, *, split: str = "test") -> Dataset:
    """`count` songs of a split (train, valid or test), the first of which is the split's song number `seed`."""
    if split not in SEED_RANGES:
        raise OptionError(f"made songs have no split {split!r}: ask for {', '.join(SEED_RANGES)}.")
    seeds = SEED_RANGES[split]
    if count < 1 or seed < 0 or seed + count > len(seeds):
        raise OptionError(
            f"{count} songs from number {seed} on: the split {split!r} has the numbers 0 to {len(seeds) - 1}."
        )
    return Dataset("synthetic:band", [band_song(number, seconds) for number in seeds[seed : seed + count]], split)


def band_demo_set() -> Dataset:
    """Three songs of 12 s with the stems bass, drums, guitar and piano, that need no download."""
    seeds = SEED_RANGES["demo"]
    return Dataset("demo:band", [band_song(seeds[number], DEMO_SECONDS) for number in BAND_DEMO_SEEDS], "demo")


@dataclass(frozen=True)
class BandSource:
    """A made song's samples; the last few songs are kept in memory."""

    seed: int
    seconds: float

    def read(self, stem: str, start: int, length: int) -> Tensor:
        return _made(self.seed, self.seconds)[stem][:, start : start + length].clone()

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return None

    def fingerprint(self, stem: str) -> str | None:
        return f"made by sepkit, band|{BAND_VERSION}|{self.seed}|{self.seconds}|{stem}"


@lru_cache(maxsize=4)
def _made(seed: int, seconds: float) -> dict[str, Tensor]:
    stems, _ = made_band_stems(seed, seconds)
    return {stem: torch.from_numpy(x) for stem, x in stems.items()}
