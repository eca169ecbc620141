"""A challenge submission as a sepkit method: `get_separator("mdx_submission", submission="my_submission.model:Mine")`.

The class runs in this process with all its rights: give only code that you trust.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from sepkit.audio import Audio
from sepkit.config import Frozen, validated
from sepkit.errors import OptionError, PluginError
from sepkit.separator import SeparatorInfo, WindowSettings

from .challenge import INSTRUMENTS
from .seeded import seeded_globals

NAME = "mdx_submission"
Separate = Callable[[NDArray[np.float64], int], dict[str, tuple[Any, int]]]
"""Mixture t c and its rate -> stem's name -> array t c and its rate."""


class SubmissionOptions(Frozen):
    """Which class, and what it does not say of itself. `folder` is put before the places that modules come from."""

    submission: str
    folder: Path | None = None
    sample_rate: int = Field(default=44_100, gt=0)  # Hz; what the challenges' songs have
    channels: int = Field(default=2, gt=0)
    random: bool = False  # whether another seed should give other stems
    licence: str = "unknown"


class SubmissionSeparator:
    """A WindowModel around an object of a submission's class; it takes the whole track at once."""

    def __init__(self, given: SubmissionOptions) -> None:
        with seeded_globals():
            made = _class(given)()
            self._separate, stems = _interface(made, given.submission)
        self.info = SeparatorInfo(
            name=NAME,
            stems=stems,
            sample_rate=given.sample_rate,
            channels=given.channels,
            random=given.random,
            licence=given.licence,
        )
        self.provenance = {"submission": given.submission}

    def settings(self, quality: str | int) -> WindowSettings:
        """A submission has one quality."""
        if quality not in ("fast", "balanced", "best"):
            raise OptionError(f"A submission has no steps, so quality {quality!r} means nothing; leave it out.")
        return WindowSettings()

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        """Whole tracks b c t -> b s c t; the global generators, from which a submission may draw, start from `seed`."""
        found = []
        for window in windows:
            samples = np.array(window.cpu().numpy().T, np.float64)  # as soundfile reads it: t c
            with seeded_globals(seed if self.info.random else 0), torch.inference_mode(False):
                stems = self._separate(samples, self.info.sample_rate)
            found.append(torch.stack([self._checked(stems, name, window) for name in self.info.stems]))
        return torch.stack(found)

    def _checked(self, stems: dict[str, tuple[Any, int]], name: str, window: Tensor) -> Tensor:
        """One stem c t at the mixture's rate, held to its shape."""
        if name not in stems:
            raise PluginError(f"The submission gave no {name!r}; it gave {', '.join(map(str, stems)) or 'nothing'}.")
        array, sample_rate = np.asarray(stems[name][0], np.float32), int(stems[name][1])
        array = array[:, None] if array.ndim == 1 else array
        if sample_rate != self.info.sample_rate:
            array = (
                Audio(torch.from_numpy(array.T), sample_rate)
                .resampled(self.info.sample_rate)
                .numpy()
                .T[: window.shape[1]]
            )
        wanted = (window.shape[1], window.shape[0])
        if array.shape != wanted:
            raise PluginError(
                f"The submission gave {array.shape} for {name!r}; wanted {wanted}: samples and channels of the mixture."
            )
        return torch.from_numpy(np.ascontiguousarray(array.T))


def build(**options: Any) -> SubmissionSeparator:
    """A submission's class, given as `submission="module:Class"`; raises OptionError or PluginError."""
    if "submission" not in options:
        raise OptionError(f"The method {NAME!r} needs to know which: give submission='module:Class'.")
    return SubmissionSeparator(validated(SubmissionOptions, options, f"The method {NAME!r}"))


def _class(given: SubmissionOptions) -> Any:
    module, colon, name = given.submission.partition(":")
    if not colon or not name:
        raise OptionError(f"submission is {given.submission!r}; write 'module:Class'.")
    with _first_on_path(given.folder):
        try:
            return getattr(importlib.import_module(module), name)
        except Exception as error:
            raise PluginError(
                f"The submission {given.submission!r} cannot be imported: {type(error).__name__}: {error}. Give its "
                "starter kit's folder with folder=DIR."
            ) from error


@contextmanager
def _first_on_path(folder: Path | None) -> Iterator[None]:
    before = list(sys.path)
    if folder is not None:
        sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path[:] = before


def _interface(made: Any, what: str) -> tuple[Separate, tuple[str, ...]]:
    """How to call the object, by the methods it has: of the kit of 2023 or that of 2021."""
    if hasattr(made, "separate_music_file"):
        return _by_arrays(made), tuple(getattr(made, "instruments", INSTRUMENTS))
    if hasattr(made, "prediction"):
        if hasattr(made, "prediction_setup"):
            with suppress(NotImplementedError):  # the kit's own, where a submission has none
                made.prediction_setup()
        return _by_files(made), INSTRUMENTS
    raise PluginError(
        f"The submission {what!r} has neither separate_music_file (the kit of 2023) nor prediction (that of 2021)."
    )


def _by_arrays(made: Any) -> Separate:
    def separate(samples: NDArray[np.float64], sample_rate: int) -> dict[str, tuple[Any, int]]:
        arrays, rates = made.separate_music_file(samples, sample_rate)
        return {name: (array, rates.get(name, sample_rate)) for name, array in arrays.items()}

    return separate


def _by_files(made: Any) -> Separate:
    def separate(samples: NDArray[np.float64], sample_rate: int) -> dict[str, tuple[Any, int]]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            mixture = folder / "mixture.wav"
            Audio(torch.from_numpy(samples.T.astype(np.float32)), sample_rate).write(mixture, bits="float")
            paths = {stem: folder / "stems" / f"{stem}.wav" for stem in INSTRUMENTS}
            (folder / "stems").mkdir()
            given = {f"{stem}_file_path": str(path) for stem, path in paths.items()}
            made.prediction(mixture_file_path=str(mixture), **given)
            stems = {stem: Audio.read(path) for stem, path in paths.items() if path.exists()}
            return {stem: (audio.numpy().T, audio.sample_rate) for stem, audio in stems.items()}

    return separate
