"""The networks in latents: where an untrained one stands, the best linear estimate, twins, what is hidden and heard."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from sepkit.codecs import Lapped
from sepkit.diffusion import Level, blend, denoiser
from sepkit_latent_diffusion.codec.checkpoints import build_codec
from sepkit_latent_diffusion.conditioner import Condition
from sepkit_latent_diffusion.config import LatentConfig
from sepkit_latent_diffusion.network import LatentNetwork, new_network
from sepkit_latent_diffusion.presets import PRESETS
from sepkit_latent_diffusion.sampling import OBJECTIVE, SCHEDULE
from sepkit_latent_diffusion.statistics import feature_importance, feature_sizes

FEATURES = 6


def network_of(preset: str = "tiny", **changes: Any) -> LatentNetwork:
    config = LatentConfig.model_validate({**PRESETS[preset].model_dump(), **changes})
    return new_network(config, FEATURES, seed=0)


def awake(network: LatentNetwork) -> LatentNetwork:
    """With weights in place of the zeros that the last layer begins with."""
    torch.nn.init.normal_(network.generator.leave.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return network


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_an_untrained_network_steps_from_noise_to_its_guess() -> None:
    network = network_of(targets=("vocals", "drums"))
    assert network.conditioner.leave is not None
    torch.nn.init.normal_(network.conditioner.leave.weight, generator=torch.Generator().manual_seed(0))
    condition = network.condition(normal(3, FEATURES, 8))
    denoise = denoiser(lambda x, t: network.velocity(x, t, condition), OBJECTIVE)
    noisiest = SCHEDULE.level(1.0)
    found = denoise(normal(3, 2, FEATURES, 8, seed=1), noisiest)
    torch.testing.assert_close(found.flatten(1, 2), condition.guess, atol=1e-5, rtol=0)
    assert condition.guess.abs().max() > 0


@pytest.mark.parametrize("t", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_without_the_generator_the_estimate_is_the_best_linear_one(t: float) -> None:
    """For a latent that lies about the guess as a Gaussian does, the mean given the state is known."""
    network, spread = network_of().double(), 0.4
    assert network.log_error is not None
    network.log_error.data.fill_(math.log(spread))
    guess = normal(2, FEATURES, 8).double()
    condition = Condition(guess, network.condition(guess).embeddings, guess)
    level = SCHEDULE.level(t)
    x = normal(2, 1, FEATURES, 8, seed=1).double()
    alpha, sigma = float(level.alpha), float(level.sigma)
    share = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
    wanted = guess[:, None] + share * (x - alpha * guess[:, None])
    found = denoiser(lambda x, t: network.velocity(x, t, condition), OBJECTIVE)(x, level)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)  # t is told in float32


def test_the_generator_s_part_has_the_size_of_what_is_left_to_say() -> None:
    """The target of the velocity less its linear estimate has the size by which the output is multiplied."""
    network, spread, guess = network_of(), 0.3, normal(1, FEATURES, 4000)
    assert network.log_error is not None
    network.log_error.data.fill_(math.log(spread))
    signal = (guess + spread * normal(1, FEATURES, 4000, seed=1))[:, None]
    noise = normal(1, 1, FEATURES, 4000, seed=2)
    condition = Condition(guess, network.condition(guess).embeddings, guess)
    for t in (0.2, 0.5, 0.8):
        level = SCHEDULE.level(t)
        left = OBJECTIVE.target(signal, noise, level) - network.velocity(
            blend(level, signal, noise), torch.tensor([t]), condition
        )
        alpha, sigma = float(level.alpha), float(level.sigma)
        assert float(left.detach().std()) == pytest.approx(spread / math.hypot(alpha * spread, sigma), rel=0.02)


def test_without_a_guess_the_output_is_the_velocity() -> None:
    network = awake(network_of("tiny_seanet"))
    condition = network.condition(normal(2, FEATURES, 8))
    assert not condition.guess.any()
    x, t = normal(2, 1, FEATURES, 8, seed=1), torch.tensor([0.2, 0.7])
    output = network.generator(x[:, 0], t, condition)
    torch.testing.assert_close(network.velocity(x, t, condition), output[:, None])


def test_a_copy_is_a_twin_with_weights_of_its_own() -> None:
    network = awake(network_of()).eval().requires_grad_(False)
    x, t = normal(1, 1, FEATURES, 8), torch.tensor([0.5])
    mixture = normal(1, FEATURES, 8, seed=1)
    twin = copy.deepcopy(network)
    before, _ = twin(x, t, mixture)
    torch.testing.assert_close(before, network(x, t, mixture)[0])
    for parameter in network.parameters():
        parameter.zero_()
    assert torch.equal(twin(x, t, mixture)[0], before)
    assert not twin.training
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_a_hidden_mixture_is_not_seen() -> None:
    network = awake(network_of("tiny_seanet"))
    one, other = (network.condition(normal(1, FEATURES, 8, seed=seed), hidden=True) for seed in (1, 2))
    x, t = normal(1, 1, FEATURES, 8), torch.tensor([0.5])
    assert torch.equal(network.velocity(x, t, one), network.velocity(x, t, other))
    both = torch.cat([normal(1, FEATURES, 8, seed=seed) for seed in (1, 2)])
    found = network.conditioner(both, torch.tensor([True, False]))
    assert torch.equal(found.mixture[0], one.mixture[0])
    assert torch.equal(found.mixture[1], both[1])


def test_every_level_hears_the_mixture_and_the_gates_let_it_pass() -> None:
    network = awake(network_of())
    mixture = normal(1, FEATURES, 8)
    condition = network.condition(mixture)
    assert [e.shape[-1] for e in condition.embeddings] == [8, 4]
    x, t = normal(1, 1, FEATURES, 8, seed=1), torch.tensor([0.5])
    before = network.velocity(x, t, condition)
    for level in range(2):
        changed = [e + (place == level) for place, e in enumerate(condition.embeddings)]
        assert not torch.allclose(network.velocity(x, t, condition._replace(embeddings=tuple(changed))), before)
    with torch.no_grad():
        network.generator.leave.weight.zero_()
        assert network.generator.leave.bias is not None
        network.generator.leave.bias.copy_(torch.tensor([0.0, 2.0, 3.0]).repeat_interleave(FEATURES))
    torch.testing.assert_close(network.generator(x[:, 0], t, condition), 2 * x[:, 0] + 3 * mixture)


def test_importance_of_an_orthonormal_codec_s_features_is_their_energy() -> None:
    codec = Lapped(sample_rate=8000, hop_samples=8)
    latent = normal(1, 8, 60) * torch.linspace(0.1, 2.0, 8)[:, None]
    sizes = feature_sizes([latent, torch.zeros(1, 8, 20)])
    torch.testing.assert_close(sizes, (latent.square().sum(dim=2)[0] / 80).sqrt())
    wanted = sizes.square() / sizes.square().mean()
    torch.testing.assert_close(feature_importance(codec, latent, sizes), wanted, rtol=1e-3, atol=1e-4)


def test_levels_of_the_schedule_are_those_of_the_network() -> None:
    """The network works alpha and sigma out of t itself; they must be the schedule's."""
    for t in (0.0, 0.25, 1.0):
        level: Level = SCHEDULE.level(t)
        assert (level.t, level.alpha) == (t, pytest.approx(math.cos(math.pi * t / 2), abs=1e-15))


@pytest.mark.parametrize(("preset", "millions"), [("small", (1.6, 1.3, 2.9)), ("encodec_24khz", (14.9, 2.0, 63.8))])
def test_presets_have_the_sizes_that_the_page_says(preset: str, millions: tuple[float, ...]) -> None:
    config = PRESETS[preset]
    codec = build_codec(config.codec, weights="random")
    assert isinstance(codec, torch.nn.Module)
    network = new_network(config, codec.features, seed=0)
    counted = (sum(p.numel() for p in part.parameters()) for part in (codec, network.conditioner, network.generator))
    assert tuple(round(count / 1e6, 1) for count in counted) == millions
    if preset == "small":
        assert (round(codec.frame_rate), codec.features) == (43, 384)
