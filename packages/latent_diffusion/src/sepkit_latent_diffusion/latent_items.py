"""Training items out of cached latents: no sound is decoded, resampled or encoded while training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from sepkit.data.opening import open_dataset
from sepkit.data.resampled import resampled_track
from sepkit.errors import DatasetError
from sepkit.training.processes import main_first, speaks

from .items import TRIES, PairData, shares_by_length
from .latent_cache import LatentCache, read_crop, shape_of
from .pairs import pair_dataset
from .windows_on_grid import frame_grid

SILENT_SHARE = 1e-4
"""A crop's first target with less than this share of its song's mean energy, in latents, counts as silent."""


@dataclass(frozen=True)
class _Song:
    path: Path
    groups: int
    frames: int
    energy: float  # of the first target, a frame's mean


class LatentItems(Dataset[dict[str, Tensor]]):
    """Crops of cached pairs, `latents` r d n and `power` n; item i is a function of (seed, i).

    The sign varies where the codec is additive, for then it is the same for latents and sounds. Making one encodes what
    the cache does not have yet, song by song.
    """

    def __init__(self, data: PairData, targets: Sequence[str], cache: LatentCache, *, crop_frames: int, seed: int):
        codec = cache.codec
        self.data, self.seed, self.crop_frames = data, seed, crop_frames
        self.features, self.additive = codec.features, codec.additive
        self.step_frames = frame_grid(codec).step_frames  # windows start where segments do, and so do crops
        self.songs: list[_Song] = []
        weights: list[float] = []
        sets = [pair_dataset(open_dataset(spec, split="train"), targets) for spec in data.sources]
        if not sum(map(len, sets)):
            raise DatasetError(f"{', '.join(data.sources) or 'no source'} has no song to train from.")
        for share, songs in zip(data.shares or [float(len(songs)) for songs in sets], sets, strict=True):
            weights += [share * part for part in shares_by_length(songs)]
        with main_first():
            for song in (song for songs in sets for song in songs):
                at_rate = song if song.sample_rate == codec.sample_rate else resampled_track(song, codec.sample_rate)
                self.songs.append(self._measured(cache.file(at_rate)))
                _say(len(self.songs), sum(map(len, sets)))
        self.shares = np.cumsum(weights) / np.sum(weights)

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        for attempt in range(TRIES):
            rng = np.random.default_rng([self.seed, index, attempt])
            song, item = self._drawn(rng)
            energy = float(item["latents"][1].float().square().mean())
            if energy > SILENT_SHARE * song.energy or rng.random() < self.data.keep_silent:
                break
        if self.additive and rng.random() < self.data.flip_sign:
            item["latents"] = -item["latents"]
        return item

    def _drawn(self, rng: np.random.Generator) -> tuple[_Song, dict[str, Tensor]]:
        place = min(int(np.searchsorted(self.shares, rng.random(), side="right")), len(self.songs) - 1)
        song = self.songs[place]
        group, free = int(rng.integers(song.groups)), song.frames - self.crop_frames
        first = int(rng.integers(free // self.step_frames + 1)) * self.step_frames if free > 0 else 0
        return song, read_crop(song.path, group, first, self.crop_frames, self.features)

    def _measured(self, path: Path) -> _Song:
        groups, frames = shape_of(path)
        target = read_crop(path, 0, 0, frames, self.features)["latents"][1]
        return _Song(path, groups, frames, float(target.float().square().mean()))


def _say(done: int, total: int) -> None:
    """A progress line for a terminal, and one line for a log."""
    if speaks() and (sys.stderr.isatty() or done == total):
        print(f"\rencoded song {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
