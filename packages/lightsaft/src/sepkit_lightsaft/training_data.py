"""Training items of LightSAFT: crops of stems as long as a number of STFT frames."""

from __future__ import annotations

from pydantic import Field

from sepkit.training.items import StemData, StemItems

__all__ = ["DataConfig", "StemItems"]


class DataConfig(StemData):
    """Where training audio comes from and how it is varied. Defaults: the paper's incoherent remix and nothing else."""

    frames: int = Field(default=128, ge=2)  # STFT frames of a crop
