"""Latent diffusion as a method: conformance, any number of steps, noise on the grid, samples, guidance, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from sepkit.errors import CheckpointError, OptionError
from sepkit.testing import SeparatorConformance
from sepkit_latent_diffusion.codec.checkpoints import build_codec
from sepkit_latent_diffusion.conditioner import Conditioner
from sepkit_latent_diffusion.config import LatentConfig
from sepkit_latent_diffusion.generator import Generator
from sepkit_latent_diffusion.network import new_network
from sepkit_latent_diffusion.presets import PRESETS
from sepkit_latent_diffusion.sampling import FrameNoise
from sepkit_latent_diffusion.separator import LatentSeparator, build, separator_info
from sepkit_latent_diffusion.train import TRAIN_DEFAULT, write_checkpoint
from sepkit_latent_diffusion.windows_on_grid import FrameGrid, frame_grid, on_grid


def tiny(preset: str = "tiny", **changes: Any) -> LatentConfig:
    return LatentConfig.model_validate({**PRESETS[preset].model_dump(), **changes})


def small(config: LatentConfig | None = None, **fixed: Any) -> LatentSeparator:
    """A separator of tiny random networks, the generator's last layer too; `fixed` are options."""
    config = config or tiny()
    codec = build_codec(config.codec)
    network = new_network(config, codec.features, seed=0)
    torch.nn.init.normal_(network.generator.leave.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    info = separator_info(config, codec, licence="MIT")
    return LatentSeparator(config, codec, network, info, {}, {"steps": 2, **fixed})


def stereo() -> LatentConfig:
    settings = {**PRESETS["tiny"].codec.settings, "audio_channels": 2, "kept": (8, 4)}
    return tiny(codec={"name": "lapped_autoencoder", "settings": settings})


class TestLapped(SeparatorConformance):
    def make(self) -> LatentSeparator:
        return small(stereo(), phase="mixture")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def separated(separator: LatentSeparator, windows: torch.Tensor, starts: list[int], seed: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        return separator.separate_windows(windows, starts, seed=seed, settings=separator.settings("balanced"))


def test_a_codec_of_encodec_s_class_serves_as_well() -> None:
    separator = small(tiny("tiny_seanet"), eta=0.4, guidance=2.0)
    for length in (1, 100, 777):
        stems = separated(separator, noise(2, 1, length), [0, 1000])
        assert stems.shape == (2, 2, 1, length)
        assert torch.isfinite(stems).all()
        torch.testing.assert_close(stems.sum(dim=1), noise(2, 1, length), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_any_number_of_steps_gives_an_estimate_after_each(steps: int) -> None:
    separator = small(steps=steps, samples=2)
    with torch.inference_mode():
        settings = separator.settings("fast")
        every = list(separator.iterate_windows(noise(1, 1, 500), [0], seed=0, settings=settings))
    assert len(every) == steps + 1
    assert all(torch.isfinite(stems).all() for stems in every)
    torch.testing.assert_close(every[-1], separated(separator, noise(1, 1, 500), [0]))


def test_the_conditioner_looks_once_and_the_generator_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {Conditioner: 0, Generator: 0}
    for kind in calls:
        original = kind.forward

        def counted(self: Any, *given: Any, kind: Any = kind, original: Any = original) -> Any:
            calls[kind] += 1
            return original(self, *given)

        monkeypatch.setattr(kind, "forward", counted)
    separator = small(steps=4, samples=3)
    separated(separator, noise(3, 1, 500), [0, 400, 800])
    assert list(calls.values()) == [1, 12]
    assert separator.network_calls(separator.settings("balanced")) == 12
    guided = small(tiny("tiny_seanet"), steps=4, guidance=3.0)
    separated(guided, noise(1, 1, 500), [0])
    assert list(calls.values()) == [3, 20]
    assert guided.network_calls(guided.settings("balanced")) == 8


def test_windows_that_overlap_share_noise_and_frames_wherever_they_start() -> None:
    grid, starts = FrameGrid(32, 1), [64, 70, 130]
    windows = [noise(1, 400)[:, start : start + 200] for start in starts]
    placed = on_grid(torch.stack(windows), starts, grid)
    assert placed.offsets == (0, 6, 2)
    assert placed.frames == (2, 2, 4)
    assert torch.equal(placed.cut(placed.sound), torch.stack(windows))
    source = FrameNoise(3, placed, "key", ("vocals", "drums"))
    found = source(1, torch.zeros(3, 2, 5, 7))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0, ..., 2:], found[2, ..., :-2])
    assert not torch.equal(found[:, 0], found[:, 1])
    alone = FrameNoise(3, placed, "key", ("drums",))
    assert torch.equal(alone(1, torch.zeros(3, 1, 5, 7))[:, 0], found[:, 1])
    assert float(source(0, torch.zeros(3, 2, 50, 70)).std()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(FrameNoise(3, placed, "key", ("drums",), 0.5)(1, torch.zeros(3, 1, 5, 7)), 0.5 * found[:, 1:])


def test_the_host_s_windows_start_on_the_codec_s_grid() -> None:
    for preset in ("small", "tiny", "tiny_seanet"):
        config = PRESETS[preset]
        codec = build_codec(config.codec)
        info, grid = separator_info(config, codec, licence=""), frame_grid(codec)
        assert info.window_samples is not None
        assert info.window_samples % (grid.step_samples * config.ratio) == 0
        assert (info.window_samples - info.overlap_samples) % grid.step_samples == 0
        assert info.window_samples / codec.sample_rate == pytest.approx(config.window_seconds, rel=0.05)
    published = build_codec(PRESETS["encodec_48khz"].codec, weights="random")
    assert frame_grid(published) == FrameGrid(47_520, 150)


def test_samples_are_drawn_apart_and_averaged_as_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, several = noise(1, 1, 300), small(samples=2, phase="codec")
    with torch.inference_mode():
        settings = several.settings("balanced")
        *_, first, both = several.iterate_windows(windows, [0], seed=0, settings=settings)
    torch.testing.assert_close(separated(small(phase="codec"), windows, [0]), first)
    original = FrameNoise.__call__

    def second(self: FrameNoise, draw: int, like: torch.Tensor) -> torch.Tensor:
        return original(FrameNoise(self.seed, self.placed, "latent_diffusion/1", self.stems), draw, like)

    monkeypatch.setattr(FrameNoise, "__call__", second)
    other = separated(small(phase="codec"), windows, [0])
    assert (other - first).abs().max() > 1e-3
    torch.testing.assert_close(both, (first + other) / 2)


def test_temperature_is_the_size_of_the_noise() -> None:
    windows = noise(1, 1, 300)
    cold = [separated(small(temperature=0.0, eta=0.4), windows, [0], seed=seed) for seed in (0, 1)]
    assert torch.equal(*cold)
    warm = [separated(small(temperature=0.5, eta=0.4), windows, [0], seed=seed) for seed in (0, 1)]
    assert (warm[0] - warm[1]).abs().max() > 1e-3


def test_levels_are_followed_and_silence_stays_silent() -> None:
    windows = noise(1, 1, 400)
    for config in (tiny(), tiny("tiny_seanet")):
        separator = small(config)
        loud, quiet = (separated(separator, gain * windows, [0]) for gain in (1.0, 0.01))
        torch.testing.assert_close(quiet, 0.01 * loud, atol=1e-5, rtol=1e-3)
        assert not separated(separator, 0 * windows, [0]).any()
    as_is = small(tiny("tiny_seanet", level_rms=None))
    loud, quiet = (separated(as_is, gain * windows, [0]) for gain in (1.0, 0.01))
    assert (quiet - 0.01 * loud).abs().max() > 1e-3


def test_guidance_of_one_changes_nothing_and_more_changes_much() -> None:
    windows = noise(1, 1, 300)
    plain, same, more = (small(tiny("tiny_seanet"), guidance=g) for g in (1.0, 1.0 + 1e-7, 3.0))
    torch.testing.assert_close(separated(plain, windows, [0]), separated(same, windows, [0]), atol=1e-5, rtol=1e-4)
    assert (separated(plain, windows, [0]) - separated(more, windows, [0])).abs().max() > 1e-3
    with pytest.raises(OptionError, match="never learned to do without the mixture"):
        small(guidance=2.0)


def test_several_targets_come_out_as_they_are_named() -> None:
    for phase in ("codec", "mixture"):
        separator = small(tiny(targets=("drums", "bass")), phase=phase)
        assert separator.info.stems == ("drums", "bass")
        assert not separator.info.sums_to_mixture
        assert separated(separator, noise(2, 1, 100), [0, 50]).shape == (2, 2, 1, 100)
    assert small(tiny(targets=("drums",))).info.stems == ("drums", "no_drums")


def test_qualities_and_options() -> None:
    separator = build(untrained=True, preset="tiny")
    settings = separator.settings("balanced")
    assert (settings.steps, settings.eta, settings.samples, settings.phase) == (20, 0.0, 1, "mixture")
    assert separator.settings("fast").steps == 10
    assert (separator.settings("best").steps, separator.settings("best").samples) == (50, 4)
    assert separator.settings(7).steps == 7
    assert small(steps=3).settings(7).steps == 3
    with pytest.raises(OptionError, match="did you mean 'fast'"):
        separator.settings("fasst")


def test_a_checkpoint_has_its_codec_and_one_in_a_published_codec_asks_for_it(tmp_path: Path) -> None:
    separator = small(eta=0.4)
    config = TRAIN_DEFAULT.model_copy(update={"model": separator.config, "licence": "CC0-1.0"})
    write_checkpoint(tmp_path / "own", separator.codec, separator.network, config, {"step": 1})
    again = build(checkpoint=tmp_path / "own", steps=2, eta=0.4)
    assert again.info.licence == "CC0-1.0"
    assert again.parameters == separator.parameters
    windows = noise(1, 1, 400)
    torch.testing.assert_close(separated(again, windows, [0]), separated(separator, windows, [0]), atol=2e-2, rtol=2e-2)
    with pytest.raises(OptionError, match="has its own codec"):
        build(checkpoint=tmp_path / "own", codec_weights="encodec.th")
    published = tiny(codec={"name": "encodec_24khz", "settings": {}}, level_rms=0.1)
    codec = build_codec(published.codec, weights="random")
    network = new_network(published, codec.features, seed=0)
    config = TRAIN_DEFAULT.model_copy(update={"model": published})
    write_checkpoint(tmp_path / "published", codec, network, config, {})
    assert sum(path.stat().st_size for path in (tmp_path / "published").iterdir()) < 1e6  # no codec in it
    with pytest.raises(CheckpointError, match="codec_weights=FILE"):
        build(checkpoint=tmp_path / "published")
    codec.save_weights(tmp_path / "codec.safetensors")  # type: ignore[attr-defined]
    found = build(checkpoint=tmp_path / "published", codec_weights=str(tmp_path / "codec.safetensors"))
    for name, tensor in codec.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(found.codec.state_dict()[name], tensor)  # type: ignore[attr-defined]
    assert found.provenance["codec_weights"] == "codec.safetensors"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"preset": "small"}, OptionError, "is for untrained=True"),
        ({"untrained": True, "preset": "smal"}, OptionError, "did you mean 'small'"),
        ({"untrained": True, "temprature": 1}, OptionError, "did you mean 'temperature'"),
        ({"untrained": True, "eta": 1.5}, OptionError, "option 'eta' was given 1.5"),
        ({"untrained": True, "checkpoint": "x"}, OptionError, "leave one of them out"),
        ({"untrained": True, "preset": "encodec_48khz"}, CheckpointError, "codec_weights='hub'"),
        ({"checkpoint": "nowhere"}, CheckpointError, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(**options)
