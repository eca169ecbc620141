"""Named networks: the paper's, and one that two CPU cores can run and train."""

from __future__ import annotations

from .config import AttentionConfig, ConditionalConfig, ConditionerConfig, GeneratorConfig

PRESETS: dict[str, ConditionalConfig] = {
    "paper": ConditionalConfig(),
    "small": ConditionalConfig(
        sample_rate=22_050,
        bands=256,
        factors=(1, 2, 2),
        deepest=3,
        generator=GeneratorConfig(
            entry_width=128,
            widths=(128, 128, 192),
            blocks=(1, 1, 1),
            attention=AttentionConfig(heads=2, head_features=32),
            time_features=128,
        ),
        conditioner=ConditionerConfig(
            entry_width=192,
            widths=(192, 192, 256),
            attention=AttentionConfig(heads=2, head_features=32),
            layers=2,
            transformer_width=128,
        ),
        gated=True,
        compression=0.3,
        level="mixture",
    ),
}
DEFAULT_PRESET = "small"
