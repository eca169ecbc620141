"""The study of codecs under noise runs through, goes on where it stopped, and adds noise of the level that it says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("sepkit_latent_diffusion", reason="the study is of its codecs")

from benchmarks import codec_robustness
from benchmarks.codec_robustness import QUICK_LEVELS_DB, Sounds, at_level, disturbed
from benchmarks.codec_robustness_page import between, last_level_db, markdown, score
from sepkit.codecs import CodecSettings, Lapped
from sepkit.diffusion import HalfCircle
from sepkit_latent_diffusion.codec.checkpoints import build_codec, save_codec


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = CodecSettings(
        name="lapped_autoencoder",
        settings={"sample_rate": 8000, "audio_channels": 1, "hop_samples": 64, "kept": (32,), "width": 4, "layers": 1},
    )
    save_codec(tmp_path / "codec", build_codec(model), licence="MIT", extra={})
    return tmp_path / "codec"


def test_quick_runs_and_goes_on(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--quick", "--codec", str(checkpoint), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert codec_robustness.main(given) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    labels = [codec["label"] for codec in report["codecs"]]
    assert labels == ["waveform", "lapped", "lapped_autoencoder"]
    for codec in report["codecs"]:
        [rows] = codec["results"].values()
        assert len(rows) == 1 + 2 * 2 * len(QUICK_LEVELS_DB)
    waveform, lapped, own = report["codecs"]
    for level in QUICK_LEVELS_DB:
        # the waveform's scores are the levels themselves; an orthonormal transform takes noise in the sound alike
        assert score(waveform, "sdr_mdx", "latents", "gaussian", level) == pytest.approx(level, abs=0.01)
        assert score(waveform, "sdr_mdx", "audio", "interference", level) == pytest.approx(level, abs=0.01)
        assert score(lapped, "sdr_mdx", "audio", "gaussian", level) == pytest.approx(level, abs=0.01)
    assert score(own, "si_sdr", "none", "none", None) < 60  # it keeps half of the bands
    page = (tmp_path / "out.md").read_text()
    assert "mean little" in page
    assert "T = 20: 22.1 dB" in page
    assert "<svg" in (tmp_path / "out.svg").read_text()
    monkeypatch.setattr(codec_robustness, "measured", lambda *given: pytest.fail("measured again"))
    assert codec_robustness.main(given) == 0
    assert (tmp_path / "out.md").read_text() == page == markdown(report)


def test_noise_in_latents_has_the_level_in_the_diffusion_s_unit() -> None:
    x = torch.randn(2, 1, 2, 4096, generator=torch.Generator().manual_seed(0))
    codec = Lapped(sample_rate=8000, hop_samples=64, audio_channels=2, scales=tuple(range(1, 65)))
    sounds = Sounds(x[0], x[1])
    z = codec.encode(sounds.vocals)
    sizes = torch.cat([z, codec.encode(x.sum(dim=0))]).square().mean(dim=(0, 2)).sqrt()[:, None]
    for place, _, level, found in disturbed(codec, sounds, seed=0):
        if place == "latents":
            assert level is not None
            noise = (codec.encode(found) - z) / sizes
            assert 10 * math.log10((z / sizes).square().sum() / noise.square().sum()) == pytest.approx(level, abs=0.01)
    assert float(at_level(x[1], x[0], 0.0).square().sum()) == pytest.approx(float(x[0].square().sum()), rel=1e-5)


def test_the_last_step_begins_at_the_schedule_s_last_level_but_one() -> None:
    for steps in (10, 20, 50):
        level = HalfCircle().levels(steps)[-2]
        assert last_level_db(steps) == pytest.approx(20 * math.log10(float(level.alpha) / float(level.sigma)))
    known = [(0.0, 1.0), (10.0, 3.0), (20.0, 4.0)]
    assert [between(known, place) for place in (-5, 0, 5, 15, 30)] == [1.0, 1.0, 2.0, 3.5, 4.0]


def test_a_codec_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--quick", "--codec", str(tmp_path / "none"), "--runs", str(tmp_path), "--out", str(tmp_path / "x")]
    assert codec_robustness.main(given) == 1
    assert "is no checkpoint" in capsys.readouterr().err
