"""The training command learns with either backbone, and its checkpoint separates and can be begun with again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit.errors import OptionError
from sepkit.testing.shares import losses_of_whole_and_shares
from sepkit_waveform_diffusion.config import SCHEDULES, ColdModel, UNetConfig, WaveNetConfig
from sepkit_waveform_diffusion.loss import ColdLoss, LossWeights
from sepkit_waveform_diffusion.network import new_network
from sepkit_waveform_diffusion.separator import build
from sepkit_waveform_diffusion.train import TRAIN_PRESETS, first_network, main

RATE = 8000
WAVENET = WaveNetConfig(channels=8, num_layers=10, num_cycles=2, embedding_proj=8)
UNET = UNetConfig(n_fft=256, hop_samples=64, widths=(4, 4, 4))


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


def command(preset: str, model: ColdModel, steps: int, songs: Path, folder: Path, *more: str) -> list[str]:
    settings = {
        "model": model.model_dump_json(),
        "data.crop_samples": 2048,
        "fit.steps": steps,
        "fit.batch_size": 4,
        "fit.workers": 0,
        "fit.learning_rate": 1e-2,
        "fit.validate_every": steps,
        "fit.ema_decay": 0.9,
    }
    line = ["--config", preset, "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    line += ["--source", f"folder:{songs}", "--valid", f"folder:{songs}", *more]
    return line + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize(
    ("preset", "backbone", "schedule", "channels", "steps", "most_error"),  # silence has 1, the mixture itself about 3
    [("train_ismir22", WAVENET, "beta_1", 1, 80, 2.2), ("train_default", UNET, "beta_8", 2, 60, 0.6)],
    ids=["wavenet", "unet"],
)
def test_training_learns_and_its_checkpoint_separates(
    preset: str, backbone: Any, schedule: str, channels: int, steps: int, most_error: float, songs: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    model = ColdModel(
        sample_rate=RATE, backbone=backbone, betas=SCHEDULES[schedule], targets=("vocals",), audio_channels=channels
    )
    assert main(command(preset, model, steps, songs, tmp_path)) == 0
    scores = [row for row in map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines()) if "scores" in row]
    separator = build(checkpoint=tmp_path / "run/best")
    parts = {path.stem: soundfile.read(path)[0].T for path in (songs / "valid/three").glob("*.wav")}
    mixture = torch.from_numpy(sum(parts.values())).float().reshape(-1, channels, 2 * RATE)
    vocals = torch.from_numpy(parts["vocals"]).float().reshape(mixture.shape)
    settings = separator.settings("balanced")
    with torch.inference_mode():
        stems = separator.separate_windows(mixture, [0] * len(mixture), seed=0, settings=settings)
    error = float((stems[:, 0] - vocals).square().sum() / vocals.square().sum())
    assert error < most_error
    sdr = -10 * np.log10(error)
    assert scores[-1]["scores"]["sdr_mdx/vocals"] == pytest.approx(sdr, abs=0.2)  # half precision in the checkpoint


def test_a_run_may_begin_with_the_weights_of_another_schedule(songs: Path, tmp_path: Path) -> None:
    model = ColdModel(sample_rate=RATE, backbone=UNET, betas=SCHEDULES["beta_1"])
    assert main(command("train_default", model, 2, songs, tmp_path)) == 0
    config = TRAIN_PRESETS["train_default"].model_copy(
        update={
            "model": model.model_copy(update={"betas": SCHEDULES["beta_20"]}),
            "initial": str(tmp_path / "run/best"),
        }
    )
    found = first_network(config).state_dict()["backbone.entry.weight"]
    torch.testing.assert_close(found, build(checkpoint=tmp_path / "run/best").networks[0].backbone.entry.weight)  # type: ignore[union-attr]
    other = config.model_copy(update={"model": model.model_copy(update={"backbone": WAVENET})})
    with pytest.raises(OptionError, match="has another backbone"):
        first_network(other)


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize("targets", [("vocals",), ("accompaniment",), ("vocals", "drums")])
def test_a_unet_s_losses_on_spectra_are_those_on_waveforms(targets: tuple[str, ...], conditioned: bool) -> None:
    model = ColdModel(backbone=UNET, targets=targets, audio_channels=2, conditioned=conditioned)
    stems = ("vocals", "drums", "bass", "other")
    network = new_network(model, 0).eval()
    x = 0.3 * torch.randn(3, 4, 2, 16_384, generator=torch.Generator().manual_seed(0))
    for weights in (LossWeights(l2=1.0), LossWeights(relative=1.0)):
        losses = []
        for given in (model, model.model_copy(update={"backbone": WAVENET})):  # the latter takes the waveform's path
            torch.manual_seed(3)
            with torch.no_grad():
                losses.append(float(ColdLoss(given, weights, stems)(network, {"stems": x})))
        assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("backbone", [UNET, WAVENET], ids=["unet", "wavenet"])
def test_processes_share_a_batch(backbone: UNetConfig | WaveNetConfig) -> None:
    model = ColdModel(backbone=backbone)
    loss = ColdLoss(model, LossWeights(l1=1.0, relative=1.0), ("vocals", "drums"))
    batch = {"stems": 0.3 * torch.randn(4, 2, 1, 4096, generator=torch.Generator().manual_seed(0))}
    whole, shared = losses_of_whole_and_shares(loss, new_network(model, 0).eval(), batch, processes=2, seed=5)
    assert shared == pytest.approx(whole, rel=1e-5)


def test_targets_that_cannot_be_learnt_are_refused() -> None:
    with pytest.raises(OptionError, match="the target 'guitar' is none of the training stems"):
        ColdLoss(ColdModel(targets=("guitar",)), LossWeights(l1=1.0), ("vocals", "drums"))
    with pytest.raises(OptionError, match="only the U-Net has"):
        ColdLoss(ColdModel(), LossWeights(cross_entropy=1.0), ("vocals", "drums"))
