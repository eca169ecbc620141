"""In an ensemble a cascade into cold diffusion is its refining, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sepkit import Audio, get_separator
from sepkit.errors import OptionError
from sepkit.host import HostedSeparator
from sepkit.registry import register
from sepkit.testing.fakes import Fake
from sepkit_waveform_diffusion.config import SCHEDULES, ColdConfig, ColdModel, WaveNetConfig
from sepkit_waveform_diffusion.network import new_network
from sepkit_waveform_diffusion.refine import refine
from sepkit_waveform_diffusion.separator import ColdSeparator, separator_info

RATE = 8000


def cold(betas: str = "beta_8") -> ColdSeparator:
    backbone = WaveNetConfig(channels=4, num_layers=2, num_cycles=1, embedding_proj=8)
    model = ColdModel(sample_rate=RATE, backbone=backbone, betas=SCHEDULES[betas])
    config = ColdConfig(models=(model,), window_seconds=0.4)
    return ColdSeparator(config, [new_network(model, 3)], separator_info(config, licence="MIT"), {})


class Third(Fake):
    """A third of the mixture as vocals, so that the estimate to begin at is known."""

    def __init__(self) -> None:
        super().__init__(stems=("vocals",))

    def separate_windows(self, windows: Any, starts: Any, *, seed: int, settings: Any) -> Any:
        return windows[:, None] / 3


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_cascade_is_the_refining_of_the_first_ones_estimate(channels: int) -> None:
    mixture = Audio(0.2 * torch.randn(channels, 9000, generator=torch.Generator().manual_seed(4)), RATE)
    with register("third", lambda **options: Third()), register("cold", lambda **options: cold()):
        cascade = {"first": "third", "then": "cold", "strength": 0.375}
        ensemble = get_separator("ensemble", members={"vocals": cascade, "accompaniment": cascade}, device="cpu")
        found = ensemble.separate(mixture)
        first = get_separator("third", device="cpu").separate(mixture)
    wanted = refine(HostedSeparator(cold(), device="cpu"), mixture, first, from_level=3)
    for stem in ("vocals", "accompaniment"):
        assert torch.equal(found[stem].samples, wanted[stem].samples)


def test_a_network_of_one_step_cannot_begin_at_an_estimate() -> None:
    with register("third", lambda **options: Third()), register("cold", lambda **options: cold("beta_1")):
        cascade = {"first": "third", "then": "cold"}
        with pytest.raises(OptionError, match="one step"):
            get_separator("ensemble", members={"vocals": cascade}, device="cpu")
        separated = get_separator("ensemble", members={"vocals": {**cascade, "how": "separate"}}, device="cpu")
        assert separated.info.stems == ("vocals",)
