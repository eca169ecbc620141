"""Which passages of which tracks are listened to: by seed, where the stem sounds, and the same for every method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ...audio import Audio
from ...errors import DatasetError
from .material import SourceTrack

BLOCK_SECONDS, STEP_SECONDS = 0.1, 0.5
BELOW_LOUD_DB, FLOOR_DBFS = 30.0, -60.0
WANTED_SHARE, LEAST_SHARE = 0.8, 0.3


class Passage(NamedTuple):
    """A part of a track, and the share of its blocks of 100 ms in which the stem sounds, 0 to 1."""

    track: SourceTrack
    start_samples: int
    length_samples: int
    sounding: float

    @property
    def start_seconds(self) -> float:
        """Where it begins, in seconds."""
        return self.start_samples / self.track.sample_rate


def choose_passages(
    tracks: Sequence[SourceTrack], count: int, seconds: float, seed: int
) -> tuple[list[Passage], Passage]:
    """`count` passages of `seconds` for the test and one more for training, chosen by `seed`.

    As many different tracks as there are, then further passages of the same tracks that do not overlap; which ones
    depends on the seed and the tracks' names only, not on the methods. The training passage comes from a track that
    the test leaves out if there is one, and repeats the first passage if nothing else is left.
    Raises DatasetError where the tracks do not have that many passages in which the stem sounds.
    """
    by_name = sorted(tracks, key=lambda track: track.name)
    order = np.random.default_rng([seed, 1]).permutation(len(by_name))
    pools = [passages_of(by_name[index], seconds, seed) for index in order]
    rounds = max((len(pool) for pool in pools), default=0)
    found = [pool[turn] for turn in range(rounds) for pool in pools if turn < len(pool)]
    if len(found) < count:
        raise DatasetError(
            f"{count} excerpts of {seconds:g} s were asked for, and {len(tracks)} track(s) have {len(found)} passages "
            "that do not overlap and in which the stem sounds: ask for fewer or shorter ones, or add tracks."
        )
    return found[:count], found[count] if len(found) > count else found[0]


def passages_of(track: SourceTrack, seconds: float, seed: int) -> list[Passage]:
    """Passages of one track that do not overlap, in the order of preference that the seed gives.

    A block of 100 ms sounds if it is within 30 dB of the track's loud blocks (their 95th percentile) and above
    -60 dBFS. Of the passages that begin every half second, those with 80 % of sounding blocks are equally good; where
    there is none, those that sound longest are, if the stem sounds in 30 % of their blocks.
    """
    length = round(seconds * track.sample_rate)
    reference = Audio.read(track.reference).numpy()
    starts = np.arange(0, reference.shape[-1] - length + 1, round(STEP_SECONDS * track.sample_rate))
    shares = _sounding_shares(reference, track.sample_rate, starts, length)
    wanted = min(WANTED_SHARE, shares.max(initial=0.0))
    if wanted < LEAST_SHARE:
        return []
    good = np.flatnonzero(shares >= wanted)
    chosen: list[int] = []
    for index in np.random.default_rng([seed, 2, crc32(track.name.encode())]).permutation(good):
        if all(abs(starts[index] - starts[other]) >= length for other in chosen):
            chosen.append(int(index))
    return [Passage(track, int(starts[index]), length, float(shares[index])) for index in chosen]


def _sounding_shares(
    reference: NDArray[np.floating], sample_rate: int, starts: NDArray[np.int64], length: int
) -> NDArray[np.float64]:
    """For each start the share of sounding blocks in the `length` samples (of c t) that follow."""
    block = round(BLOCK_SECONDS * sample_rate)
    blocks = reference.shape[-1] // block
    if blocks == 0 or starts.size == 0:
        return np.zeros(starts.size)
    power = (reference[:, : blocks * block].astype(np.float64) ** 2).mean(axis=0).reshape(blocks, block).mean(axis=1)
    level_db = 10 * np.log10(np.maximum(power, 1e-20))
    sounds = level_db > max(float(np.percentile(level_db, 95)) - BELOW_LOUD_DB, FLOOR_DBFS)
    total = np.concatenate([[0], np.cumsum(sounds)])
    first = starts // block
    last = np.minimum((starts + length) // block, blocks)
    return (total[last] - total[first]) / np.maximum(last - first, 1)
