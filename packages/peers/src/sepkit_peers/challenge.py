"""A sepkit method as a submission to the Music Demixing Challenge 2021 or the Sound Demixing Challenge 2023.

In the 2023 starter kit's `my_submission/user_config.py`:

    from sepkit_peers.challenge import sdx23_model
    MySeparationModel = sdx23_model("lightsaft", quality="best")

In the 2021 starter kit's `predict.py`:

    from evaluator.music_demixing import MusicDemixingPredictor
    from sepkit_peers.challenge import mdx21_predictor
    submission = mdx21_predictor("lightsaft", base=MusicDemixingPredictor)()
    submission.run()
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from sepkit import Audio, Stems, get_separator
from sepkit.data.stem_names import canonical_stem
from sepkit.errors import OptionError
from sepkit.separator import Quality, Separator

INSTRUMENTS = ("bass", "drums", "other", "vocals")
"""What both challenges ask for, in their order."""


class _Demixer:
    """A separator under the challenges' names of stems."""

    def __init__(self, method: str, quality: Quality, seed: int, options: Mapping[str, Any]):
        self.separator: Separator = get_separator(method, **options)
        self.quality, self.seed = quality, seed
        self.names = {canonical_stem(stem) or stem: stem for stem in self.separator.info.stems}
        missing = [name for name in INSTRUMENTS if name not in self.names]
        if missing:
            raise OptionError(
                f"The method {method!r} has no {' and no '.join(missing)}, which the challenge asks for: choose one "
                f"that gives {', '.join(INSTRUMENTS)}."
            )

    def __call__(self, mixture: Audio) -> dict[str, Audio]:
        wanted = [self.names[name] for name in INSTRUMENTS]
        stems: Stems = self.separator.separate(mixture, stems=wanted, seed=self.seed, quality=self.quality)
        return {name: stems[self.names[name]] for name in INSTRUMENTS}


def sdx23_model(method: str, *, quality: Quality = "balanced", seed: int = 0, **options: Any) -> type[Any]:
    """A class as `MySeparationModel` of the 2023 starter kit: made without arguments, it separates arrays.

    `options` go to `get_separator`. Raises what that raises, and OptionError for a method that lacks an instrument,
    when the class is made into an object, as the kit does before its clock runs.
    """

    class SepkitSeparationModel:
        """`separate_music_file(t c, Hz)` -> arrays t c and their rates, by instrument."""

        def __init__(self) -> None:
            self.demixer = _Demixer(method, quality, seed, options)

        @property
        def instruments(self) -> list[str]:
            """The stems, in the kit's order."""
            return list(INSTRUMENTS)

        def raise_aicrowd_error(self, msg: str) -> NoReturn:
            """What the kit calls to write into its log."""
            raise NameError(msg)

        def separate_music_file(
            self, mixed_sound_array: NDArray[Any], sample_rate: int
        ) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
            """Separate what `soundfile.read` gave: t c, or t of mono, which come back in the same form."""
            given = np.asarray(mixed_sound_array, np.float32)
            mixture = Audio(torch.from_numpy(given[None] if given.ndim == 1 else given.T), int(sample_rate))
            found = {name: stem.numpy() for name, stem in self.demixer(mixture).items()}
            arrays = {name: stem[0] if given.ndim == 1 else stem.T for name, stem in found.items()}
            return arrays, dict.fromkeys(INSTRUMENTS, sample_rate)

    return SepkitSeparationModel


def mdx21_predictor(
    method: str, *, base: type[Any] = object, quality: Quality = "balanced", seed: int = 0, **options: Any
) -> type[Any]:
    """A class as the predictor of the 2021 starter kit; `base` is the kit's `MusicDemixingPredictor`, which runs it.

    Files are written as float WAV. `options` go to `get_separator`. Its `prediction_setup` raises what that raises,
    and OptionError for a method that lacks an instrument.
    """

    class SepkitPredictor(base):  # type: ignore[misc]
        """`prediction_setup()` loads the method, `prediction(...)` separates one file into four."""

        def prediction_setup(self) -> None:
            """Load the method, before the clock of the first song runs."""
            self.demixer = _Demixer(method, quality, seed, options)

        def prediction(
            self,
            mixture_file_path: str,
            bass_file_path: str,
            drums_file_path: str,
            other_file_path: str,
            vocals_file_path: str,
        ) -> None:
            """Separate a file into the four that the kit names."""
            paths = {
                "bass": bass_file_path,
                "drums": drums_file_path,
                "other": other_file_path,
                "vocals": vocals_file_path,
            }
            for name, stem in self.demixer(Audio.read(mixture_file_path)).items():
                Path(paths[name]).parent.mkdir(parents=True, exist_ok=True)
                stem.write(paths[name], bits="float", overwrite=True)

    return SepkitPredictor
