"""The training command learns a prior that separates, and its checkpoint is calibrated and can be begun with again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit.checkpoint import load_checkpoint
from sepkit.codecs import CodecSettings
from sepkit.errors import OptionError
from sepkit_msdm_posterior.config import BandUNetConfig, MsdmConfig
from sepkit_msdm_posterior.separator import CONFIG_VERSION, NAME, build_projected
from sepkit_msdm_posterior.train import TRAIN_PRESETS, main, train
from sepkit_msdm_posterior.validation import METRIC

RATE = 8000
MODEL = MsdmConfig(
    sample_rate=RATE,
    codec=CodecSettings(name="lapped", settings={"sample_rate": RATE, "hop_samples": 64}),
    network=BandUNetConfig(patch=4, widths=(6, 8), embedding_size=16),
    window_seconds=2.0,
)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs whose stems lie in bands of their own, and overlap a little, so that they can be parted."""
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(5)
    bands = {"bass": (40, 300), "guitar": (250, 1000), "piano": (900, 2000), "drums": (1900, 3900)}
    for name in ("train/one", "train/two", "valid/three"):
        folder = root / name
        folder.mkdir(parents=True)
        for stem, (low, high) in bands.items():
            spectrum = np.fft.rfft(rng.standard_normal(6 * RATE))
            hertz = np.fft.rfftfreq(6 * RATE, 1 / RATE)
            x = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)))
            soundfile.write(folder / f"{stem}.wav", x / np.abs(x).max() * 0.4, RATE, subtype="PCM_16")
    return root


def command(songs: Path, folder: Path, model: MsdmConfig, steps: int, *more: str) -> list[str]:
    settings = {
        "model": model.model_dump_json(),
        "data.crop_seconds": 0.5,
        "fit.steps": steps,
        "fit.batch_size": 4,
        "fit.workers": 0,
        "fit.learning_rate": 1e-2,
        "fit.validate_every": steps,
        "fit.ema_decay": 0.9,
        "validation_calls": 6,
        "validation_seconds": 4,
    }
    line = ["--config", "train_default", "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    line += ["--source", f"folder:{songs}", "--valid", f"folder:{songs}", *more]
    return line + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def test_training_learns_and_its_checkpoint_separates(songs: Path, tmp_path: Path) -> None:
    assert main(command(songs, tmp_path, MODEL, 40)) == 0
    scores = [row for row in map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines()) if "scores" in row]
    assert scores[-1]["scores"][METRIC] > 3
    found = load_checkpoint(
        tmp_path / "run/best", separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION
    )
    assert found.config.codec.settings["scales"]
    table = found.config.calibration
    assert table is not None
    assert (table(0.01)[:, 2:6].mean(dim=1) < table(3.0).max(dim=1).values).all()
    parts = {path.stem: soundfile.read(path)[0] for path in (songs / "valid/three").glob("*.wav")}
    stems = torch.from_numpy(np.stack([parts[stem] for stem in MODEL.stems])).float()[:, None]
    for weights in ("empirical", "calibrated"):
        separator = build_projected(checkpoint=tmp_path / "run/best", steps=6, weights=weights)
        with torch.inference_mode():
            mixture = stems.sum(dim=0)[None, :, : 2 * RATE]
            estimates = separator.separate_windows(mixture, [0], seed=0, settings=separator.settings("balanced"))[0]
        error = estimates - stems[..., : 2 * RATE]
        nothing_done = mixture[0] - stems[..., : 2 * RATE]
        gained = 10 * torch.log10(nothing_done.square().sum((1, 2)) / error.square().sum((1, 2)))
        assert float(gained.min()) > 1, weights
        assert float(gained.mean()) > 4, weights
    config = TRAIN_PRESETS["train_default"].model_copy(update={"model": MODEL, "initial": str(tmp_path / "run/best")})
    from sepkit_msdm_posterior.train import first_network

    weight = first_network(config).state_dict()["backbones.0.entry.weight"]
    assert torch.equal(weight, found.state["backbones.0.entry.weight"])


def test_a_prompted_independent_prior_trains_and_resumes(songs: Path, tmp_path: Path) -> None:
    model = MODEL.model_copy(update={"independent": True, "embedding_features": 8})
    line = command(songs, tmp_path, model, 4, "--set", "encoder=band_levels")
    assert main([*line, "--stop-after", "2"]) == 0
    assert main(line) == 0
    whole = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[3])["loss"]
    again = command(songs, tmp_path / "again", model, 4, "--set", "encoder=band_levels")
    assert main(again) == 0
    assert json.loads((tmp_path / "again/run/log.jsonl").read_text().splitlines()[3])["loss"] == whole
    found = load_checkpoint(
        tmp_path / "run/best", separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION
    )
    assert found.config.independent
    assert found.extra["training"]["config"]["encoder"] == "band_levels"
    plain = build_projected(checkpoint=tmp_path / "run/best")
    told = build_projected(checkpoint=tmp_path / "run/best", prompt=str(songs / "valid/three/bass.wav"))
    x = torch.randn(1, 1, 1600, generator=torch.Generator().manual_seed(0))
    stems = [one.separate_windows(x, [0], seed=0, settings=one.settings(2)) for one in (plain, told)]
    assert not torch.equal(*stems)
    assert told.provenance["encoder"] == "band_levels"
    with pytest.raises(OptionError, match="takes sound only"):
        build_projected(checkpoint=tmp_path / "run/best", prompt="a slow waltz")


def test_a_prompt_for_a_prior_without_encoder_is_refused() -> None:
    with pytest.raises(OptionError, match="trained without an encoder"):
        build_projected(prompt="a slow waltz")  # the shipped one


def test_runs_that_could_choose_nothing_are_refused(songs: Path, tmp_path: Path) -> None:
    config = TRAIN_PRESETS["train_default"].model_copy(update={"model": MODEL})
    with pytest.raises(OptionError, match="add for example --valid"):
        train(config, tmp_path / "run")
    wrong = config.model_copy(
        update={"validation": (f"folder:{songs}",), "fit": config.fit.model_copy(update={"metric": "sdr_mdx"})}
    )
    with pytest.raises(OptionError, match=r"fit\.metric is 'sdr_mdx'"):
        train(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()
