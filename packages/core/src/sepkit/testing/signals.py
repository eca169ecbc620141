"""Test audio made by code: the same samples on every machine, from no file and no global generator."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..noise import gaussian


def music(sample_rate: int, channels: int, length_samples: int) -> Tensor:
    """A decaying chord over a noise floor, different in every channel, peak below 1: c t, float32."""
    seconds = torch.arange(length_samples, dtype=torch.float64) / sample_rate
    pan = rearrange(torch.linspace(0.4, 1.0, channels, dtype=torch.float64), "c -> c 1")
    chord = torch.zeros(channels, length_samples, dtype=torch.float64)
    for index, frequency_hz in enumerate((110.0, 277.2, 659.3, 1760.0, 5274.0)):
        if frequency_hz < sample_rate / 2:
            decay = torch.exp(-3.0 * (seconds % 0.25))
            phase = index + pan  # the channels differ in phase too: a mid-side trick would show
            chord += 0.15 * pan * decay * torch.sin(2 * math.pi * frequency_hz * seconds + phase)
    return (chord + 0.02 * gaussian(0, "test music", 0, length_samples, channels)).float()


def silence(channels: int, length_samples: int) -> Tensor:
    """Digital silence: c t."""
    return torch.zeros(channels, length_samples)


def constant(channels: int, length_samples: int) -> Tensor:
    """Half of full scale throughout, a pure DC offset: c t."""
    return torch.full((channels, length_samples), 0.5)


def impulse(channels: int, length_samples: int) -> Tensor:
    """One full-scale sample in the middle of silence: c t."""
    samples = torch.zeros(channels, length_samples)
    samples[:, length_samples // 2] = 1.0
    return samples


def square(channels: int, length_samples: int, period_samples: int = 80) -> Tensor:
    """A square wave at full scale, +1 and -1 only: c t."""
    half = (torch.arange(length_samples) // (period_samples // 2)) % 2
    return (1.0 - 2.0 * half).float().expand(channels, -1).clone()


def global_random_states() -> dict[str, Any]:
    """The state of each global generator, comparable by `==`: python's, numpy's and torch's, on every device in use."""
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": (kind, np.asarray(keys).tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["torch.cuda"] = tuple(state.numpy().tobytes() for state in torch.cuda.get_rng_state_all())
    return states
