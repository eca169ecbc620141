"""Training items of a prior: stems of one song or of several, at the level the prior knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from einops import reduce
from pydantic import Field
from torch import Tensor

from sepkit.errors import OptionError
from sepkit.training.equaliser import equalised
from sepkit.training.items import StemData, StemItems

from .config import MsdmConfig

QUIETEST = 1e-4  # RMS of a mixture below which it counts as silent, and is left as quiet as it is


class PriorData(StemData):
    """Where training audio comes from and how it is varied; `jitter_db` is added to the level of each item."""

    crop_seconds: float = Field(default=6.0, gt=0)
    jitter_db: float = Field(default=1.0, ge=0)  # standard deviation


class Items(Protocol):
    """Items without an end, each a function of its index."""

    def __getitem__(self, index: int, /) -> dict[str, Tensor]: ...


class PriorItems(torch.utils.data.Dataset[dict[str, Tensor]]):
    """`stems` s c t whose sum has the prior's RMS, and `embedding` e of that sum where an encoder is given.

    `encode(sound c t, sample_rate)` makes it. Item i is a function of (seed, i) if the encoder is one of its sound.
    """

    def __init__(
        self,
        items: Items,
        config: MsdmConfig,
        *,
        jitter_db: float,
        seed: int,
        encode: Callable[[Tensor, int], Tensor] | None = None,
    ):
        self.items, self.config, self.jitter_db, self.seed, self.encode = items, config, jitter_db, seed, encode
        if (encode is None) != (config.embedding_features is None):
            raise OptionError("An encoder and the model's embedding_features need each other; give both or neither.")

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        found = self.items[index]
        stems = found["stems"]
        if "equaliser_db" in found:
            stems = equalised(stems, found["equaliser_db"], self.config.sample_rate)
        if self.config.level_rms is not None:
            rng = np.random.default_rng([self.seed, index, 2])
            stems = levelled(stems, self.config.level_rms, float(rng.normal(0.0, self.jitter_db)))
        item = {"stems": stems}
        if self.encode is not None:
            item["embedding"] = self.encode(reduce(stems, "s c t -> c t", "sum"), self.config.sample_rate)
        return item


def stem_items(config: MsdmConfig, data: PriorData, seed: int) -> StemItems:
    """The crops that PriorItems brings to one level: `stems` s c t for the prior's stems, in whole latent frames."""
    codec = config.codec.build()
    frames = max(1, round(data.crop_seconds * config.sample_rate / codec.hop_samples))
    return StemItems(
        data,
        stems=config.stems,
        length_samples=frames * codec.hop_samples,
        sample_rate=config.sample_rate,
        channels=codec.audio_channels,
        seed=seed,
    )


def levelled(stems: Tensor, level_rms: float, more_db: float = 0.0) -> Tensor:
    """Stems ... s c t with a common gain under which their sum has that RMS, and `more_db` on top."""
    mixture = reduce(stems, "... s c t -> ... 1 c t", "sum")
    rms = reduce(mixture.square(), "... s c t -> ... s 1 1", "mean").sqrt()
    return stems * (level_rms * 10 ** (more_db / 20) / rms.clamp(min=QUIETEST))
