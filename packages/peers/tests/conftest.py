"""Tiny networks of the peers, saved as their authors save theirs."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

STEMS = ["drums", "bass", "other", "vocals"]
V2_KEYWORDS = {"gelu": False, "dconv_mode": 0, "norm_starts": 99, "lstm_layers": 2, "normalize": False}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "htdemucs": (
        "demucs.htdemucs.HTDemucs",
        {
            "channels": 4,
            "dconv_comp": 2,
            "t_layers": 1,
            "t_heads": 2,
            "t_hidden_scale": 1.0,
            "segment": Fraction(1, 10),
        },
    ),
    "hdemucs": ("demucs.hdemucs.HDemucs", {"channels": 4, "dconv_comp": 2, "segment": 0.1}),
    "demucs_v2": ("demucs.demucs.Demucs", {**V2_KEYWORDS, "channels": 4, "depth": 3, "segment": 0.1}),
}


def tiny_demucs(method: str, seed: int = 0) -> Any:
    """A network of the peer's own class."""
    demucs = pytest.importorskip("demucs.apply")
    del demucs
    path, keywords = TINY[method]
    module, _, name = path.rpartition(".")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(pytest.importorskip(module), name)(STEMS, **keywords).eval()


def save_package(network: Any, folder: Path, signature: str) -> Path:
    """A .th file as `demucs.states` makes them, with the hash in its name."""
    arguments, keywords = network._init_args_kwargs
    package = {
        "klass": type(network),
        "args": arguments,
        "kwargs": {**keywords, "no_longer_known": 1},
        "state": network.state_dict(),
        "training_args": {"lr": 3e-4, "dset": {"musdb": "path", "sources": STEMS}},
    }
    path = folder / "package.th"
    torch.save(package, path)
    return path.rename(folder / f"{signature}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.th")


def tiny_openunmix(seed: int = 0) -> dict[str, Any]:
    """A network for each stem, of the peer's own class, at the STFT's published size."""
    model = pytest.importorskip("openunmix.model")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = {
            stem: model.OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=8, nb_layers=2, max_bin=100)
            for stem in ("vocals", "drums", "bass", "other")
        }
        for network in made.values():
            for value in network.parameters():
                value.data += 0.1 * torch.rand_like(value)
    return {stem: network.eval() for stem, network in made.items()}


class Tiny:
    """The makers above, as one fixture: tests are no modules that another could import."""

    stems = STEMS
    networks = TINY
    demucs = staticmethod(tiny_demucs)
    openunmix = staticmethod(tiny_openunmix)
    save_package = staticmethod(save_package)


@pytest.fixture(scope="session")
def tiny() -> type[Tiny]:
    """Makers of tiny networks of the peers' own classes."""
    return Tiny
