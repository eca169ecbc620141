"""Latents of whole songs, computed once and kept in files that know what they were computed from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from sepkit.channels import group_channels
from sepkit.codecs import Codec, CodecSettings, bound_to, recentred
from sepkit.data.track import Track
from sepkit.errors import DatasetError
from sepkit.partial_files import partial_path

from .codec.checkpoints import codec_state
from .sampling import SILENCE_RMS
from .windows_on_grid import frame_grid

FORMAT = 1
PIECE_SECONDS = 20.0
"""Songs are encoded in pieces: memory stays bounded, and a crop sees a piece's end as often as a window's own."""


class LatentCache:
    """Latents of pairs in a folder: one file for each song, found by a hash of its audio, the codec and the level.

    A file appears under its name when it is complete; what an interruption left is never read. Latents are centred and
    stored as float16 at the level where the song's mixture has the RMS `level_rms`, beside the mixture's power.
    """

    def __init__(self, folder: Path, codec: Codec, settings: CodecSettings, level_rms: float | None):
        self.folder, self.codec, self.level_rms = folder, codec, level_rms
        facts = {"format": FORMAT, "codec": settings.model_dump(mode="json"), "weights": weights_hash(codec)}
        self.key = json.dumps({**facts, "level": level_rms, "piece_seconds": PIECE_SECONDS}, sort_keys=True)

    def path(self, pair: Track) -> Path:
        """Where the latents of a pair lie, whether they are there yet or not."""
        sounds = [pair.source.fingerprint(stem) or _content(pair, stem) for stem in pair.stems]
        text = json.dumps([self.key, sounds, pair.stems, pair.length_samples])
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"

    def file(self, pair: Track) -> Path:
        """The latents of a pair (at the codec's rate), computed now if need be: `latents` g n (r d), `power` g n.

        r: the mixture, then the targets; g: groups of channels, for a codec that takes fewer than the song has.
        """
        path = self.path(pair)
        if not path.is_file():
            pieces = list(self._pieces(pair))
            if not pieces:
                raise DatasetError(f"track {pair.name!r} is empty: there is nothing to encode.")
            latents, power = (torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True))
            _write(path, {"latents": latents.half().contiguous(), "power": power.contiguous()})
        return path

    def _pieces(self, pair: Track) -> Iterator[tuple[Tensor, Tensor]]:
        """Latents g n (r d) and power g n of one piece after the other."""
        codec = self.codec
        sounds = torch.stack([pair.load(stem) for stem in pair.stems])  # r c t
        rms = float(sounds[0].square().mean().sqrt()) if sounds.numel() else 0.0
        if self.level_rms is not None and rms > SILENCE_RMS:
            sounds = sounds * (self.level_rms / rms)
        groups = torch.stack([group_channels(sound, codec.audio_channels) for sound in sounds], dim=1)  # g r c t
        grid = frame_grid(codec)
        # a codec with segments of its own needs no others, whose ends would lie beside them
        step = grid.whole(PIECE_SECONDS * codec.sample_rate) if grid.step_frames == 1 else max(1, pair.length_samples)
        for start in range(0, pair.length_samples, step):
            yield self._encoded(groups[..., start : start + step])

    @torch.no_grad()
    def _encoded(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        mixture = groups[:, 0]
        bound = recentred(bound_to(self.codec, mixture))
        latents = bound.encode(rearrange(groups, "g r c t -> (g r) c t"))
        count = latents.shape[-1]
        edges = torch.linspace(0, mixture.shape[-1], count + 1).round().long().tolist()
        squares = reduce(mixture.square(), "g c t -> g t", "mean")
        power = torch.stack([squares[:, a : max(b, a + 1)].mean(dim=1) for a, b in pairwise(edges)], dim=1)
        return rearrange(latents, "(g r) d n -> g n (r d)", g=len(groups)), power


def read_crop(path: Path, group: int, first: int, count: int, features: int) -> dict[str, Tensor]:
    """Frames [first, first + count) of a file: `latents` r d n and `power` n, zeros beyond the song's end."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        rows, power = file.get_slice("latents"), file.get_slice("power")
        latents, level = rows[group, first : first + count], power[group, first : first + count]
    missing = count - len(latents)
    if missing:
        latents = torch.cat([latents, latents.new_zeros(missing, latents.shape[1])])
        level = torch.cat([level, level.new_zeros(missing)])
    return {"latents": rearrange(latents, "n (r d) -> r d n", d=features), "power": level}


def shape_of(path: Path) -> tuple[int, int]:
    """(groups, frames) of a file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        groups, frames, _ = file.get_slice("latents").get_shape()
    return groups, frames


def weights_hash(codec: Codec) -> str:
    """A hash of a codec's weights, names and shapes included; of one without weights, of nothing."""
    found = hashlib.sha256()
    for name, tensor in sorted(codec_state(codec).items()):
        found.update(f"{name}{tuple(tensor.shape)}".encode())
        found.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return found.hexdigest()


def _content(pair: Track, stem: str) -> str:
    return hashlib.sha256(np.ascontiguousarray(pair.load(stem).numpy()).tobytes()).hexdigest()


def _write(path: Path, tensors: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial)
        os.replace(partial, path)  # two processes may make the same file: either one will do
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DatasetError(
            f"the latent cache {path.parent} cannot be written ({error}): give another folder by data.latent_cache."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
