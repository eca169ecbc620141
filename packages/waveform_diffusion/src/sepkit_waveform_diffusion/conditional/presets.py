"""Named networks: the paper's, one that two CPU cores can run and train, and a tiny one."""

from __future__ import annotations

from .config import AttentionConfig, ConditionalConfig, ConditionerConfig, GeneratorConfig

PRESETS: dict[str, ConditionalConfig] = {
    "paper": ConditionalConfig(),
    # the paper's smaller one, without attention and transformer in the conditioner
    "paper_plain": ConditionalConfig(conditioner=ConditionerConfig(attention=None)),
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
    # everything the paper's networks have, at a size for tests and dry runs
    "tiny": ConditionalConfig(
        sample_rate=8000,
        audio_channels=1,
        factors=(8, 1, 2),
        deepest=2,
        generator=GeneratorConfig(
            entry_width=4,
            widths=(4, 4, 8),
            blocks=(1, 1, 2),
            attention=AttentionConfig(heads=2, head_features=4),
            time_features=8,
            groups=2,
        ),
        conditioner=ConditionerConfig(
            entry_width=4,
            widths=(4, 8, 8),
            attention=AttentionConfig(heads=2, head_features=4),
            layers=1,
            transformer_width=8,
            groups=2,
        ),
        window_seconds=0.25,
    ),
}
DEFAULT_PRESET = "small"
