"""Refining starts from anybody's estimate, and gives the truth back where the network knows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sepkit import Audio, Stems
from sepkit.errors import AudioError, OptionError
from sepkit.host import HostedSeparator
from sepkit_waveform_diffusion.config import SCHEDULES, ColdConfig, ColdModel, WaveNetConfig
from sepkit_waveform_diffusion.network import ColdNetwork
from sepkit_waveform_diffusion.refine import refine
from sepkit_waveform_diffusion.separator import ColdSeparator, separator_info

BACKBONE = WaveNetConfig(channels=4, num_layers=4, num_cycles=2, embedding_proj=8)
RATE = 8000


class KnowsTheOthers(ColdNetwork):
    """A network for songs whose accompaniment is the mixture's DC offset: it returns that, at full scale."""

    def __init__(self, model: ColdModel):
        super().__init__(model)
        self.backbone = nn.Linear(1, 1)  # something with a dtype

    def forward(self, state: Tensor, step: Tensor, mixture: Tensor | None = None) -> Tensor:
        assert mixture is not None
        return torch.full_like(state, 0.25)


def separator(**changes: Any) -> ColdSeparator:
    settings = {"sample_rate": RATE, "backbone": BACKBONE, "betas": SCHEDULES["beta_8"], **changes}
    model = ColdModel(**settings)
    config = ColdConfig(models=(model,), window_seconds=0.4)
    return ColdSeparator(
        config, [KnowsTheOthers(model)], separator_info(config, licence="MIT"), {}, {"process": "consistent"}
    )


def song(samples: int = 9000, channels: int = 2) -> tuple[Audio, Audio]:
    vocals = 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(1))
    return Audio(vocals + 0.25, RATE), Audio(vocals, RATE)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("model_channels", [1, 2])
@pytest.mark.parametrize("level", [1, 5, 8])
def test_the_truth_comes_back(level: int, model_channels: int, channels: int) -> None:
    mixture, vocals = song(channels=channels)
    stems = refine(separator(audio_channels=model_channels), mixture, vocals, from_level=level)
    torch.testing.assert_close(stems["vocals"].samples, vocals.samples, atol=1e-5, rtol=0)
    torch.testing.assert_close(stems["accompaniment"].samples, 0.25 + 0 * vocals.samples, atol=1e-5, rtol=0)
    assert stems.provenance["refined_from_level"] == level


def test_a_higher_level_trusts_a_wrong_estimate_less() -> None:
    mixture, vocals = song()
    wrong = Audio(torch.zeros_like(vocals.samples), RATE)
    errors = []
    for level in (2, 5, 8):
        found = separator().refine(mixture, wrong, from_level=level)["vocals"].samples
        errors.append(float((found - vocals.samples).square().sum()))
    assert errors[0] > errors[1] > errors[2]


def test_other_methods_stems_files_and_hosted_separators_are_taken(tmp_path: Any) -> None:
    mixture, vocals = song()
    others = Audio(0.125 + 0 * vocals.samples, RATE)
    of_another = Stems({"vocals": vocals, "drums": others, "bass": others})
    hosted = HostedSeparator(separator(), device="cpu")
    wanted = refine(hosted, mixture, vocals, from_level=4)["vocals"].samples
    assert torch.equal(refine(hosted, mixture, of_another, from_level=4)["vocals"].samples, wanted)
    mixture.write(tmp_path / "mixture.wav", bits="float")
    vocals.write(tmp_path / "vocals.wav", bits="float")
    from_files = refine(hosted, tmp_path / "mixture.wav", tmp_path / "vocals.wav", from_level=4)
    assert torch.equal(from_files["vocals"].samples, wanted)
    from_arrays = refine(hosted, mixture.numpy(), np.asarray(vocals.samples), from_level=4, sample_rate=RATE)
    assert torch.equal(from_arrays["vocals"].samples, wanted)


def test_an_accompaniment_may_be_the_sum_of_the_other_stems() -> None:
    mixture, vocals = song()
    half = Audio(0.125 + 0 * vocals.samples, RATE)
    of_another = Stems({"drums": half, "vocals": vocals, "bass": half})
    model = separator(targets=("accompaniment",))
    found = refine(model, mixture, of_another, from_level=3)["accompaniment"].samples
    whole = refine(model, mixture, Audio(0.25 + 0 * vocals.samples, RATE), from_level=3)["accompaniment"].samples
    assert torch.equal(found, whole)


def test_several_targets_are_refined_together() -> None:
    mixture, vocals = song()
    model = separator(targets=("vocals", "drums"))
    quiet = Audio(0 * vocals.samples, RATE)
    stems = refine(model, mixture, {"drums": quiet, "vocals": vocals}, from_level=1)
    torch.testing.assert_close(stems["vocals"].samples, vocals.samples, atol=1e-5, rtol=0)
    with pytest.raises(OptionError, match="One estimate was given for vocals, drums"):
        refine(model, mixture, vocals, from_level=1)


@pytest.mark.parametrize("level", [0, 9])
def test_levels_that_are_not_there_are_refused(level: int) -> None:
    mixture, vocals = song(100)
    with pytest.raises(OptionError, match="a step of the schedule, 1 to 8"):
        refine(separator(), mixture, vocals, from_level=level)


def test_what_cannot_be_refined_says_why() -> None:
    mixture, vocals = song(100)
    with pytest.raises(OptionError, match="begins with the mixture alone"):
        refine(separator(betas=SCHEDULES["beta_1"]), mixture, vocals, from_level=1)
    with pytest.raises(OptionError, match="has no 'vocals', only drums"):
        refine(separator(), mixture, {"drums": vocals}, from_level=1)
    with pytest.raises(AudioError, match="50 samples"):
        refine(separator(), mixture, Audio(vocals.samples[:, :50], RATE), from_level=1)
