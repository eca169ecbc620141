"""The training command learns, resumes bit for bit, and leaves a checkpoint that separates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from safetensors.numpy import load_file

from sepkit import get_separator
from sepkit.errors import OptionError
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.separator import new_network
from sepkit_lightsaft.train import TRAIN_PRESETS, main, train, write_checkpoint

NETWORK = {
    "n_fft": 256, "hop_samples": 128, "window_frames": 32, "trim_samples": 0, "blocks": 3, "channels": 4,
    "tfc_layers": 1, "latent_sources": 2, "embedding_dim": 8, "key_dim": 4,
    "features": "log_magnitude", "output": "masking",
}  # fmt: skip


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs for training and one for validation: each stem is a band of its own, so a mask can part them."""
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(5)
    bands = {"bass": (40, 200), "vocals": (400, 1500), "other": (2000, 5000), "drums": (7000, 15000)}
    for name in ("train/one", "train/two", "valid/three"):
        folder = root / name
        folder.mkdir(parents=True)
        for stem, (low, high) in bands.items():
            spectrum = np.fft.rfft(rng.standard_normal((2, 3 * 44100)))
            hertz = np.fft.rfftfreq(3 * 44100, 1 / 44100)
            x = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)))
            soundfile.write(folder / f"{stem}.wav", (x / np.abs(x).max() * 0.4).T, 44100, subtype="PCM_16")
    return root


def words(songs: Path, out: Path, tmp_path: Path, steps: int, *more: str) -> list[str]:
    config = {
        "network": NETWORK,
        "data": {"sources": [], "frames": 32, "gain_db": [-3, 3], "speed": [0.95, 1.05]},
        "fit": {
            "steps": steps,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "save_every": 4,
            "validate_every": steps,
            "metric": "sdr_mdx",
            "workers": 0,
        },
        "licence": "CC0-1.0",
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    line = ["--config", str(path), "--out", str(out), "--cache", str(tmp_path / "cache")]
    return [*line, "--source", f"folder:{songs}", "--valid", f"folder:{songs}", *more]


def test_training_learns_and_its_checkpoint_separates(songs: Path, tmp_path: Path) -> None:
    assert main(words(songs, tmp_path / "run", tmp_path, 80)) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 1.0  # dB
    separator = get_separator("lightsaft", checkpoint=tmp_path / "run" / "best")
    stems = separator.separate(songs / "valid" / "three" / "drums.wav")
    assert tuple(stems) == ("vocals", "drums", "bass", "other")
    assert stems["drums"].samples.square().sum() > stems["bass"].samples.square().sum()


def test_resumed_command_equals_uninterrupted_command(songs: Path, tmp_path: Path) -> None:
    assert main(words(songs, tmp_path / "whole", tmp_path, 10)) == 0
    assert main(words(songs, tmp_path / "parts", tmp_path, 10, "--stop-after", "6")) == 0
    line = [sys.executable, "-m", "sepkit_lightsaft.train", *words(songs, tmp_path / "parts", tmp_path, 10)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=280)  # as it is typed
    assert done.returncode == 0, done.stderr
    whole, parts = (load_file(tmp_path / run / "state" / "network.safetensors") for run in ("whole", "parts"))
    assert all(np.array_equal(value, parts[name]) for name, value in whole.items())


def test_unknown_preset_and_empty_data_are_named(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", "train_defualt", "--out", str(tmp_path / "x")]) == 1
    assert "did you mean 'train_default'" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    data = ["--source", f"folder:{empty}", "--valid", f"folder:{songs}"]
    assert main(["--config", "train_default", "--out", str(tmp_path / "x"), *data]) == 1
    told = capsys.readouterr().err
    assert str(empty) in told
    assert "Traceback" not in told


def test_a_run_that_could_never_choose_a_checkpoint_is_refused_at_once(tmp_path: Path) -> None:
    silent = TRAIN_PRESETS["train_default"]
    with pytest.raises(OptionError, match="--valid"):
        train(silent, tmp_path / "run")
    heard = silent.model_copy(update={"validation": ("demo",)})
    wrong = heard.model_copy(update={"fit": heard.fit.model_copy(update={"metric": "sdr_mdx/vocal"})})
    with pytest.raises(OptionError, match="did you mean 'sdr_mdx/vocals'"):
        train(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "fti.steps=3"], "did you mean 'fit'"),
        (["--set", "fit.stesp=3"], "stesp"),
        (["--set", "fit.steps"], "no value"),
        (["--config", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_malformed_settings_are_named(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "train_default", "--out", "unused", *given]) == 1
    assert message in capsys.readouterr().err


def test_short_windows_make_a_checkpoint_that_loads(tmp_path: Path) -> None:
    network = LightSaftConfig(**{**NETWORK, "trim_samples": 2048})  # twice that is more than a window
    config = TRAIN_PRESETS["train_default"].model_copy(update={"network": network})
    write_checkpoint(tmp_path / "best", new_network(network, 0), config, {"step": 1})
    with get_separator("lightsaft", checkpoint=tmp_path / "best", device="cpu") as separator:
        assert separator.info.overlap_samples == network.window_samples // 2
