"""Training in latents: from pairs alone, from cached latents, from stems; its checkpoint separates; its loss."""

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

from sepkit.codecs import CodecSettings
from sepkit.errors import OptionError
from sepkit.testing.shares import losses_of_whole_and_shares
from sepkit_latent_diffusion.codec.checkpoints import build_codec, save_codec, settings_of
from sepkit_latent_diffusion.config import LatentConfig
from sepkit_latent_diffusion.loss import Encoding, LatentLoss, LossConfig
from sepkit_latent_diffusion.network import new_network
from sepkit_latent_diffusion.presets import PRESETS
from sepkit_latent_diffusion.separator import build
from sepkit_latent_diffusion.train import TRAIN_PRESETS, TrainConfig, first_network, main, with_codec

CODEC = CodecSettings(
    name="lapped_autoencoder",
    settings={"sample_rate": 8000, "audio_channels": 2, "hop_samples": 32, "kept": (24, 24), "width": 8, "layers": 1},
)
MODEL = LatentConfig.model_validate(
    {
        **PRESETS["tiny"].model_dump(),
        "codec": CODEC.model_dump(),
        "generator": {**PRESETS["tiny"].generator.model_dump(), "widths": (16, 16)},
        "conditioner": {**PRESETS["tiny"].conditioner.model_dump(), "width": 16},
    }
)


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec") / "best"
    save_codec(folder, build_codec(CODEC), licence="MIT", extra={"training": {"step": 3}})
    return folder


def command(source: Path, codec: Path, folder: Path, steps: int, **more: str) -> list[str]:
    settings = {
        "model": MODEL.model_dump_json(),
        "codec": str(codec),
        "data.crop_seconds": 0.25,
        "validation_steps": 4,
        "fit.steps": steps,
        "fit.batch_size": 8,
        "fit.workers": 0,
        "fit.learning_rate": 2e-2,
        "fit.validate_every": steps,
        "fit.ema_decay": 0.9,
        **more,
    }
    line = ["--config", "train_default", "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    line += ["--source", f"folder:{source}", "--valid", f"folder:{source}"]
    return line + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("mode", ["pairs", "latents"])
def test_mixture_and_vocals_are_all_that_is_needed(
    mode: str, pairs: Path, songs: Path, codec_folder: Path, tmp_path: Path
) -> None:
    assert sorted(path.name for path in (pairs / "train/one").iterdir()) == ["mixture.wav", "vocals.wav"]
    assert main(command(pairs, codec_folder, tmp_path, 60, **{"data.mode": mode})) == 0
    found = losses(tmp_path)
    assert np.mean(found[-10:]) < 0.7 * np.mean(found[:10])
    assert (tmp_path / "run/latents").is_dir() == (mode == "latents")
    separator = build(checkpoint=tmp_path / "run/best")
    assert separator.config == MODEL.model_copy(update={"codec": settings_of(build_codec(CODEC))})
    assert torch.isfinite(separator.network.importance).all()
    assert float(separator.network.importance.mean()) == pytest.approx(1.0, rel=1e-3)
    parts = {path.stem: soundfile.read(path)[0].T for path in (songs / "valid/three").glob("*.wav")}
    mixture = torch.from_numpy(sum(parts.values())).float()[None, :, :2048]
    vocals = torch.from_numpy(parts["vocals"]).float()[None, :, :2048]
    with torch.inference_mode():
        for steps in (1, 10):
            stems = separator.separate_windows(mixture, [0], seed=0, settings=separator.settings(steps))
            error = float((stems[:, 0] - vocals).square().sum() / vocals.square().sum())
            assert error < 0.7, steps  # silence has 1, the mixture about 3
    again: TrainConfig = TRAIN_PRESETS["train_default"].model_copy(
        update={"model": MODEL, "initial": str(tmp_path / "run/best"), "codec": str(codec_folder)}
    )
    codec, again, facts = with_codec(again)
    assert facts == {"training": {"step": 3}}
    torch.testing.assert_close(first_network(again, codec).state_dict(), separator.network.state_dict())
    other = again.model_copy(update={"model": MODEL.model_copy(update={"generator": PRESETS["small"].generator})})
    with pytest.raises(OptionError, match="has other networks"):
        first_network(other, codec)


def test_stems_are_remixed_and_a_stopped_run_goes_on(songs: Path, codec_folder: Path, tmp_path: Path) -> None:
    line = command(songs, codec_folder, tmp_path / "whole", 4)
    assert main(line) == 0
    line = command(songs, codec_folder, tmp_path / "parts", 4)
    assert main([*line, "--stop-after", "2"]) == 0
    assert main(line) == 0
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"))


@pytest.mark.parametrize("given", [{}, {"codec": "nowhere"}])
def test_a_codec_comes_first(given: dict[str, Any], pairs: Path, tmp_path: Path, capsys: Any) -> None:
    line = ["--config", "train_default", "--out", str(tmp_path), "--source", f"folder:{pairs}"]
    line += ["--valid", f"folder:{pairs}", *(word for name in given for word in ("--set", f"{name}={given[name]}"))]
    assert main(line) == 1
    wanted = "nowhere is no checkpoint" if given else "codec_train"
    assert wanted in capsys.readouterr().err
    assert main([*line[:1], "train_paper", *line[2:]]) == 1
    assert ("codec_weights" if not given else "nowhere") in capsys.readouterr().err


def test_processes_share_a_batch() -> None:
    config = MODEL.model_copy(update={"condition_dropout": 0.5})
    codec = build_codec(CODEC)
    x = torch.randn(4, 2, 2, 1000, generator=torch.Generator().manual_seed(0))
    batch = {"mixture": x.sum(dim=1), "targets": x[:, :1]}
    loss, network = LatentLoss(Encoding(codec, 1.0), LossConfig()), new_network(config, codec.features, 0)
    for seed in range(3):
        whole, shared = losses_of_whole_and_shares(loss, network, batch, processes=2, seed=seed)
        assert shared == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("emphasis", [0.0, 1.0])
def test_the_loss_is_the_sum_of_both_errors_and_features_count_as_they_are_heard(emphasis: float) -> None:
    config = MODEL.model_copy(update={"targets": ("vocals", "drums")})
    codec = build_codec(CODEC)
    network = new_network(config, codec.features, 0)
    network.importance.copy_(torch.linspace(0.0, 2.0, codec.features))
    x = torch.randn(3, 3, 2, 1000, generator=torch.Generator().manual_seed(0))
    batch = {"mixture": x.sum(dim=1), "targets": x[:, :2]}
    found = {}
    for name, (diffusion, guess) in {"d": (1, 0), "g": (0, 1), "both": (2, 3)}.items():
        torch.manual_seed(1)
        weights = LossConfig(diffusion=diffusion, guess=guess, emphasis=emphasis)
        with torch.no_grad():
            found[name] = float(LatentLoss(Encoding(codec, 1.0), weights)(network, batch))
    assert found["both"] == pytest.approx(2 * found["d"] + 3 * found["g"], rel=1e-5)
    latents = Encoding(codec, 1.0).of(batch)
    guess = network.condition(torch.nn.functional.pad(latents.mixture, (0, -latents.mixture.shape[-1] % 2))).guess
    wanted = torch.nn.functional.pad(latents.targets, (0, -latents.targets.shape[-1] % 2)).flatten(1, 2)
    weight = network.importance.pow(emphasis)
    weight = (weight / weight.mean()).repeat(2)[:, None]
    assert found["g"] == pytest.approx(float((weight * (guess - wanted).square()).mean()), rel=1e-4)
