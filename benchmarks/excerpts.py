"""The stretch of a song in which most of its stems sound, and the quietest of them is loudest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sepkit.data.track import Track, track_in_memory
from sepkit.resampling import resample

SOUNDING = 1e-8  # mean square from which a stem counts as sounding


def excerpt(track: Track, stems: Sequence[str], seconds: float | None, mono_rate: int | None = None) -> Track:
    """That stretch of a song, in memory, with those of `stems` that the song has; all of it where `seconds` is None.

    With a `mono_rate` (Hz) the channels' mean at that rate, as multi-source diffusion was measured.
    """
    view = track.view(tuple(stems))
    whole = {stem: view.load(stem) for stem in view.stems}
    rate = track.sample_rate
    if mono_rate is not None:
        whole = {stem: torch.as_tensor(resample(x.mean(0, keepdim=True), rate, mono_rate)) for stem, x in whole.items()}
        rate = mono_rate
    first, length = place(list(whole.values()), rate, seconds)
    parts = {stem: x[:, first : first + length].clone() for stem, x in whole.items()}
    return replace(track_in_memory(track.name, parts, rate), facts=track.facts)


def place(stems: Sequence[Tensor], sample_rate: int, seconds: float | None) -> tuple[int, int]:
    """First sample and length of the stretch, among those that begin at whole seconds."""
    total = stems[0].shape[-1]
    length = total if seconds is None else min(round(seconds * sample_rate), total)
    starts = range(0, total - length + 1, sample_rate)
    powers = torch.tensor([[float(x[:, a : a + length].square().mean()) for x in stems] for a in starts])
    sounding = powers > SOUNDING
    quietest = torch.where(sounding, powers, torch.inf).min(dim=1).values.clamp(max=1.0)
    return starts[int((sounding.sum(dim=1) + quietest / 2).argmax())], length
