"""Mixture-conditioned diffusion as a method: conformance, one look at the mixture, noise, samples, options."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from sepkit.errors import CheckpointError, OptionError
from sepkit.testing import SeparatorConformance
from sepkit_waveform_diffusion.conditional import sampling
from sepkit_waveform_diffusion.conditional.config import ConditionalConfig
from sepkit_waveform_diffusion.conditional.network import ConditionalNetwork, new_network
from sepkit_waveform_diffusion.conditional.presets import PRESETS
from sepkit_waveform_diffusion.conditional.sampling import noise_sources
from sepkit_waveform_diffusion.conditional.separator import ConditionalSeparator, build, separator_info
from sepkit_waveform_diffusion.conditional.settings import ConditionalSettings

KINDS: dict[str, dict[str, Any]] = {
    "waveform": {},
    "lapped": {"bands": 8, "gated": True, "compression": 0.3, "level": "mixture"},
}


def tiny(**changes: Any) -> ConditionalConfig:
    return ConditionalConfig(**{**PRESETS["tiny"].model_dump(), **changes})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(**changes: Any) -> ConditionalSeparator:
    """A separator of tiny random networks; `fixed` holds options."""
    fixed = {"steps": 3, **changes.pop("fixed", {})}
    config = tiny(**changes)
    return ConditionalSeparator(config, new_network(config, 0), separator_info(config, licence="MIT"), {}, fixed)


class TestLapped(SeparatorConformance):
    def make(self) -> ConditionalSeparator:
        return small(**KINDS["lapped"], audio_channels=2, fixed={"steps": 2})


def separated(separator: ConditionalSeparator, windows: torch.Tensor, starts: list[int], seed: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        return separator.separate_windows(windows, starts, seed=seed, settings=separator.settings("balanced"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_conditioner_looks_once_and_the_generator_once_a_step(kind: str, monkeypatch: Any) -> None:
    separator, calls = small(**KINDS[kind], fixed={"steps": 4, "samples": 3}), {"condition": 0, "velocity": 0}
    for name in calls:
        original = getattr(ConditionalNetwork, name)

        def counted(self: Any, *given: Any, name: str = name, original: Any = original) -> Any:
            calls[name] += 1
            return original(self, *given)

        monkeypatch.setattr(ConditionalNetwork, name, counted)
    separated(separator, noise(3, 1, 500), [0, 400, 800])
    assert calls == {"condition": 1, "velocity": 12}
    assert separator.network_calls(separator.settings("balanced")) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_mixture_decides_and_not_only_the_noise(kind: str) -> None:
    separator = small(**KINDS[kind])
    one, other = (separated(separator, noise(1, 1, 500, seed=seed), [0])[:, 0] for seed in (1, 2))
    assert (one - other).abs().max() > 1e-3


def test_windows_that_overlap_see_the_same_noise_high_passed_or_not() -> None:
    for cutoff_hz, tolerance in ((0.0, 0.0), (1000.0, 1e-5)):
        settings = ConditionalSettings(cutoff_hz=cutoff_hz)
        for source in noise_sources(tiny(), [0, 300], seed=4, sample=1, settings=settings):
            first, second = source(2, torch.zeros(2, 1, 1, 500))
            torch.testing.assert_close(first[..., 300:], second[..., :200], atol=tolerance, rtol=0)
            assert float(torch.stack([first, second]).std()) == pytest.approx(1.0, abs=0.15)
    start, refining = noise_sources(tiny(), [0], seed=4, sample=0, settings=ConditionalSettings(cutoff_hz=2000.0))
    spectra = [torch.fft.rfft(source(1, torch.zeros(1, 1, 1, 8000))).abs().square() for source in (start, refining)]
    below = [float(spectrum[..., :1000].sum() / spectrum.sum()) for spectrum in spectra]
    assert below[0] > 0.2
    assert below[1] < 0.005


def test_samples_are_drawn_apart_and_averaged(monkeypatch: Any) -> None:
    windows = noise(1, 1, 300)
    alone = small(fixed={"steps": 2, "eta": 0.0})
    several = small(fixed={"steps": 2, "eta": 0.0, "samples": 2})
    settings = several.settings("balanced")
    with torch.inference_mode():
        every = list(several.iterate_windows(windows, [0], seed=0, settings=settings))
    first = separated(alone, windows, [0])
    assert len(every) == 3
    assert torch.equal(every[1], first)
    torch.testing.assert_close(separated(several, windows, [0]), every[-1])
    assert not torch.equal(separated(alone, windows, [0], seed=1), first)
    monkeypatch.setattr(
        sampling, "noise_sources", lambda *given, sample, **more: noise_sources(*given, sample=1, **more)
    )
    second = separated(alone, windows, [0])
    assert (second - first).abs().max() > 1e-3
    torch.testing.assert_close(every[-1], (first + second) / 2)


def test_a_quieter_mixture_has_quieter_stems_where_levels_are_matched() -> None:
    windows = noise(1, 1, 400)
    matched, as_is = small(**KINDS["lapped"]), small(**{**KINDS["lapped"], "level": "none"})
    loud, quiet = (separated(matched, gain * windows, [0]) for gain in (1.0, 0.01))
    torch.testing.assert_close(quiet, 0.01 * loud, atol=1e-5, rtol=1e-3)
    loud, quiet = (separated(as_is, gain * windows, [0]) for gain in (1.0, 0.01))
    assert (quiet - 0.01 * loud).abs().max() > 1e-3
    for separator in (matched, as_is):
        assert not separated(separator, torch.zeros(1, 1, 400), [0]).any()


def test_several_targets_come_out_as_they_are_named() -> None:
    separator = small(targets=("drums", "bass"), audio_channels=2)
    assert separator.info.stems == ("drums", "bass")
    assert not separator.info.sums_to_mixture
    assert separated(separator, noise(2, 2, 100), [0, 50]).shape == (2, 2, 2, 100)
    assert small(targets=("drums",)).info.stems == ("drums", "no_drums")


def test_qualities_are_the_paper_s_and_options_win() -> None:
    separator = build(untrained=True)
    settings = separator.settings("balanced")
    assert (settings.steps, settings.eta, settings.cutoff_hz, settings.samples) == (50, 0.4, 5000.0, 1)
    assert separator.settings("fast").steps == 20
    assert separator.settings("best").samples > 1
    assert separator.settings(7).steps == 7
    assert small(fixed={"steps": 3}).settings(7).steps == 3
    assert separator.info.overlap_samples / (separator.info.window_samples or 0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "small"}, "is for untrained=True"),
        ({"untrained": True, "preset": "smal"}, "did you mean 'small'"),
        ({"untrained": True, "cutoff": 100}, "did you mean 'cutoff_hz'"),
        ({"untrained": True, "cutoff_hz": 12_000.0}, "works at 22050 Hz: take less than 11025"),
        ({"untrained": True, "eta": 1.5}, "option 'eta' was given 1.5"),
        ({"untrained": True, "checkpoint": "x"}, "leave one of them out"),
    ],
)
def test_contradictions_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(**options)


def test_an_unknown_quality_and_a_missing_checkpoint_say_what_to_do() -> None:
    with pytest.raises(OptionError, match="did you mean 'fast'"):
        small().settings("fasst")
    with pytest.raises(CheckpointError):
        build(checkpoint="nowhere")
