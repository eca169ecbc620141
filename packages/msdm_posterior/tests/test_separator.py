"""Laws of the three methods: conformance, exact posteriors, shared noise, checkpoints, and options that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sepkit import Audio
from sepkit.checkpoint import save_checkpoint
from sepkit.diffusion import Level
from sepkit.errors import CheckpointError, OptionError, UnknownNameError
from sepkit.host import HostedSeparator
from sepkit.noise import gaussian
from sepkit.testing import SeparatorConformance
from sepkit.uncertainty import separate_samples
from sepkit_msdm_posterior.frame_noise import FrameNoise
from sepkit_msdm_posterior.inference import Prior, Task, iterate_draw, separate_draw
from sepkit_msdm_posterior.presets import PRESETS
from sepkit_msdm_posterior.separator import (
    CONFIG_VERSION,
    NAME,
    MsdmSeparator,
    build_dirac,
    build_gaussian,
    build_projected,
    separator_info,
)
from sepkit_msdm_posterior.settings import settings_for

BUILDS = {"msdm_dirac": build_dirac, "msdm_gaussian": build_gaussian, "msdm_projected": build_projected}
FEW: dict[str, dict[str, Any]] = {
    "msdm_dirac": {"steps": 2},
    "msdm_gaussian": {"steps": 16, "churn": 0, "passes": 1},  # fewer would diverge
    "msdm_projected": {"steps": 2},
}
RATE = 8000


class TestDirac(SeparatorConformance):
    name = "msdm_dirac"
    options = {"untrained": True, "preset": "tiny", **FEW["msdm_dirac"]}  # noqa: RUF012


class TestGaussian(SeparatorConformance):
    name = "msdm_gaussian"
    options = {"untrained": True, "preset": "tiny", **FEW["msdm_gaussian"]}  # noqa: RUF012


class TestProjected(SeparatorConformance):
    name = "msdm_projected"
    options = {"untrained": True, "preset": "tiny", **FEW["msdm_projected"]}  # noqa: RUF012


def tiny(name: str, **options: Any) -> MsdmSeparator:
    return BUILDS[name](**{"untrained": True, "preset": "tiny", **FEW[name], **options})


def hosted(name: str, **options: Any) -> HostedSeparator:
    return HostedSeparator(tiny(name, **options), device="cpu")


MIXTURE = Audio(0.1 * gaussian(0, "mixture", 0, RATE + 99, 2), RATE)


@pytest.mark.parametrize("name", BUILDS)
def test_stems_sum_to_the_mixture_in_each_channel(name: str) -> None:
    stems = hosted(name).separate(MIXTURE)
    total = torch.stack([part.samples for part in stems.values()])
    loudest = float(total.abs().max())  # what an untrained prior makes is loud, and rounds accordingly
    torch.testing.assert_close(total.sum(dim=0), MIXTURE.samples, rtol=0, atol=2e-6 * loudest)
    assert stems.provenance["method"] == name


# The prior of test songs that are Gaussian noise with known variances: the Wiener filter is what averages tend to.


def wiener_prior(variances: Tensor, **changes: Any) -> Prior:
    """The exact denoiser of independent coefficients, s d, in the tiny preset's latent."""
    config = PRESETS["tiny"].model_copy(update={"level_rms": None, **changes})
    codec = config.codec.build()
    v = variances[None, :, :, None]

    def denoise(x: Tensor, level: Level, /) -> Tensor:
        return v / (v + float(level.ratio) ** 2) * x

    return Prior(config, codec, denoise)


def songs(variances: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Stems s d n of those variances, and the sound of their sum, 1 c t."""
    codec = PRESETS["tiny"].codec.build()
    z = gaussian(1, "coefficients", 0, frames, variances.numel()).reshape(*variances.shape, frames)
    z = variances.sqrt()[..., None] * z
    return z, codec.decode(z.sum(dim=0, keepdim=True), frames * codec.hop_samples)


def sdr(truth: Tensor, estimate: Tensor) -> float:
    return float(10 * torch.log10(truth.square().sum() / (truth - estimate).square().sum()))


@pytest.mark.parametrize("kind", ["dirac", "gaussian", "projected"])
def test_an_exact_prior_separates_as_well_as_a_sample_of_its_posterior(kind: Any) -> None:
    variances = (2.0 * gaussian(2, "variances", 0, 64, 4)).exp().clamp(max=20.0)
    truth, sound = songs(variances, 64)
    prior = wiener_prior(variances)
    fixed = {} if kind == "projected" else {"steps": 60, "passes": 2}
    settings = settings_for(kind, "balanced", fixed, prior.config, additive=True)
    stems = separate_draw(prior, Task(sound, [0], 0, settings), 0)
    found = torch.stack([prior.codec.encode(stem[None])[0] for stem in stems[0]])
    error = variances - variances**2 / variances.sum(dim=0)  # of the posterior's mean; a sample has twice that
    assert sdr(truth, found) > 10 * float(torch.log10(variances.sum() / (2 * error.sum()))) - 1.0


def test_noise_is_keyed_by_frame() -> None:
    """Unit variance, the same in the overlap of windows, another for each draw and stem, few blocks for few frames."""
    noise = FrameNoise(5, (10, 12, 10), "key", ("bass", "drums"))
    like = torch.zeros(3, 2, 8, 200)
    found = noise(3, like)
    assert torch.equal(found[0, :, :, 2:], found[1, :, :, :-2])
    assert torch.equal(found[0], found[2])
    assert torch.equal(FrameNoise(5, (10,), "key", ("drums",))(3, like[:1, :1]), found[:1, 1:])
    assert found.std().item() == pytest.approx(1, abs=0.03)
    for other in (noise(4, like), FrameNoise(6, (10, 12, 10), "key", ("bass", "drums"))(3, like)):
        assert abs(float((found * other).mean())) < 0.05
    assert abs(float((found[:, 0] * found[:, 1]).mean())) < 0.05
    with pytest.raises(ValueError, match="one name for each s"):
        noise(0, torch.zeros(3, 4, 8, 20))


def test_overlapping_windows_draw_the_same_noise() -> None:
    prior = wiener_prior(torch.ones(4, 64))
    hop = prior.codec.hop_samples
    track = 0.1 * gaussian(0, "track", 0, 80 * hop, 1)
    settings = settings_for("projected", "fast", {}, prior.config, additive=True)
    starts = [0, 20 * hop, 25 * hop + 7]  # the last one off the grid
    windows = torch.stack([track[:, start : start + 40 * hop] for start in starts])
    found = separate_draw(prior, Task(windows, starts, 3, settings), 0)
    for index, start in enumerate(starts[1:], start=1):
        inside = slice(start + 2 * hop, 38 * hop)  # of the track: away from both windows' ends, whose frames differ
        one = found[0][..., inside]
        other = found[index][..., inside.start - start : inside.stop - start]
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5)


def test_estimates_end_in_the_stems_and_the_mean_of_draws_is_samples() -> None:
    model = tiny("msdm_projected", samples=3)
    windows, settings = MIXTURE.samples[None, :1, :4000], model.settings("balanced")
    whole = model.separate_windows(windows, [64], seed=5, settings=settings)
    *_, last = model.iterate_windows(windows, [64], seed=5, settings=settings)
    torch.testing.assert_close(last, whole, rtol=0, atol=1e-6)
    draws = [model.drawn(k).separate_windows(windows, [64], seed=5, settings=model.drawn(k).settings("balanced"))
             for k in range(3)]  # fmt: skip
    torch.testing.assert_close(torch.stack(draws).mean(dim=0), whole, rtol=0, atol=1e-6)
    assert not torch.equal(draws[0], draws[1])
    task = Task(windows, [64], 5, model.settings("balanced"))
    *_, walked = iterate_draw(model.prior, task, 0)
    torch.testing.assert_close(walked, separate_draw(model.prior, task, 0), rtol=0, atol=1e-6)


def test_the_map_of_uncertainty_is_of_the_methods_own_samples() -> None:
    separator = hosted("msdm_projected", samples=3)
    found = separate_samples(separator, MIXTURE)
    averaged = separator.separate(MIXTURE)
    for stem in averaged:
        torch.testing.assert_close(found[stem].samples, averaged[stem].samples, rtol=0, atol=1e-6)
    assert set(found.uncertainty) == {"bass", "drums", "guitar", "piano"}
    assert found.provenance["samples"] == 3


def test_qualities_are_the_published_settings_and_calls_are_counted() -> None:
    calls = {}
    for name, build in BUILDS.items():
        model = build(untrained=True, preset="tiny")
        calls[name] = {
            quality: model.network_calls(model.settings(quality)) for quality in ("fast", "balanced", "best")
        }
    assert calls["msdm_dirac"] == {"fast": 80, "balanced": 300, "best": 1200}
    assert calls["msdm_gaussian"] == {"fast": 75, "balanced": 300, "best": 1200}
    assert calls["msdm_projected"] == {"fast": 10, "balanced": 20, "best": 160}
    settings = BUILDS["msdm_gaussian"](untrained=True, preset="tiny").settings("balanced")
    assert (settings.steps, settings.churn, settings.passes, settings.gamma) == (150, 40.0, 2, 0.75)
    assert tiny("msdm_dirac").settings("balanced").source == "bass"


@pytest.mark.parametrize(("name", "options", "reason"), [
    ("msdm_gaussian", {"gamma": 0.3}, "diverges with 4 stems"),
    ("msdm_gaussian", {"steps": 8}, "diverges with 4 stems"),
    ("msdm_gaussian", {"source": "bass"}, "no option 'source'"),
    ("msdm_dirac", {"source": "vocals"}, "source is 'vocals'"),
    ("msdm_projected", {"weights": "calibrated"}, "has none: take weights='empirical'"),
    ("msdm_projected", {"sampler": "hein"}, "heun"),
    ("msdm_projected", {"sampler": "dpm_solver_2m", "churn": 3}, "no option 'churn'"),
    ("msdm_projected", {"preset": "huge"}, "preset 'huge' is not known"),
    ("msdm_projected", {"codec": "encodec_24khz"}, "there are presets for lapped, waveform"),
    ("msdm_projected", {"prompt": "a slow waltz"}, "trained without an encoder"),
])  # fmt: skip
def test_what_cannot_be_is_refused_when_the_method_is_built(name: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises((OptionError, UnknownNameError), match=reason):
        tiny(name, **options)


def test_other_samplers_and_codecs_separate() -> None:
    for options in ({"sampler": "heun"}, {"sampler": "dpm_solver_2m"}, {"sampler": "ddim", "eta": 0.5}):
        assert hosted("msdm_projected", **options).separate(MIXTURE.samples[:, :2000], sample_rate=RATE)
    stems = hosted("msdm_projected", preset="tiny_waveform").separate(MIXTURE)
    assert stems["piano"].samples.shape == MIXTURE.samples.shape


def test_three_methods_load_one_checkpoint(tmp_path: Path) -> None:
    model = tiny("msdm_dirac")
    info = separator_info(model.config, licence="MIT")
    state = model.network.state_dict()
    save_checkpoint(
        tmp_path, separator=NAME, config=model.config, config_version=CONFIG_VERSION, info=info, state=state, card=""
    )
    for name, build in BUILDS.items():
        loaded = build(checkpoint=tmp_path, **FEW[name])
        assert (loaded.info.name, loaded.info.trained, loaded.info.stems) == (name, True, info.stems)
        assert all(torch.equal(loaded.network.state_dict()[key], value) for key, value in state.items())
    with pytest.raises(OptionError, match="lives in 'lapped'"):
        build_dirac(checkpoint=tmp_path, codec="waveform")
    with pytest.raises(OptionError, match="leave one of them out"):
        build_dirac(checkpoint=tmp_path, untrained=True)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        build_dirac(checkpoint=tmp_path / "none")
