"""Random crops of stems for training: aligned or remixed across songs, with gain, sign, channel and speed changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ..errors import DatasetError, OptionError
from .audio_cache import cached_stem, default_cache_folder
from .part_files import with_channels
from .resampled import resampled_track
from .stem_names import parts_of
from .track import Dataset, Track

SILENCE = 1e-3  # peak of what counts as silent when a place is drawn again


class RandomCrops(TorchDataset[Tensor]):
    """Crops of stems (s c t) drawn by chance; item i depends on (seed, i) and the settings only.

    It does not depend on the number of workers, on the order of the requests, or on any global random state, so a
    training that resumes at item i continues as if it had never stopped.

    `length_samples` (or `seconds`) at `sample_rate` Hz; songs at other rates are resampled once, into the cache.
    `stems` are summed from what each song has (`other` takes guitar and piano where they are not asked for); what a
    song lacks is silent. With `remix_probability` each stem of an item comes from a song and place of its own, else
    all come from one song and place. `gain_db` is a range for each stem's gain; `flip_sign` and `swap_channels` are
    chances for each stem; `absent_probability` silences a stem, never all of them; `speed` is a range of playing
    speeds (and pitch), the same for all stems of an aligned item. Where a remixed stem, or a whole aligned item, is
    silent, its place is drawn up to `silence_tries` times. `weights` says how often each song is drawn; by default all
    alike. `excluded` holds pairs (track name, stem) whose audio must not be used, say an `other` that has the bass
    in it: such a song is never used aligned. Songs shorter than the crop end in silence.

    The sum of an aligned item is to be a stretch of a song's mixture. So a song whose stems are known not to be all
    that sounds (`Track.complete` is False, or it has a mixture of its own and one stem) is never used aligned either:
    its stems serve remixed items, and it has no `other` or `accompaniment` that would be a sum of what there is. Songs
    of which nobody said it are taken for complete, for to find out they would have to be read whole.

    Raises OptionError for settings out of range, DatasetError for a dataset that has nothing to crop.
    """

    def __init__(
        self,
        dataset: Dataset,
        seconds: float | None = None,
        *,
        length_samples: int | None = None,
        sample_rate: int = 44100,
        channels: int = 2,
        stems: Sequence[str] = ("vocals", "drums", "bass", "other"),
        seed: int = 0,
        count: int = 1_000_000,
        remix_probability: float = 0.5,
        gain_db: tuple[float, float] = (0.0, 0.0),
        flip_sign: float = 0.0,
        swap_channels: float = 0.0,
        absent_probability: float = 0.0,
        speed: tuple[float, float] = (1.0, 1.0),
        silence_tries: int = 1,
        weights: Sequence[float] | None = None,
        excluded: Collection[tuple[str, str]] = (),
        cache: str | Path | None = None,
    ):
        if (seconds is None) == (length_samples is None):
            raise OptionError(f"give either seconds or length_samples (given: {seconds} and {length_samples}).")
        chances = {
            "remix_probability": remix_probability,
            "flip_sign": flip_sign,
            "swap_channels": swap_channels,
            "absent_probability": absent_probability,
        }
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise OptionError(f"{name}={chance} is a probability: give 0 to 1.")
        if gain_db[0] > gain_db[1] or not 0 < speed[0] <= speed[1]:
            raise OptionError(f"gain_db={gain_db} and speed={speed} are ranges: (lowest, highest), speeds above 0.")
        self.length_samples = round(seconds * sample_rate) if length_samples is None else length_samples  # type: ignore[operator]
        self.sample_rate, self.channels, self.stems = sample_rate, channels, tuple(stems)
        if self.length_samples < 1 or not self.stems:
            raise OptionError(
                f"a crop of {self.length_samples} samples and {len(self.stems)} stems is empty: ask for more."
            )
        self.seed, self.count = seed, count
        self.remix_probability, self.flip_sign, self.swap_channels = remix_probability, flip_sign, swap_channels
        self.gain_db, self.absent_probability, self.speed = gain_db, absent_probability, speed
        self.silence_tries = silence_tries
        self._stores = [
            _Store(track, sample_rate, Path(cache) if cache else default_cache_folder()) for track in dataset
        ]
        self._parts = _usable_parts(dataset, self.stems, excluded)
        self._weights = _track_weights(dataset, weights)
        banned = {track for track, _ in excluded}
        self._aligned = self._shares(
            [
                i
                for i, track in enumerate(dataset)
                if track.name not in banned and not _lacks_stems(track) and any(self._parts[i].values())
            ]
        )
        self._pools = {
            stem: self._shares([i for i, parts in enumerate(self._parts) if parts.get(stem)]) for stem in self.stems
        }
        if all(pool is None for pool in self._pools.values()):
            raise DatasetError(
                f"{dataset!r} has no audio for any of {', '.join(self.stems)}: its stems are {dataset.stems}."
            )

    def prepare(self, report: Callable[[int, int], None] | None = None) -> None:
        """Decode everything into the cache now, rather than at the first crop of each stem; `report(done, total)`."""
        todo = [
            (i, name)
            for i, parts in enumerate(self._parts)
            for name in dict.fromkeys(n for p in parts.values() for n in p)
        ]
        for done, (i, name) in enumerate(todo, start=1):
            self._stores[i].read(name, 0, 1)
            if report is not None:
                report(done, len(todo))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < self.count:
            raise IndexError(f"item {index} of {self.count}")
        rng = np.random.default_rng([self.seed, index])
        remixed = self._aligned is None or rng.random() < self.remix_probability
        item = self._remixed(rng) if remixed else self._from_one_song(rng)
        self._vary(rng, item)
        return torch.from_numpy(item)

    def _remixed(self, rng: np.random.Generator) -> np.ndarray:
        out = np.zeros((len(self.stems), self.channels, self.length_samples), dtype=np.float32)
        for s, stem in enumerate(self.stems):
            pool = self._pools[stem]
            for _ in range(max(1, self.silence_tries) if pool is not None else 0):
                speed = float(rng.uniform(*self.speed))
                track = self._drawn(rng, pool)
                out[s] = self._crop(track, stem, self._place(rng, track, speed), speed)
                if np.abs(out[s]).max() > SILENCE:
                    break
        return out

    def _from_one_song(self, rng: np.random.Generator) -> np.ndarray:
        for _ in range(max(1, self.silence_tries)):
            speed = float(rng.uniform(*self.speed))
            track = self._drawn(rng, self._aligned)
            start = self._place(rng, track, speed)
            item = np.stack([self._crop(track, stem, start, speed) for stem in self.stems])
            if np.abs(item).max() > SILENCE:
                break
        return item

    def _vary(self, rng: np.random.Generator, item: np.ndarray) -> None:
        """Gain, sign, channels and absence, in place on the item that was just made."""
        count = len(self.stems)
        gains = 10 ** (rng.uniform(*self.gain_db, count) / 20)
        gains *= np.where(rng.random(count) < self.flip_sign, -1, 1)
        absent = rng.random(count) < self.absent_probability
        if absent.all():
            absent[int(rng.integers(count))] = False
        item *= (gains * ~absent)[:, None, None].astype(np.float32)
        swapped = rng.random(count) < self.swap_channels
        item[swapped] = item[swapped, ::-1]

    def _shares(self, tracks: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
        """Track numbers and their cumulated shares, or None where there is nothing to draw."""
        weights = self._weights[list(tracks)] if tracks else np.zeros(0)
        return (np.array(tracks), np.cumsum(weights) / weights.sum()) if weights.sum() > 0 else None

    def _drawn(self, rng: np.random.Generator, pool: tuple[np.ndarray, np.ndarray] | None) -> int:
        assert pool is not None
        tracks, shares = pool
        return int(tracks[min(int(np.searchsorted(shares, rng.random(), side="right")), len(tracks) - 1)])

    def _place(self, rng: np.random.Generator, track: int, speed: float) -> int:
        free = self._stores[track].length_samples - self._read_samples(speed)
        return int(rng.integers(free + 1)) if free > 0 else 0

    def _read_samples(self, speed: float) -> int:
        return round(self.length_samples * speed)

    def _crop(self, track: int, stem: str, start: int, speed: float) -> np.ndarray:
        """c t of one stem; zeros where the song lacks it."""
        out = np.zeros((self.channels, self.length_samples), dtype=np.float32)
        for name in self._parts[track].get(stem, ()):
            x = self._stores[track].read(name, start, self._read_samples(speed))
            if x.shape[0] != self.channels:
                x = with_channels(torch.from_numpy(x), self.channels, self._stores[track].track.name).numpy()
            if speed != 1.0:
                x = soxr.resample(np.ascontiguousarray(x.T), speed, 1.0, quality="MQ").T
            x = x[:, : self.length_samples]
            out[:, : x.shape[1]] += x
        return out


def _usable_parts(
    dataset: Dataset, stems: Sequence[str], excluded: Collection[tuple[str, str]]
) -> list[dict[str, tuple[str, ...]]]:
    """For each track, the stems to sum for each wanted stem, without the excluded ones."""
    names = {(track.name, stem) for track in dataset for stem in (*track.stems, *stems)}
    for pair in excluded:
        if tuple(pair) not in names:
            raise DatasetError(f"excluded {pair}: the dataset has no such track and stem.")
    return [
        {
            s: parts_of(s, stems, track.stems, complete=not _lacks_stems(track))
            for s in stems
            if (track.name, s) not in excluded and track.length_samples
        }
        for track in dataset
    ]


def _lacks_stems(track: Track) -> bool:
    """Whether something sounds in the mixture that is none of the stems, as far as can be told without reading it."""
    alone = not track.mixture_is_sum and len(track.stems) == 1
    return track.complete is False or (track.complete is None and alone)


def _track_weights(dataset: Dataset, weights: Sequence[float] | None) -> np.ndarray:
    given = np.ones(len(dataset)) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != (len(dataset),) or not np.isfinite(given).all() or (given < 0).any():
        raise OptionError(f"weights wants {len(dataset)} numbers of 0 or more, one for each track.")
    return given


class _Store:
    """Fast random access to one track at the wanted rate: cached files, or the tensors of a track in memory."""

    def __init__(self, track: Track, sample_rate: int, folder: Path):
        self.track = track if track.sample_rate == sample_rate else resampled_track(track, sample_rate)
        self.folder = folder
        self.length_samples = self.track.length_samples
        self._readers: dict[str, Callable[[int, int], np.ndarray]] = {}

    def read(self, stem: str, start: int, length: int) -> np.ndarray:
        if stem not in self._readers:
            if self.track.source.fingerprint(stem) is None:
                self._readers[stem] = lambda a, n: self.track.load(stem, a, n).numpy()
            else:
                self._readers[stem] = cached_stem(self.track, stem, self.folder).read
        return self._readers[stem](start, length)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_readers": {}}  # maps and closures stay in the process that made them
