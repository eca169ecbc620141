"""Lay out real multitrack songs for training: 44.1 kHz stereo FLAC, one folder per song, split into train and valid.

    python prepare_songs.py SONGS OUT --valid NAME [--valid NAME ...] [--crossover-hz 150]

SONGS holds one folder per song with vocals, drums, other and perhaps bass (any format that sepkit reads). Where a song
has no bass stem, its bass sits in `other`: that stem is then split at the crossover by a linear-phase low-pass and its
complement, so that the two parts sum to it exactly, and the low part stands in for the bass.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve, firwin

from sepkit.audio import Audio

SAMPLE_RATE = 44_100


def split_at(x: np.ndarray, crossover_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Linear-phase low-pass and its complement, which sum to x: c t -> (c t, c t)."""
    taps = firwin(4095, crossover_hz, fs=SAMPLE_RATE)[None]
    low = fftconvolve(x, taps, mode="same", axes=1).astype(np.float32)
    return low, x - low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--valid", action="append", default=[])
    parser.add_argument("--crossover-hz", type=float, default=150.0)
    arguments = parser.parse_args()
    for song in sorted(path for path in arguments.songs.iterdir() if path.is_dir()):
        split = "valid" if song.name in arguments.valid else "train"
        files = {path.stem: path for path in song.iterdir() if path.stem in ("vocals", "drums", "bass", "other")}
        stems = {
            name: Audio.read(path).remixed(2).resampled(SAMPLE_RATE).samples.numpy() for name, path in files.items()
        }
        if "bass" not in stems:
            stems["bass"], stems["other"] = split_at(stems["other"], arguments.crossover_hz)
        folder = arguments.out / split / song.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, samples in stems.items():
            Audio(torch.from_numpy(samples), SAMPLE_RATE).write(folder / f"{name}.flac", bits=16, overwrite=True)
        print(f"{split}/{song.name}: {', '.join(stems)}, {samples.shape[1] / SAMPLE_RATE:.0f} s")


if __name__ == "__main__":
    main()
