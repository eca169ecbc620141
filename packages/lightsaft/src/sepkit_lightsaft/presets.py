"""Named networks: the published ones, and the small one that ships trained."""

from __future__ import annotations

from .config import LightSaftConfig

PRESETS: dict[str, LightSaftConfig] = {
    # The MDX 2021 leaderboard entry (LaSAFT-Net-v1.1 there): 4,159,844 parameters.
    "lightsaft_mdx": LightSaftConfig(
        blocks=9, channels=16, latent_sources=16, key_dim=64, embedding_dim=64, window_frames=256, trim_samples=8192
    ),
    # Its seven-block forerunner, nearest to the paper's "3.8 M": 3,874,324 parameters.
    "lightsaft_7": LightSaftConfig(blocks=7, channels=16, latent_sources=16, key_dim=64, embedding_dim=64),
    # The sizes that the paper prints (L 16, d_k 24): 4,114,532 parameters.
    "lightsaft_paper": LightSaftConfig(blocks=7, channels=24, latent_sources=16, key_dim=24, embedding_dim=32),
    # The reference repository's default: 2,374,236 parameters.
    "lightsaft_default": LightSaftConfig(),
    # The original LaSAFT-Net, small: 8,424,028 parameters.
    "lasaft_default": LightSaftConfig(block="lasaft"),
    # LaSAFT-Net large of 2019 to 2021: 31,541,908 parameters.
    "lasaft_large": LightSaftConfig(block="lasaft", blocks=9, n_fft=4096, embedding_dim=64),
    # The network that ships trained: a gain on the mixture from log magnitudes below 11 kHz, small enough for 2 cores.
    "lightsaft_small": LightSaftConfig(
        blocks=9,
        channels=16,
        tfc_layers=3,
        latent_sources=8,
        control_layers=2,  # the reference's dropout, from the third layer on, slows a short training
        bins=512,
        features="log_magnitude",
        output="masking",
    ),
}
