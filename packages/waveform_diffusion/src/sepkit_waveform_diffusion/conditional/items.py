"""Training items of which most have the target in them: the paper drops 95 % of the crops where it is silent."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from sepkit.data.crops import SILENCE
from sepkit.training.items import StemItems

TRIES = 8
STRIDE = 2**34
"""Between an item and what takes its place; beyond the items of any run, so that no place is used twice."""


class SoundingItems(Dataset[dict[str, Tensor]]):
    """`items`, where an item without the stem `target` is kept by the chance `keep_silent`, else another is drawn.

    Item i is a function of (seed, i) alone. A target that no try finds, or that is none of the stems, stays as it is.
    """

    def __init__(self, items: StemItems, target: str, keep_silent: float):
        self.items, self.keep_silent = items, keep_silent
        self.place = items.stems.index(target) if target in items.stems else None

    def __len__(self) -> int:
        return STRIDE

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = self.items[index]
        if self.place is None or self.keep_silent >= 1:
            return item
        for attempt in range(1, TRIES):
            if item["stems"][self.place].abs().max() > SILENCE:
                break
            if np.random.default_rng([self.items.seed, index, attempt, 2]).random() < self.keep_silent:
                break
            item = self.items[index + attempt * STRIDE]
        return item
