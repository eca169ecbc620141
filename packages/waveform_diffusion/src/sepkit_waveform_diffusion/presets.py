"""Named networks: the reference's size, larger and smaller WaveNets, and the U-Net of the shipped weights."""

from __future__ import annotations

from .config import SCHEDULES, ColdModel, UNetConfig, WaveNetConfig

PRESETS: dict[str, ColdModel] = {
    # the published network, 2,304,577 parameters, mono at 22,050 Hz
    "diffwave": ColdModel(),
    "diffwave_large": ColdModel(backbone=WaveNetConfig(channels=128)),
    "diffwave_small": ColdModel(backbone=WaveNetConfig(channels=24, num_layers=20, num_cycles=2, embedding_proj=128)),
    # what the shipped checkpoint is: both channels of a stereo file at once
    "cold_unet": ColdModel(audio_channels=2, backbone=UNetConfig()),
}
DEFAULT_PRESET = "cold_unet"


def preset_model(name: str, schedule: str, target: str) -> ColdModel:
    """A preset's network for another schedule of SCHEDULES and another target stem."""
    return PRESETS[name].model_copy(update={"betas": SCHEDULES[schedule], "targets": (target,)})
