"""Training mixture-conditioned diffusion: it learns, its checkpoint separates, silent crops are rare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")
pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from sepkit.errors import OptionError
from sepkit.testing.shares import losses_of_whole_and_shares
from sepkit_waveform_diffusion.conditional.config import ConditionalConfig
from sepkit_waveform_diffusion.conditional.items import STRIDE, SoundingItems
from sepkit_waveform_diffusion.conditional.loss import ConditionalLoss, LossWeights
from sepkit_waveform_diffusion.conditional.network import new_network
from sepkit_waveform_diffusion.conditional.presets import PRESETS
from sepkit_waveform_diffusion.conditional.separator import build
from sepkit_waveform_diffusion.conditional.train import TRAIN_PRESETS, first_network, main

RATE = 8000
MODEL = ConditionalConfig(
    **{
        **PRESETS["tiny"].model_dump(),
        "factors": (1, 2, 2),
        "bands": 16,
        "gated": True,
        "compression": 0.3,
        "level": "mixture",
    }
)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs whose stems lie in bands of their own, so that they can be parted."""
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(5)
    bands = {"bass": (40, 200), "vocals": (400, 1000), "other": (1400, 2000), "drums": (2500, 3900)}
    for name in ("train/one", "train/two", "valid/three"):
        folder = root / name
        folder.mkdir(parents=True)
        for stem, (low, high) in bands.items():
            spectrum = np.fft.rfft(rng.standard_normal((2, 2 * RATE)))
            hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
            x = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)))
            soundfile.write(folder / f"{stem}.wav", (x / np.abs(x).max() * 0.4).T, RATE, subtype="PCM_16")
    return root


def command(songs: Path, folder: Path, steps: int) -> list[str]:
    settings = {
        "model": MODEL.model_dump_json(),
        "data.crop_seconds": 0.25,
        "validation_steps": 4,
        "fit.steps": steps,
        "fit.batch_size": 8,
        "fit.workers": 0,
        "fit.learning_rate": 2e-2,
        "fit.validate_every": steps,
        "fit.ema_decay": 0.9,
    }
    line = ["--config", "train_default", "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    line += ["--source", f"folder:{songs}", "--valid", f"folder:{songs}"]
    return line + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def test_training_learns_and_its_checkpoint_separates(songs: Path, tmp_path: Path) -> None:
    assert main(command(songs, tmp_path, 60)) == 0
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    separator = build(checkpoint=tmp_path / "run/best")
    assert separator.config == MODEL
    parts = {path.stem: soundfile.read(path)[0].T for path in (songs / "valid/three").glob("*.wav")}
    mixture = torch.from_numpy(sum(parts.values())).float()[:, None, :2000]
    vocals = torch.from_numpy(parts["vocals"]).float()[:, None, :2000]
    with torch.inference_mode():
        stems = separator.separate_windows(mixture, [0, 0], seed=0, settings=separator.settings(10))
    error = float((stems[:, 0] - vocals).square().sum() / vocals.square().sum())
    assert error < 0.7  # silence has 1, the mixture about 3
    again = TRAIN_PRESETS["train_default"].model_copy(update={"model": MODEL, "initial": str(tmp_path / "run/best")})
    torch.testing.assert_close(first_network(again).state_dict(), separator.network.state_dict())
    with pytest.raises(OptionError, match="has other networks"):
        first_network(again.model_copy(update={"model": PRESETS["small"]}))


class TwoHalves:
    """Items whose vocals are silent in every second."""

    stems, seed = ("drums", "vocals"), 3

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        stems = torch.ones(2, 1, 4)
        stems[1] *= (index // STRIDE + index) % 2
        return {"stems": stems, "index": torch.tensor(index)}


@pytest.mark.parametrize("keep", [0.0, 0.25, 1.0])
def test_crops_without_the_target_are_kept_by_their_share(keep: float) -> None:
    items = SoundingItems(TwoHalves(), "vocals", keep)  # type: ignore[arg-type]
    found = [items[i] for i in range(0, 800, 2)]  # all of them silent at first
    silent = np.mean([not item["stems"][1].any() for item in found])
    assert silent == pytest.approx(keep, abs=0.08)
    assert all(torch.equal(items[i]["index"], items[i]["index"]) for i in (0, 2, 4))
    assert all(int(items[i]["index"]) == i for i in (1, 3, 5))
    none = SoundingItems(TwoHalves(), "accompaniment", 0.0)  # type: ignore[arg-type]
    assert not none[0]["stems"][1].any()


@pytest.mark.parametrize("kind", [{}, {"targets": ("accompaniment", "drums")}])
def test_the_loss_is_the_sum_of_three_errors_each_by_its_weight(kind: dict[str, Any]) -> None:
    config = ConditionalConfig(**{**MODEL.model_dump(), **kind})
    network, stems = new_network(config, 0), ("vocals", "drums")
    x = torch.randn(3, 2, 1, 500, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, weights in {"d": (1, 0, 0), "l": (0, 1, 0), "r": (0, 0, 1), "all": (2, 3, 4)}.items():
        torch.manual_seed(1)
        diffusion, latent, decoded = weights
        loss = ConditionalLoss(config, LossWeights(diffusion=diffusion, latent=latent, decoded=decoded), stems)
        with torch.no_grad():
            found[name] = float(loss(network, {"stems": x}))
    assert found["all"] == pytest.approx(2 * found["d"] + 3 * found["l"] + 4 * found["r"], rel=1e-5)
    assert min(found.values()) > 0
    mixture, signal = loss.mixture_and_signal(x)
    torch.testing.assert_close(mixture, x.sum(dim=1))
    if kind:
        torch.testing.assert_close(signal[:, 0], x[:, 1])


def test_processes_share_a_batch() -> None:
    loss = ConditionalLoss(MODEL, LossWeights(), ("vocals", "drums"))
    batch = {"stems": 0.3 * torch.randn(4, 2, 1, 500, generator=torch.Generator().manual_seed(0))}
    whole, shared = losses_of_whole_and_shares(loss, new_network(MODEL, 0), batch, processes=2, seed=5)
    assert shared == pytest.approx(whole, rel=1e-5)


def test_targets_that_cannot_be_learnt_are_refused() -> None:
    with pytest.raises(OptionError, match="the target 'guitar' is none of the training stems"):
        ConditionalLoss(MODEL.model_copy(update={"targets": ("guitar",)}), LossWeights(), ("vocals", "drums"))
