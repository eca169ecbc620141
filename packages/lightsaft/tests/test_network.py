"""The network: published sizes, soft conditions, stems added later, attention over latent sources."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sepkit.errors import OptionError
from sepkit_lightsaft.growing import grow
from sepkit_lightsaft.network import LightSaft, latent_attention
from sepkit_lightsaft.presets import PRESETS

PUBLISHED_PARAMETERS = {
    "lightsaft_mdx": 4_159_844,
    "lightsaft_7": 3_874_324,
    "lightsaft_paper": 4_114_532,
    "lightsaft_default": 2_374_236,
    "lasaft_default": 8_424_028,
    "lasaft_large": 31_541_908,
}

Make = Callable[..., LightSaft]


@pytest.mark.parametrize("preset", PUBLISHED_PARAMETERS)
def test_presets_have_the_published_number_of_parameters(preset: str) -> None:
    with torch.device("meta"):
        network = LightSaft(PRESETS[preset])
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED_PARAMETERS[preset]


@pytest.mark.parametrize("block", ["lightsaft", "lasaft"])
def test_a_one_hot_condition_equals_the_stem_index(make_network: Make, block: str) -> None:
    network = make_network(block=block)
    features = torch.randn(4, 4, 9, 65, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(features, torch.eye(4)), network(features, torch.arange(4)))


def test_a_soft_condition_gives_neither_of_its_stems(make_network: Make) -> None:
    network = make_network()
    features = torch.randn(1, 4, 9, 65, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1, -1)
    with torch.no_grad():
        first, second, between = network(features, torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0.5, 0.5, 0, 0]]))
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(between, first, atol=1e-3)
    assert not torch.allclose(between, second, atol=1e-3)


def test_added_stems_leave_the_old_ones_as_they_were(make_network: Make) -> None:
    network = make_network()
    features = torch.randn(4, 4, 9, 65, generator=torch.Generator().manual_seed(1))
    random_state = torch.random.get_rng_state()
    grown = grow(network, ["guitar", "piano"])
    assert torch.equal(torch.random.get_rng_state(), random_state)
    with torch.no_grad():
        assert torch.equal(grown(features, torch.arange(4)), network(features, torch.arange(4)))
        assert torch.isfinite(grown(features, torch.tensor([4, 5, 5, 4]))).all()
    assert grown.config.stems == ("vocals", "drums", "bass", "other", "guitar", "piano")
    added = sum(p.numel() for p in grown.parameters()) - sum(p.numel() for p in network.parameters())
    assert added == 2 * network.config.embedding_dim  # nothing but the embedding grows


def test_a_stem_cannot_be_added_twice(make_network: Make) -> None:
    with pytest.raises(OptionError, match="drums"):
        grow(make_network(), ["piano", "drums"])
    with pytest.raises(OptionError, match="piano"):
        grow(make_network(), ["piano", "piano"])


def test_attention_is_a_distribution_in_every_block(make_network: Make) -> None:
    network = make_network(blocks=7)
    attention = latent_attention(network, torch.arange(4))
    assert list(attention) == ["encoder 0", "encoder 1", "encoder 2", "middle", "decoder 0", "decoder 1", "decoder 2"]
    for weights in attention.values():
        assert weights.shape == (4, 4)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
        assert not torch.allclose(weights[0], weights[1], atol=1e-4)  # stems listen to different latent sources
