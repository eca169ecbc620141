"""What the tests of this package share: oracles of the reference, and networks with batch norms that matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.network import LightSaft

DATA = Path(__file__).parent / "data"
ORACLES = ("lightsaft_stereo", "lightsaft_mono", "lasaft_stereo")


@pytest.fixture(params=ORACLES)
def oracle(request: pytest.FixtureRequest) -> dict[str, Any]:
    """`state` and `settings` of a reference network; `spec`, `condition` and the `estimate` it gave."""
    return load_oracle(request.param)


@pytest.fixture
def light_oracle() -> dict[str, Any]:
    return load_oracle("lightsaft_stereo")


def load_oracle(name: str) -> dict[str, Any]:
    weights = DATA / f"{name}.safetensors"
    with safe_open(weights, "pt") as file:
        settings = json.loads(file.metadata()["config"])
    arrays = {key: torch.from_numpy(array) for key, array in np.load(DATA / f"{name}.npz").items()}
    return {"state": load_file(weights), "settings": settings, **arrays}


@pytest.fixture
def make_network() -> Callable[..., LightSaft]:
    """A small random network in evaluation mode whose norms are as uneven as trained ones, negative scales included."""

    def make(seed: int = 0, **settings: Any) -> LightSaft:
        small = {"n_fft": 128, "hop_samples": 64, "blocks": 5, "channels": 6, "tfc_layers": 3, "latent_sources": 4}
        small |= {"key_dim": 8, "embedding_dim": 8, "window_frames": 33, "trim_samples": 256, "bottleneck_min": 4}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = LightSaft(LightSaftConfig(**{**small, **settings})).eval()
        generator = torch.Generator().manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                _make_uneven(module, generator)
        return network

    return make


def _make_uneven(norm: nn.BatchNorm1d | nn.BatchNorm2d, generator: torch.Generator) -> None:
    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(0.3 * draw(norm.running_mean))
    norm.running_var.copy_(0.5 + draw(norm.running_var).square())
    if norm.affine:
        with torch.no_grad():
            norm.weight.copy_(0.8 + 0.5 * draw(norm.weight))
            norm.bias.copy_(0.3 * draw(norm.bias))
