"""Named networks: one for CPUs in the package's own codec, ones in the published codecs, and tiny ones."""

from __future__ import annotations

from sepkit.codecs import CodecSettings

from .config import AttentionConfig, ConditionerConfig, GeneratorConfig, LatentConfig

_PAPER_GENERATOR = GeneratorConfig(
    widths=(256, 512, 512, 1024),
    factors=(1, 2, 2, 2),
    blocks=(2, 2, 2, 2),
    attended=3,
    attention=AttentionConfig(heads=8, head_features=64),
    fourier_features=1024,
    time_features=256,
)
# the mixture goes straight to every level, and nothing guesses
_PAPER_CONDITIONER = ConditionerConfig(width=256, dilations=(), guess=False, compression=1.0)

_TINY_GENERATOR = GeneratorConfig(
    widths=(8, 8),
    factors=(1, 2),
    blocks=(1, 1),
    attended=1,
    attention=AttentionConfig(heads=2, head_features=4),
    fourier_features=4,
    time_features=8,
    groups=2,
)
_TINY_CONDITIONER = ConditionerConfig(width=8, dilations=(1, 2), groups=2)

PRESETS: dict[str, LatentConfig] = {
    "small": LatentConfig(),
    # the paper's codecs and conditioning; its sizes are not known
    "encodec_24khz": LatentConfig(
        codec=CodecSettings(name="encodec_24khz"),
        generator=_PAPER_GENERATOR,
        conditioner=_PAPER_CONDITIONER,
        level_rms=0.1,
    ),
    "encodec_48khz": LatentConfig(
        codec=CodecSettings(name="encodec_48khz"),
        generator=_PAPER_GENERATOR,
        conditioner=_PAPER_CONDITIONER,
        level_rms=None,  # the codec brings segments to one level itself
    ),
    # everything the networks have, at a size for tests and dry runs
    "tiny": LatentConfig(
        codec=CodecSettings(
            name="lapped_autoencoder",
            settings={
                "sample_rate": 8000, "audio_channels": 1, "hop_samples": 32, "kept": (12,), "width": 8, "layers": 1,
            },
        ),
        generator=_TINY_GENERATOR,
        conditioner=_TINY_CONDITIONER,
        window_seconds=0.25,
    ),
    "tiny_seanet": LatentConfig(
        codec=CodecSettings(
            name="seanet",
            settings={
                "sample_rate": 8000, "dimension": 8, "n_filters": 2, "ratios": (4, 4), "lstm_layers": 1,
            },
        ),
        generator=_TINY_GENERATOR,
        conditioner=ConditionerConfig(width=8, dilations=(), groups=2, guess=False, compression=1.0),
        condition_dropout=0.1,
        window_seconds=0.25,
    ),
}  # fmt: skip
DEFAULT_PRESET = "small"
