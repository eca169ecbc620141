"""What the tests of this package share: songs made of noise in bands, whole and as pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8000
BANDS = {"bass": (40, 200), "vocals": (400, 1000), "other": (1400, 2000), "drums": (2500, 3900)}


def _stems(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two seconds of stereo stems (t c) that lie in bands of their own, so that they can be parted."""
    found = {}
    for stem, (low, high) in BANDS.items():
        spectrum = np.fft.rfft(rng.standard_normal((2, 2 * RATE)))
        hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
        x = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)))
        found[stem] = (x / np.abs(x).max() * 0.2).T
    return found


def _write(root: Path, *, only: tuple[str, ...] | None) -> Path:
    rng = np.random.default_rng(5)
    for name in ("train/one", "train/two", "valid/three"):
        folder, stems = root / name, _stems(rng)
        folder.mkdir(parents=True)
        sounds = stems if only is None else {**stems, "mixture": sum(stems.values())}
        for stem, x in sounds.items():
            if only is None or stem in only:
                soundfile.write(folder / f"{stem}.wav", x, RATE, subtype="PCM_16")
    return root


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs with four stems, and no file of the mixture."""
    return _write(tmp_path_factory.mktemp("songs"), only=None)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same songs with nothing but mixture and vocals."""
    return _write(tmp_path_factory.mktemp("pairs"), only=("mixture", "vocals"))
