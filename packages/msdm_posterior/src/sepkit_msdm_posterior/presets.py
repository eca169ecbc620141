"""Named priors: the published one as near as two versions of its library come to it, and one for two CPU cores."""

from __future__ import annotations

from typing import Any

from sepkit.codecs import CodecSettings
from sepkit.diffusion import Karras

from .config import AdpConfig, BandUNetConfig, LegacyConfig, MsdmConfig

# Everything of the published models but the network: waveforms as they are, windows of 262144 samples (11.9 s).
PUBLISHED: dict[str, Any] = {
    "codec": CodecSettings(name="waveform", settings={"sample_rate": 22_050}),
    "head": "edm",
    "sigma_data": 0.2,
    "clamp": 1.0,
    "level_rms": None,
    "window_seconds": 262_144 / 22_050,
    "separation": Karras(sigma_min=1e-4, sigma_max=1.0, rho=7.0),
    "generation": Karras(sigma_min=1e-4, sigma_max=20.0, rho=7.0),
}

PRESETS: dict[str, MsdmConfig] = {
    # the published network in the layout of its own library version, 405,497,700 parameters: what the importer fills
    "msdm_published": MsdmConfig(network=LegacyConfig(), **PUBLISHED),
    # its widths, factors, blocks and attention in today's version of the library
    "msdm_paper": MsdmConfig(
        network=AdpConfig(
            channels=(256, 512, 1024, 1024, 1024, 1024, 1024),
            factors=(16, 4, 4, 4, 2, 2, 2),
            items=(1, 2, 2, 2, 2, 2, 2),
            attentions=(0, 0, 0, 0, 1, 1, 1),
            attention_heads=8,
            attention_features=128,
        ),
        **PUBLISHED,
    ),
    # what the shipped checkpoint is
    "small": MsdmConfig(
        network=BandUNetConfig(patch=4, widths=(12, 24, 48, 64)),
        sees_sum=True,
        finish="means",
        separation=Karras(sigma_min=0.1, sigma_max=5.0, rho=7.0),
    ),
    # for tests
    "tiny": MsdmConfig(
        sample_rate=8000,
        codec=CodecSettings(name="lapped", settings={"sample_rate": 8000, "hop_samples": 64}),
        network=BandUNetConfig(patch=4, widths=(4, 6), embedding_size=8),
        window_seconds=1.0,
    ),
    "tiny_waveform": MsdmConfig(
        sample_rate=8000,
        codec=CodecSettings(name="waveform", settings={"sample_rate": 8000}),
        network=AdpConfig(
            channels=(8, 8), factors=(8, 4), items=(1, 1), resnet_groups=4, modulation_features=16, attention_features=4
        ),
        **{name: value for name, value in PUBLISHED.items() if name not in ("codec", "window_seconds")},
        window_seconds=1.0,
    ),
}
DEFAULT_PRESET = "small"
