"""Networks of the prior: shapes, what the gain head promises, embeddings, and one network for each stem."""

from __future__ import annotations

import math

import pytest
import torch

from sepkit.codecs import CodecSettings
from sepkit.diffusion import Level, denoiser
from sepkit.errors import OptionError
from sepkit_msdm_posterior.config import AdpConfig, BandUNetConfig, LegacyConfig, MsdmConfig
from sepkit_msdm_posterior.network import STEEPEST, IndependentPriors, PriorNetwork, new_network, prior_denoiser
from sepkit_msdm_posterior.presets import PRESETS

ADP = AdpConfig(channels=(8, 8), factors=(1, 2), items=(1, 1), resnet_groups=4, modulation_features=16)
BACKBONES = {
    "bands": BandUNetConfig(patch=2, widths=(4, 6, 8), embedding_size=8),
    "adp_1d": ADP,
    "adp_2d": ADP.model_copy(update={"dim": 2}),
}


def config(kind: str = "bands", **settings: object) -> MsdmConfig:
    codec = CodecSettings(name="lapped", settings={"sample_rate": 8000, "hop_samples": 18})
    return MsdmConfig(sample_rate=8000, codec=codec, network=BACKBONES[kind], **settings)


def state(frames: int = 13, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, 18, frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("head", ["gain", "edm"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_any_number_of_frames_comes_back(kind: str, head: str) -> None:
    network = new_network(config(kind, head=head), seed=1).eval()
    for frames in (1, 7, 16):
        x, c_noise = state(frames), torch.tensor([-0.5, 0.3])
        found = network(x, c_noise)
        assert found.shape == x.shape
        assert found.dtype == torch.float32
        alone = network(x[1:], c_noise[1:])
        torch.testing.assert_close(found[1:], alone, atol=1e-5, rtol=1e-4)  # no example knows of another


def test_a_network_that_is_shown_the_sum_hears_what_powers_do_not_tell() -> None:
    x, c_noise = state(), torch.tensor([-0.5, 0.3])
    turned = x * torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None, None]  # other signs: the same powers, another sum
    for sees_sum in (False, True):
        network = new_network(config(sees_sum=sees_sum), seed=1).eval()
        gains, others = (network(y, c_noise) / y for y in (x, turned))
        assert torch.allclose(gains, others, atol=1e-5) is not sees_sum
    with pytest.raises(ValueError, match="sees all stems"):
        config(sees_sum=True, independent=True)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2])
def test_logits_stay_where_a_gradient_leads_back(sigma: float) -> None:
    network = new_network(config(), seed=1).eval()
    c_noise = torch.full((2,), math.log(sigma) / 4)
    logit = network(1e9 * state(), c_noise, as_logit=True)
    assert float(logit.abs().max()) <= STEEPEST


def test_networks_depend_on_their_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (new_network(config(), seed) for seed in (3, 3, 4))
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    weights = [network.backbones[0].entry.weight for network in (first, again, other)]  # type: ignore[union-attr]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("sigma", [1e-3, 0.4, 30.0])
def test_a_gain_head_keeps_a_part_of_every_coefficient_and_knows_no_sign(sigma: float) -> None:
    settings = config(sigma_data=0.7)
    network = new_network(settings, seed=2).eval()
    denoise = prior_denoiser(network, settings)
    x, level = (sigma**2 + 0.49) ** 0.5 * state().double(), Level(1.0, sigma, sigma)
    clean = denoise(x, level).detach()
    gain = clean / x
    assert -1e-6 <= float(gain.min()) < float(gain.max()) <= 1 + 1e-6
    flipped = x * torch.where(torch.arange(2)[:, None, None, None] == 0, -1.0, 1.0)
    torch.testing.assert_close(denoise(flipped, level)[0], -clean[0])
    inputs, c_noise = settings.objective.inputs(x.float(), level)
    logit = network(torch.as_tensor(inputs), torch.full((2,), float(c_noise)), as_logit=True)
    torch.testing.assert_close(torch.sigmoid(logit).double(), gain, atol=1e-5, rtol=1e-3)


def test_what_lies_far_below_or_above_the_noise_is_dropped_or_kept_from_the_start() -> None:
    settings = config()
    denoise = prior_denoiser(new_network(settings, seed=0).eval(), settings)
    x = state().double()
    assert float(denoise(50 * x, Level(1.0, 50.0, 50.0)).abs().mean()) < 0.2
    kept = denoise(x, Level(1.0, 1e-3, 1e-3))
    assert float((kept - x).abs().mean()) < 0.9 * float(x.abs().mean())


def test_an_embedding_changes_the_estimate_and_guidance_goes_further_that_way() -> None:
    settings = config(embedding_features=5)
    network = new_network(settings, seed=1).eval()
    torch.nn.init.normal_(network.unconditional, generator=torch.Generator().manual_seed(0))
    x, level, prompt = state(), Level(1.0, 0.5, 0.5), torch.arange(5.0)
    without = prior_denoiser(network, settings)(x, level)
    told = prior_denoiser(network, settings, embedding=prompt)(x, level)
    each = prior_denoiser(network, settings, embedding=prompt.expand(2, 5))(x, level)
    torch.testing.assert_close(told, each)
    assert float((told - without).abs().max()) > 1e-3
    for weight in (0.0, 2.5):
        guided = prior_denoiser(network, settings, embedding=prompt, guidance=weight)(x, level)
        torch.testing.assert_close(guided, without + weight * (told - without))
    with pytest.raises(OptionError, match="this prior wants 5 numbers"):
        prior_denoiser(network, settings, embedding=torch.zeros(4))
    with pytest.raises(OptionError, match="without embedding_features"):
        new_network(config(), 0)(x, torch.zeros(2), prompt.expand(2, 5))


def test_training_drops_some_embeddings_by_the_global_random_state() -> None:
    settings = config("adp_1d", head="edm", embedding_features=3)
    network = new_network(settings, seed=1).train()
    x, prompts = state()[:1].expand(200, -1, -1, -1), torch.ones(200, 3)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        found = network(x, torch.zeros(200), prompts)
    plain, told = network(x[:1], torch.zeros(1)), network.eval()(x[:1], torch.zeros(1), prompts[:1])
    dropped = [torch.allclose(one, plain[0], atol=1e-5) for one in found]
    assert all(dropped[i] or torch.allclose(found[i], told[0], atol=1e-5) for i in range(200))
    assert 8 <= sum(dropped) <= 34  # 20 expected


def test_independent_networks_see_one_stem_each() -> None:
    settings = config(independent=True)
    network = new_network(settings, seed=1).eval()
    x, level = state(), Level(1.0, 0.5, 0.5)
    whole = prior_denoiser(network, settings)
    changed = x.clone()
    changed[:, 2] += 1
    difference = (whole(changed, level) - whole(x, level)).abs().amax(dim=(0, 2, 3))
    assert (difference > 0).tolist() == [False, False, True, False]

    parts = IndependentPriors(tuple(lambda y, _, i=i: y * (i + 1) for i in range(4)))  # type: ignore[misc]
    torch.testing.assert_close(parts(x, level), x * torch.arange(1, 5)[:, None, None])
    with pytest.raises(OptionError, match="3 stems met 4 independent priors"):
        parts(x[:, :3], level)


@pytest.mark.parametrize(
    ("name", "count"), [("msdm_published", 405_497_700), ("msdm_paper", 264_648_072), ("small", None)]
)
def test_presets_have_the_size_they_say(name: str, count: int | None) -> None:
    with torch.device("meta"):
        found = sum(parameter.numel() for parameter in PriorNetwork(PRESETS[name]).parameters())
    assert found == count or (count is None and found <= 8_000_000)


def test_configs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="give as many"):
        AdpConfig(channels=(8, 8), factors=(2,), items=(1, 1))
    with pytest.raises(ValueError, match="no multiple of resnet_groups"):
        AdpConfig(channels=(6,), factors=(2,), items=(1,))
    with pytest.raises(ValueError, match="leave room for 6"):
        LegacyConfig(factors=(4,))
    with pytest.raises(ValueError, match="give one rate"):
        MsdmConfig(sample_rate=16_000)
    with pytest.raises(OptionError, match="is for waveforms"):
        new_network(config().model_copy(update={"network": LegacyConfig()}), 0)
    settings = PRESETS["msdm_published"].model_copy(update={"embedding_features": 4})
    with torch.device("meta"), pytest.raises(OptionError, match="takes no embedding"):
        PriorNetwork(settings)
    edm = config(head="edm")
    with pytest.raises(OptionError, match="head 'gain' estimates variances"):
        new_network(edm, 0)(state(), torch.zeros(2), as_logit=True)


def test_a_network_is_called_in_float32_for_a_float64_chain() -> None:
    settings = config("adp_1d", head="edm")
    network = new_network(settings, seed=0).eval()
    x, level = state().double(), Level(1.0, 0.3, 0.3)
    found = prior_denoiser(network, settings)(x, level)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, denoiser(network, settings.objective)(x, level))
