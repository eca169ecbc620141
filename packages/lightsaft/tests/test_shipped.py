"""The shipped method keeps the contract, and the sentence of the README holds for every kind of mixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sepkit import Audio, Stems, get_separator, list_separators
from sepkit.separator import Separator
from sepkit.testing import SeparatorConformance
from sepkit_lightsaft import separator as method

STEMS = ("vocals", "drums", "bass", "other")


class TestShipped(SeparatorConformance):
    name = method.NAME


def tone(sample_rate: int, channels: int = 2) -> Audio:
    """A quarter of a second of two tones with a little noise."""
    time = torch.arange(sample_rate // 4) / sample_rate
    noise = torch.randn(channels, len(time), generator=torch.Generator().manual_seed(1))
    return Audio(0.2 * torch.sin(440 * time) + 0.1 * torch.sin(9000 * time) + 0.01 * noise, sample_rate)


def test_the_public_sentence_for_a_path_an_audio_a_numpy_and_a_torch_array(tmp_path: Path) -> None:
    audio = tone(44_100)
    path = tmp_path / "song.wav"
    audio.write(path, bits="float")
    wanted: Stems | None = None
    for x in (path, str(path), audio, audio.samples.numpy(), audio.samples):
        stems = get_separator("lightsaft").separate(x)
        assert tuple(stems) == STEMS
        assert "vocals" in stems
        wanted = wanted or stems
        for stem in STEMS:
            assert torch.equal(stems[stem].samples, wanted[stem].samples)
    assert wanted is not None
    assert wanted["vocals"].samples.shape == audio.samples.shape
    assert wanted.residual is not None
    total = sum(stem.samples for stem in wanted.values()) + wanted.residual.samples
    torch.testing.assert_close(total, audio.samples, atol=1e-6, rtol=0)
    assert set(wanted.save(tmp_path / "out")) == set(STEMS)


def test_an_array_at_another_rate_comes_back_at_that_rate() -> None:
    mono = np.asarray(tone(22_050, channels=1).samples[0])
    stems = get_separator("lightsaft").separate(mono, sample_rate=22_050)
    assert {(stem.sample_rate, stem.samples.shape) for stem in stems.values()} == {(22_050, (1, len(mono)))}


# peers ship none
SHIPPED = [summary.name for summary in list_separators() if summary.distribution != "sepkit-peers"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_announced_method_is_a_separator_with_trained_weights(name: str) -> None:
    separator = get_separator(name)
    assert isinstance(separator, Separator)
    assert separator.info.trained
