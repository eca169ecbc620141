"""A song as a pair of sounds: the mixture and the target stems, with nothing asked about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sepkit.data.track import Dataset, Track
from sepkit.errors import DatasetError

MIXTURE = "mixture"


@dataclass(frozen=True, eq=False)
class PairSource:
    """Reads `mixture` as the mixture of `song` and any other name as a stem of `targets`, a view of it."""

    song: Track
    targets: Track

    def read(self, stem: str, start: int, length: int) -> Tensor:
        if stem == MIXTURE:
            return self.song.load_mixture(start, length)
        return self.targets.load(stem, start, length)

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return self.song.load_mixture(start, length)

    def fingerprint(self, stem: str) -> str | None:
        """Of the mixture: of its own recording, or of all that it is the sum of."""
        if stem != MIXTURE:
            return self.targets.source.fingerprint(stem)
        parts = self.song.stems if self.song.mixture_is_sum else (MIXTURE,)
        found = [self.song.source.fingerprint(part) for part in parts]
        return None if None in found else " + ".join(str(text) for text in found)


def pair_track(song: Track, targets: Sequence[str]) -> Track:
    """The song with its mixture as a stem beside the targets; what the mixture holds besides need not be there.

    `accompaniment` is the sum of all but the vocals where the song has those. Raises DatasetError for a missing target.
    """
    view = song if set(targets) <= set(song.stems) else song.view(targets)
    missing = [target for target in targets if target not in view.stems]
    if missing:
        raise DatasetError(
            f"track {song.name!r} has no {missing[0]}, only {', '.join(song.stems)}: a pair needs the mixture and "
            "every target."
        )
    stems, source = (MIXTURE, *targets), PairSource(song, view)
    return Track(song.name, song.sample_rate, song.channels, song.length_samples, stems, source, False, stems)


def pair_dataset(dataset: Dataset, targets: Sequence[str]) -> Dataset:
    """Every song of a dataset by `pair_track`."""
    return Dataset(dataset.name, [pair_track(song, targets) for song in dataset], dataset.split, dataset.notes)
