"""What one song of a dataset is like: lengths, levels, silence, and how far its mixture is the sum of its stems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Frozen
from ..errors import SepkitError
from .mixture_fit import UNEXPLAINED, MixtureFit
from .part_files import PartFormat
from .stem_names import without_overlap
from .track import Track

SILENCE_DB = -60.0
"""Below full scale: a second whose RMS is lower is silent, and a stem whose peak is."""
BLOCK_SECONDS = 300.0
"""Audio that is held at a time; files that cannot seek are decoded from their start for each block."""


class StemFacts(Frozen):
    """One stem: its peak (dB below full scale, None for digital silence) and the share of its seconds without sound."""

    peak_db: float | None
    silent_share: float

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it is heard in the whole song."""
        return self.peak_db is None or self.peak_db < SILENCE_DB


class SongFacts(Frozen):
    """One song. `mixture_error_db` is the energy of mixture minus sum of stems, relative to the mixture's, at the level
    (`mixture_level_db`) that fits best; None where there is no mixture of its own, or nothing but it."""

    name: str
    split: str | None
    seconds: float
    sample_rate: int
    channels: int
    stems: dict[str, StemFacts]
    missing: tuple[str, ...] = ()
    file_rates: tuple[int, ...] = ()
    longest_difference_seconds: float = 0.0  # between the longest of its files and the shortest
    own_mixture: bool = False
    complete: bool | None = None
    mixed_anew: bool = False  # the mixture is known to have gains of its own
    mixture_error_db: float | None = None
    mixture_level_db: float | None = None
    error: str | None = None

    @property
    def unexplained(self) -> bool:
        """Whether the mixture has more in it than the stems."""
        return self.mixture_error_db is not None and self.mixture_error_db > 10 * np.log10(UNEXPLAINED)


def file_facts(track: Track) -> dict[str, Any]:
    """Rates and lengths of the song's files, where it has files. Raises SepkitError where one cannot be opened."""
    formats: dict[str, list[PartFormat]] = getattr(track.source, "formats", dict)()
    every = [found for parts in formats.values() for found in parts]
    if not every:
        return {}
    seconds = [found.length_samples / found.sample_rate for found in every]
    return {
        "file_rates": tuple(sorted({found.sample_rate for found in every})),
        "longest_difference_seconds": max(seconds) - min(seconds),
    }


def plain_facts(track: Track, split: str | None, *, read_files: bool = True) -> SongFacts:
    """What is known of a song without reading its sound."""
    return SongFacts(
        name=track.name,
        split=split,
        seconds=track.seconds,
        sample_rate=track.sample_rate,
        channels=track.channels,
        stems={},
        own_mixture=not track.mixture_is_sum,
        complete=track.complete,
        mixed_anew=bool(track.facts.get("mixed_anew")),
        **(file_facts(track) if read_files else {}),
    )


def heard_facts(track: Track, split: str | None) -> tuple[SongFacts, NDArray[np.float32]]:
    """What is known of a song after its sound was read once, and the first minutes of its mixture, c t.

    A song of which something cannot be read has its `error`.
    """
    listener = _Listener(track)
    try:
        facts = plain_facts(track, split)
        for start, length in _blocks(track):
            listener.hear(start, length)
    except SepkitError as error:
        facts = plain_facts(track, split, read_files=False)
        return facts.model_copy(update={"error": str(error)}), np.zeros((track.channels, 0), np.float32)
    return facts.model_copy(update=listener.facts()), listener.beginning


def _blocks(track: Track) -> Iterator[tuple[int, int]]:
    step = max(1, round(BLOCK_SECONDS)) * track.sample_rate  # whole seconds, so that no second lies in two blocks
    for start in range(0, track.length_samples, step):
        yield start, min(step, track.length_samples - start)


class _Listener:
    """Adds up what is needed of a song, block by block."""

    def __init__(self, track: Track):
        self.track = track
        self.peaks = dict.fromkeys(track.stems, 0.0)
        self.silent = dict.fromkeys(track.stems, 0)
        self.seconds = 0
        self.sums = np.zeros(3)  # of mixture², mixture · stems, stems²
        self.beginning = np.zeros((track.channels, 0), np.float32)

    def hear(self, start: int, length: int) -> None:
        total = np.zeros((self.track.channels, length), np.float32)
        added = without_overlap(self.track.stems)
        for stem in self.track.stems:
            x = self.track.load(stem, start, length).numpy()
            self.peaks[stem] = max(self.peaks[stem], float(np.abs(x).max(initial=0.0)))
            self.silent[stem] += _silent_seconds(x, self.track.sample_rate)
            if stem in added:
                total += x
        self.seconds += -(-length // self.track.sample_rate)
        mixture = total
        if not self.track.mixture_is_sum:
            mixture = self.track.load_mixture(start, length).numpy()
            m, s = mixture.reshape(-1), total.reshape(-1)
            self.sums += (float(np.vdot(m, m)), float(np.vdot(m, s)), float(np.vdot(s, s)))
        if start == 0:
            self.beginning = mixture

    def facts(self) -> dict[str, object]:
        stems = {
            stem: StemFacts(peak_db=_decibels(self.peaks[stem]), silent_share=self.silent[stem] / max(1, self.seconds))
            for stem in self.track.stems
        }
        if self.track.mixture_is_sum:
            return {"stems": stems}
        fit = _fit(*(float(x) for x in self.sums))
        error_db = 10 * np.log10(max(fit.unexplained, 1e-12))
        return {"stems": stems, "mixture_error_db": float(error_db), "mixture_level_db": fit.level_db}


def _fit(mixture: float, both: float, stems: float) -> MixtureFit:
    """`mixture_fit` from the sums of products that it needs."""
    if not mixture or not stems:
        return MixtureFit(0.0 if mixture == stems else 1.0, None)
    gain = both / stems
    if gain <= 0:
        return MixtureFit(1.0, None)
    return MixtureFit(max(0.0, 1 - both * both / (mixture * stems)), float(20 * np.log10(gain)))


def _silent_seconds(x: NDArray[np.float32], sample_rate: int) -> int:
    starts = np.arange(0, x.shape[1], sample_rate)
    if not len(starts):
        return 0
    energy = np.add.reduceat(np.square(x, dtype=np.float32).mean(axis=0), starts)
    counts = np.diff(np.append(starts, x.shape[1]))
    return int((energy / counts < 10 ** (SILENCE_DB / 10)).sum())


def _decibels(peak: float) -> float | None:
    return float(20 * np.log10(peak)) if peak > 0 else None
