"""Averages over several samples of a posterior: a better estimate than any of them, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from sepkit.errors import OptionError


class Average(NamedTuple):
    """The mean of so many `samples` and, coefficient by coefficient, their standard deviation."""

    mean: Tensor
    spread: Tensor
    samples: int


def average(samples: Iterable[Tensor]) -> Average:
    """Mean and spread of samples of one shape, such as the rows of k b s ...; one at a time is in memory.

    Independent samples have twice the squared error of the posterior's mean, and the mean of K of them 1 + 1/K times
    it. `spread` is the square root of the unbiased variance, and 0 for a single sample. Raises OptionError for none.
    """
    mean = squares = None
    count = 0
    for count, sample in enumerate(samples, start=1):
        if mean is None or squares is None:
            mean, squares = sample, torch.zeros_like(sample)
            continue
        before = sample - mean
        mean = mean + before / count  # Welford 1962: sums of squares would cancel in float32
        squares = squares + before * (sample - mean)
    if mean is None or squares is None:
        raise OptionError("An average of no samples was asked for; draw 1 or more.")
    return Average(mean, (squares / max(count - 1, 1)).sqrt(), count)
