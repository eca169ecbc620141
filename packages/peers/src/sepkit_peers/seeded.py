"""The global random generators, lent to code that draws from them and given back as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_globals(seed: int = 0) -> Iterator[None]:
    """Inside, python's, numpy's and torch's generators start from `seed`; outside, nobody sees that they moved."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
