"""Training the codec: what its losses measure, that a critic and a codec each follow their own, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit.codecs import CodecSettings
from sepkit_latent_diffusion.codec.checkpoints import build_codec, load_codec, settings_of
from sepkit_latent_diffusion.codec.critic import CriticConfig, new_critic, verdict
from sepkit_latent_diffusion.codec.spectral_loss import BEST_RATIO, distances
from sepkit_latent_diffusion.codec_train import main

LAPPED = CodecSettings(
    name="lapped_autoencoder",
    settings={"sample_rate": 8000, "audio_channels": 1, "hop_samples": 32, "kept": (8,), "width": 8, "layers": 1},
)
SEANET = CodecSettings(
    name="seanet",
    settings={"sample_rate": 8000, "dimension": 8, "n_filters": 2, "ratios": (4, 4), "lstm_layers": 0, "causal": False},
)


def test_distances_are_what_they_say() -> None:
    x = torch.randn(2, 1, 3000, generator=torch.Generator().manual_seed(0))
    same = distances(x, x, (256, 512))
    torch.testing.assert_close(same.waveform, torch.full((2,), float(np.log10(BEST_RATIO))))
    assert not same.spectrogram.any()
    half = distances(x, 0.5 * x, (256, 512))
    torch.testing.assert_close(half.waveform, torch.full((2,), float(np.log10(0.25))), atol=2e-3, rtol=0)
    # a convergence of 1/2, and logarithms that are ln 2 apart
    torch.testing.assert_close(half.spectrogram, torch.full((2,), 0.5 + float(np.log(2))), atol=1e-3, rtol=0)
    inverted = distances(x, -x, (256,))
    assert not inverted.spectrogram.any()
    silent = distances(0 * x, 0.1 * x, (256, 4096))
    assert torch.isfinite(torch.stack(silent)).all()
    assert silent.spectrogram.max() < 20  # what should be silent counts, but not beyond all measure


def test_codec_and_critic_each_follow_their_own_part() -> None:
    config = CriticConfig(adversarial=1.0, matching=1.0, filters=2, sizes=(128, 256))
    critic = new_critic(config, 1, seed=0)
    x = torch.randn(2, 1, 1000, generator=torch.Generator().manual_seed(0))
    y = (0.5 * x).requires_grad_()
    weights = list(critic.parameters())

    def moved(value: torch.Tensor) -> tuple[bool, bool]:
        found = torch.autograd.grad(value, [y, *weights], retain_graph=True, allow_unused=True)
        return tuple(any(g is not None and bool(g.any()) for g in part) for part in (found[:1], found[1:]))  # type: ignore[return-value]

    heard = verdict(critic, x, y)
    assert moved(heard.adversarial) == (True, False)
    assert moved(heard.matching) == (True, False)
    assert moved(heard.critic) == (False, True)
    assert not verdict(critic, x, x).matching.any()


@pytest.mark.parametrize(("model", "critic"), [(LAPPED, 0.0), (SEANET, 0.1)], ids=["lapped", "seanet with a critic"])
def test_training_learns_from_pairs_and_its_checkpoint_decodes(
    model: CodecSettings, critic: float, pairs: Path, tmp_path: Path
) -> None:
    steps = 30
    settings = {
        "model": model.model_dump_json(),
        "data.mode": "pairs",
        "data.crop_seconds": 0.25,
        "loss.sizes": "[256, 64]",
        "critic": CriticConfig(adversarial=critic, filters=2, sizes=(128,)).model_dump_json(),
        "fit.steps": steps,
        "fit.batch_size": 6,
        "fit.learning_rate": 1e-2,
        "fit.ema_decay": 0.8,
        "fit.validate_every": steps // 2,
    }
    line = ["--config", "train_default", "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    line += ["--source", f"folder:{pairs}", "--valid", f"folder:{pairs}"]
    assert main(line + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05
    scores = next(row["scores"] for row in rows if "scores" in row)
    assert {"sdr/vocals", "sdr/mixture", "spectrogram/vocals", "minus_loss"} <= set(scores)
    codec, found, extra = load_codec(tmp_path / "run/best")
    assert (found, codec.sample_rate) == (settings_of(build_codec(model)), 8000)
    assert extra["training"]["step"] in (steps // 2, steps)
    x = torch.randn(1, 1, 777, generator=torch.Generator().manual_seed(0))
    assert codec.decode(codec.encode(x), 777).shape == x.shape


def test_what_cannot_be_trained_is_refused(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--config", "train_default", "--out", str(tmp_path / "run"), "--source", f"folder:{pairs}"]
    assert main(line) == 1
    assert "No validation data" in capsys.readouterr().err
    assert main([*line, "--valid", f"folder:{pairs}", "--set", 'model={"name": "lapped"}']) == 1
    assert "which has nothing to train" in capsys.readouterr().err
    assert main([*line, "--valid", f"folder:{pairs}", "--set", "data.mode=latents"]) == 1
    assert "before there is a codec" in capsys.readouterr().err
