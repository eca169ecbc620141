"""What training is made of: losses, items at one level, fitted scales, the table of errors, and encoders."""

from __future__ import annotations

import math
import sys
import types

import pytest
import torch
from torch import Tensor, nn

from sepkit.codecs import CodecSettings, get_codec
from sepkit.diffusion import Level, LogNormalSigma
from sepkit.diffusion.loss import diffusion_loss
from sepkit.errors import OptionError, PluginError
from sepkit.testing.shares import losses_of_whole_and_shares
from sepkit_msdm_posterior.calibration import measure_errors, sigmas_of
from sepkit_msdm_posterior.config import BandUNetConfig, MsdmConfig
from sepkit_msdm_posterior.encoders import BandLevels, Clap, find_encoder
from sepkit_msdm_posterior.items import PriorItems, levelled
from sepkit_msdm_posterior.latents import encode_stems, latent_codec, with_fitted_scales
from sepkit_msdm_posterior.loss import LossWeights, PriorLoss, bounded
from sepkit_msdm_posterior.network import new_network
from sepkit_msdm_posterior.posteriors import Projected
from sepkit_msdm_posterior.walks import Walk, on_the_way

SIGMAS = LogNormalSigma(mean=-0.7, std=1.2)
CODEC = CodecSettings(name="lapped", settings={"sample_rate": 8000, "hop_samples": 16})
TINY = MsdmConfig(sample_rate=8000, codec=CODEC, network=BandUNetConfig(patch=2, widths=(4, 6), embedding_size=8))


def sound(count: int = 3, samples: int = 320, seed: int = 0) -> Tensor:
    return torch.randn(count, 4, 1, samples, generator=torch.Generator().manual_seed(seed))


class ConstantVariance(nn.Module):
    """A gain head that holds every coefficient to have the same variance."""

    def __init__(self, variance: float):
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance), dtype=torch.float64))

    def forward(self, x: Tensor, c_noise: Tensor, embedding: None = None, *, as_logit: bool = False) -> Tensor:
        assert as_logit
        return (self.log_variance - 8 * c_noise[:, None, None, None]).expand(x.shape)


@pytest.mark.parametrize("head", ["gain", "edm"])
def test_the_squared_error_is_that_of_the_core(head: str) -> None:
    config = TINY.model_copy(update={"head": head, "sigma_data": 0.6})
    network, batch = new_network(config, seed=0).eval(), {"stems": sound()}
    z = encode_stems(latent_codec(config), batch["stems"])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        found = PriorLoss(config, LossWeights(), SIGMAS)(network, batch)
        if head == "gain":  # the other path to the same number
            torch.manual_seed(5)
            both = PriorLoss(config, LossWeights(edm=1.0, likelihood=1e-9), SIGMAS)(network, batch)
            torch.testing.assert_close(both, found, atol=1e-5, rtol=1e-4)
        torch.manual_seed(5)
        generator = torch.default_generator
        levels = SIGMAS.random(len(z), generator)
        noise = torch.randn(z.shape)
        fixed = types.SimpleNamespace(random=lambda count, generator: levels)
        wanted = diffusion_loss(network, config.objective, fixed, z, noise, generator)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("walk", [Walk(), Walk(share=1.0)], ids=["noise", "walk"])
def test_the_likelihood_finds_the_variance_that_the_signal_has(walk: Walk) -> None:
    loss = PriorLoss(TINY, LossWeights(edm=0.0, likelihood=1.0), SIGMAS, walk)
    batch = {"stems": 0.3 * sound(6, 1600)}  # an orthonormal transform keeps variances

    def value(variance: float) -> tuple[float, float]:
        network = ConstantVariance(variance)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            found = loss(network, batch)
        found.backward()
        return float(found.detach()), float(network.log_variance.grad)  # type: ignore[arg-type]

    least, slope = value(0.09)
    assert abs(slope) < 0.01
    assert value(0.05)[0] > least < value(0.16)[0]
    assert value(0.05)[1] < 0 < value(0.16)[1]


@pytest.mark.parametrize(
    ("head", "weights", "walk"),
    [
        ("edm", LossWeights(), Walk()),
        ("gain", LossWeights(edm=0.0, likelihood=1.0, error=2.0), Walk(share=0.5)),
    ],
)
@pytest.mark.parametrize("processes", [2, 6])
def test_processes_share_a_batch(head: str, weights: LossWeights, walk: Walk, processes: int) -> None:
    config = TINY.model_copy(update={"head": head})
    loss, network = PriorLoss(config, weights, SIGMAS, walk), new_network(config, seed=0).eval()
    for seed in range(3):  # of six processes with one item each, some have none that walks
        whole, shared = losses_of_whole_and_shares(loss, network, {"stems": 0.3 * sound(6)}, processes, seed)
        assert shared == pytest.approx(whole, rel=1e-5)


def test_outliers_count_by_their_logarithm_without_a_kink() -> None:
    squares = torch.tensor([0.0, 3.0, 15.999, 16.001, 16 * math.e], dtype=torch.float64, requires_grad=True)
    found = bounded(squares)
    torch.testing.assert_close(found.detach(), torch.tensor([0, 3, 15.999, 16.001, 32], dtype=torch.float64))
    found.sum().backward()
    assert squares.grad is not None
    torch.testing.assert_close(squares.grad[2:4], torch.ones(2, dtype=torch.float64), atol=1e-3, rtol=0)


def test_losses_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        LossWeights(edm=0.0)
    with pytest.raises(OptionError, match=r"or walk\.share=0"):
        PriorLoss(TINY, LossWeights(), SIGMAS, Walk(share=0.5))
    with pytest.raises(OptionError, match="weigh edm alone"):
        PriorLoss(TINY.model_copy(update={"head": "edm"}), LossWeights(likelihood=1.0), SIGMAS)


def test_states_of_a_walk_are_what_the_network_makes_of_the_mixture() -> None:
    z = torch.randn(40, 4, 16, 8, generator=torch.Generator().manual_seed(1))
    sigma = torch.linspace(0.1, 9.0, 40)
    levels = []

    def prefers_the_first(state: Tensor, at: Tensor) -> Tensor:
        levels.append(at)
        return torch.tensor([20.0, -20.0, -20.0, -20.0])[:, None, None].expand(state.shape)

    for seed in range(6):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            place = on_the_way(z, sigma, Walk(share=1.0, steps=3), prefers_the_first)
        torch.testing.assert_close(place.sum(dim=1), z.sum(dim=1), atol=1e-5, rtol=0)
        torch.testing.assert_close(place[:, 0], z.sum(dim=1), atol=1e-5, rtol=0)  # no trace of the true stems
    assert 6 < len(levels) < 18  # one to three steps each
    for at in levels:
        assert (at >= sigma - 1e-5).all()
    assert sum(bool((at >= 5.0).all()) for at in levels) == 6  # each begins where nothing is heard


def test_a_walk_s_error_is_the_energy_missed_over_the_mixture_s() -> None:
    loss = PriorLoss(TINY, LossWeights(edm=0.0, likelihood=1.0, error=1.0), SIGMAS, Walk(share=1.0))
    bare = PriorLoss(TINY, LossWeights(edm=0.0, likelihood=1.0), SIGMAS, Walk(share=1.0))
    stems, values = sound(4, 1600), []
    for one in (loss, bare):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(3)
            values.append(float(one(ConstantVariance(1.0), {"stems": stems})))
    mixture = stems.sum(dim=1, keepdim=True)
    wanted = ((stems - mixture / 4).square().sum(dim=(1, 2, 3)) / mixture.square().sum(dim=(1, 2, 3))).mean()
    assert values[0] - values[1] == pytest.approx(float(wanted), rel=1e-3)


class Listed:
    def __init__(self, stems: Tensor):
        self.stems = stems

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"stems": self.stems[index]}


def test_items_have_the_prior_s_level_and_are_functions_of_their_index() -> None:
    quiet = sound()
    quiet[1] *= 1e-3
    quiet[:, 2] = 0.0  # an absent stem stays silent
    items = PriorItems(Listed(quiet), TINY, jitter_db=0.0, seed=1)
    for index in range(3):
        stems = items[index]["stems"]
        assert float(stems.sum(dim=0).square().mean().sqrt()) == pytest.approx(0.1, rel=1e-5)
        assert not stems[2].any()
        torch.testing.assert_close(stems / stems.norm(), quiet[index] / quiet[index].norm())
    varied = PriorItems(Listed(quiet), TINY, jitter_db=2.0, seed=1)
    assert torch.equal(varied[1]["stems"], varied[1]["stems"])
    levels = [20 * math.log10(10 * float(varied[i]["stems"].sum(dim=0).square().mean().sqrt())) for i in range(3)]
    assert len({round(level, 3) for level in levels}) == 3
    assert max(map(abs, levels)) < 8
    assert not levelled(torch.zeros(4, 1, 50), 0.1).any()
    published = PriorItems(Listed(quiet), TINY.model_copy(update={"level_rms": None}), jitter_db=2.0, seed=1)
    assert torch.equal(published[0]["stems"], quiet[0])


def test_an_equaliser_changes_the_spectrum_before_the_level() -> None:
    tone = torch.sin(2 * torch.pi * 40 * torch.arange(8000) / 8000).expand(4, 1, 8000)

    class Equalised(Listed):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {**super().__getitem__(index), "equaliser_db": torch.tensor([[6.0, 0.0]] + 3 * [[0.0, 0.0]])}

    stems = PriorItems(Equalised(tone[None]), TINY, jitter_db=0.0, seed=1)[0]["stems"]
    assert float(stems[0].norm() / stems[1].norm()) == pytest.approx(10 ** (6 / 20), rel=1e-3)
    assert float(stems.sum(dim=0).square().mean().sqrt()) == pytest.approx(0.1, rel=1e-5)


def test_items_carry_the_embedding_of_their_sum() -> None:
    config = TINY.model_copy(update={"embedding_features": 8})
    encoder = BandLevels()
    items = PriorItems(Listed(sound()), config, jitter_db=0.0, seed=1, encode=encoder.sound)
    item = items[0]
    torch.testing.assert_close(item["embedding"], encoder.sound(item["stems"].sum(dim=0), 8000))
    with pytest.raises(OptionError, match="need each other"):
        PriorItems(Listed(sound()), config, jitter_db=0.0, seed=1)


def test_fitted_latents_have_unit_rms_in_every_band() -> None:
    spectrum = torch.linspace(1.0, 0.05, 161)
    stems = torch.fft.irfft(spectrum * torch.fft.rfft(sound(30)), 320)
    config = with_fitted_scales(TINY, iter(stems))
    z = encode_stems(latent_codec(config), stems)
    torch.testing.assert_close(z.square().mean(dim=(0, 1, 3)).sqrt(), torch.ones(16), atol=1e-3, rtol=0)
    assert with_fitted_scales(config, iter(())) == config
    assert MsdmConfig.model_validate_json(config.model_dump_json()) == config


def test_latents_of_a_codec_without_scales_are_scaled_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sepkit.codecs import Lapped

    monkeypatch.delattr(Lapped, "fit_scales")
    stems = sound(20) * 0.3
    config = with_fitted_scales(TINY, iter(stems))
    assert config.latent_scales is not None
    codec = latent_codec(config)
    z = encode_stems(codec, stems)
    torch.testing.assert_close(z.square().mean(dim=(0, 1, 3)).sqrt(), torch.ones(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(codec.decode(z[0], 320), stems[0], atol=1e-5, rtol=0)
    assert codec.bound_to(stems[0]).features == 16  # type: ignore[attr-defined]
    waveform = MsdmConfig(codec=CodecSettings(name="waveform", settings={"sample_rate": 22_050}))
    assert with_fitted_scales(waveform, iter(stems)) == waveform


def test_the_table_of_errors_is_that_of_an_exact_denoiser() -> None:
    variance = torch.rand(4, 40, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    variance = variance.reshape(4, 8, 5).mean(dim=2).repeat_interleave(5, dim=1)[..., None]  # eight bands of five
    draw = torch.randn(3, 4, 40, 4000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def denoise(x: Tensor, level: Level) -> Tensor:
        return variance / (variance + level.sigma**2) * x

    table = measure_errors(denoise, [one[None] * variance.sqrt() for one in draw], sigmas=(0.1, 1.0, 5.0), bands=8)
    for sigma in (0.1, 1.0, 5.0):
        wanted = (variance * sigma**2 / (variance + sigma**2))[:, ::5, 0]
        torch.testing.assert_close(table(sigma), wanted, rtol=0.02, atol=0)
    assert Projected(weights="calibrated", error_variance=table).error_variance == table
    sigmas = sigmas_of(TINY)
    assert (sigmas[0], sigmas[-1]) == (TINY.separation.sigma_min, TINY.separation.sigma_max)
    waveform = measure_errors(lambda x, level: 0 * x, [torch.ones(1, 2, 1, 9)], sigmas=(1.0,))
    assert waveform.values == (((1.0,),), ((1.0,),))


def test_band_levels_follow_the_sound() -> None:
    encoder, time = BandLevels(6), torch.arange(8000) / 8000
    tone = torch.sin(2 * math.pi * 3000 * time)[None]
    found = encoder.sound(tone, 8000)
    assert found.argmax() == 4
    torch.testing.assert_close(encoder.sound(0.1 * tone, 8000)[4], found[4] - 1.0, atol=1e-4, rtol=0)
    assert encoder.sound(tone, 24_000).argmax() == 5
    with pytest.raises(OptionError, match="takes sound only"):
        encoder.text("warm bass")


def test_encoders_are_found_by_name_or_by_the_user_s_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_encoder("band_levels", features=3).features == 3
    mine = types.ModuleType("mine")
    mine.words = lambda: Clap(lambda x: x[0, :2] * 0 + 3, lambda prompt: torch.tensor([0.0, 2.0]), 2)  # type: ignore[attr-defined]
    mine.wrong = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", mine)
    encoder = find_encoder("mine:words")
    torch.testing.assert_close(encoder.text("drums"), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(encoder.sound(torch.ones(2, 100), 22_050), torch.full((2,), 0.5**0.5))
    with pytest.raises(PluginError, match="lacks features"):
        find_encoder("mine:wrong")
    with pytest.raises(PluginError, match="failed"):
        find_encoder("mine:nothing")
    with pytest.raises(OptionError, match="did you mean 'clap'"):
        find_encoder("clamp")


def test_clap_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, settings in (("transformers", {}), ("laion_clap", {"checkpoint": "x.pt"})):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(OptionError, match="pip install"):
            find_encoder("clap", **settings)


def test_clap_of_transformers_is_asked_as_its_interface_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Processor:
        @staticmethod
        def feature_extractor(x: object, *, sampling_rate: int, return_tensors: str) -> dict[str, Tensor]:
            assert (sampling_rate, return_tensors) == (48_000, "pt")
            return {"input_features": torch.as_tensor(x).sum()[None]}

        @staticmethod
        def tokenizer(prompts: list[str], *, return_tensors: str, padding: bool) -> dict[str, Tensor]:
            return {"input_ids": torch.tensor([len(prompt) for prompt in prompts])}

    class Model:
        config = types.SimpleNamespace(projection_dim=2)
        eval = lambda self: self  # noqa: E731
        get_audio_features = staticmethod(lambda input_features: torch.stack([input_features, input_features * 0], -1))
        # newer versions wrap what they return
        get_text_features = staticmethod(
            lambda input_ids: types.SimpleNamespace(pooler_output=input_ids * torch.ones(1, 2))
        )

    fake = types.ModuleType("transformers")
    fake.ClapModel = types.SimpleNamespace(from_pretrained=lambda name, use_safetensors: Model())  # type: ignore[attr-defined]
    fake.ClapProcessor = types.SimpleNamespace(from_pretrained=lambda name: Processor())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", fake)
    encoder = find_encoder("clap", model="somewhere")
    assert encoder.features == 2
    torch.testing.assert_close(encoder.sound(torch.ones(1, 96), 48_000), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(encoder.text("bass"), torch.full((2,), 0.5**0.5))
    assert get_codec("lapped", sample_rate=8000).features == 512
