"""Songs made by our own code, with known stems and no file, program or licence behind them.

Every song is given by its seed. The seeds of training, validation, test and demo songs lie in disjoint ranges
(`SEED_RANGES`), so a training set made by `synthetic_set(…, split="train")`, or by the rendering command, never holds
a song that anything is scored on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import OptionError
from .resampled import resampled_track
from .song_maker import SAMPLE_RATE, SEED_RANGES, STEMS, VERSION, made_stems
from .track import Dataset, Track

DEMO_SECONDS = 12.0
DEMO_SEEDS = (0, 1, 2)  # within the demo range


def song(seed: int, seconds: float = 30.0, sample_rate: int = SAMPLE_RATE) -> Track:
    """Song `seed`: vocals, drums, bass and other, stereo; made when its samples are first asked for.

    The same seed and seconds give the same song everywhere, to within one step of 16 bits (libraries round sines
    differently); the stems lie on the 16-bit grid, so they sum to the mixture exactly (not after resampling).
    Which seeds are for training and which for scoring: `SEED_RANGES`.
    """
    if seed < 0 or not 0.5 <= seconds <= 3600:
        raise OptionError(f"song({seed}, {seconds}) wants a seed of 0 or more and 0.5 to 3600 seconds.")
    source = SongSource(seed, float(seconds))
    split = split_of(seed)
    track = Track(
        f"{split}_{seed - SEED_RANGES[split].start if split in SEED_RANGES else seed:04d}",
        SAMPLE_RATE,
        2,
        round(seconds * SAMPLE_RATE),
        STEMS,
        source,
        facts={"seed": seed, "source": "made by sepkit"},
    )
    return track if sample_rate == SAMPLE_RATE else resampled_track(track, sample_rate)


def split_of(seed: int) -> str:
    """The split whose range holds the seed; `song` for seeds beyond all ranges."""
    return next((split for split, seeds in SEED_RANGES.items() if seed in seeds), "song")


def synthetic_set(count: int = 8, seed: int = 0, seconds: float = 30.0, *, split: str = "test") -> Dataset:
    """`count` songs of a split (train, valid or test), the first of which is the split's song number `seed`."""
    if split not in SEED_RANGES:
        raise OptionError(f"made songs have no split {split!r}: ask for {', '.join(SEED_RANGES)}.")
    seeds = SEED_RANGES[split]
    if count < 1 or seed < 0 or seed + count > len(seeds):
        raise OptionError(
            f"{count} songs from number {seed} on: the split {split!r} has the numbers 0 to {len(seeds) - 1}."
        )
    tracks = [song(number, seconds) for number in seeds[seed : seed + count]]
    return Dataset("synthetic", tracks, split)


def demo_set() -> Dataset:
    """Three songs of 12 s that need no download: what `make demo` separates and scores."""
    seeds = SEED_RANGES["demo"]
    return Dataset("demo", [song(seeds[number], DEMO_SECONDS) for number in DEMO_SEEDS], "demo")


@dataclass(frozen=True)
class SongSource:
    """A made song's samples; the last few songs are kept in memory."""

    seed: int
    seconds: float

    def read(self, stem: str, start: int, length: int) -> Tensor:
        return _made(self.seed, self.seconds)[stem][:, start : start + length].clone()

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return None

    def fingerprint(self, stem: str) -> str | None:
        return f"made by sepkit|{VERSION}|{self.seed}|{self.seconds}|{stem}"


@lru_cache(maxsize=4)
def _made(seed: int, seconds: float) -> dict[str, Tensor]:
    stems, _ = made_stems(seed, seconds)
    return {stem: torch.from_numpy(x) for stem, x in stems.items()}
