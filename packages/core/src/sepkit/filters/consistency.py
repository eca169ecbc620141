"""Mixture consistency: what the stems leave of the mixture is given back to them, so that they sum to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import torch
from einops import rearrange, reduce
from torch import Tensor

from ..errors import OptionError, nearest
from ..separator import Consistency


def make_consistent(stems: Tensor, mixture: Tensor, how: Consistency) -> Tensor:
    """Stems b s c t changed so that they sum to the mixture b c t to float precision; `none` leaves them alone.

    `uniform` shares what is left equally, `energy` by each stem's share of the energy in its channel, `wiener` filters
    the stems (norbert, one EM step), then shares what that leaves by energy. Writes into neither argument.
    """
    return FILTERS[how](stems, mixture)


def check_consistency(how: str) -> Consistency:
    """`how` itself when it is a known consistency; raises OptionError naming the nearest otherwise."""
    for known in FILTERS:
        if known == how:
            return known
    raise OptionError(f"consistency is {how!r}: {nearest(str(how), FILTERS)}")


def uniform(stems: Tensor, mixture: Tensor) -> Tensor:
    """Stems b s c t plus an equal share each of what they leave of the mixture b c t."""
    left = mixture - total(stems)
    return stems + rearrange(left, "b c t -> b 1 c t") / stems.shape[1]


def energy(stems: Tensor, mixture: Tensor) -> Tensor:
    """Stems b s c t plus a share of what they leave of the mixture b c t, by energy over time per channel."""
    left = rearrange(mixture - total(stems), "b c t -> b 1 c t")
    # In float64: any float32 can be squared there without overflow.
    power = reduce(stems.double().square(), "b s c t -> b s c 1", "sum")
    power_sum = reduce(power, "b s c 1 -> b 1 c 1", "sum")
    equal = torch.full_like(power, 1.0 / stems.shape[1])
    share = torch.where(power_sum > 0, power / power_sum, equal)  # silent stems share equally
    return stems + left * share.to(stems.dtype)


def wiener(stems: Tensor, mixture: Tensor) -> Tensor:
    """Stems b s c t after a multichannel Wiener filter, plus their share by energy of what it leaves."""
    from .wiener import wiener_filter

    return energy(wiener_filter(stems, mixture), mixture)


def total(stems: Tensor) -> Tensor:
    """The sum over stems, b s c t -> b c t, added one by one: elementwise, so bits don't depend on how t was cut."""
    result = stems[:, 0].clone()
    for index in range(1, stems.shape[1]):
        result += stems[:, index]
    return result


def give_rest(stems: Tensor, mixture: Tensor, names: Sequence[str]) -> Tensor:
    """Stems b s c t plus what they leave of the mixture: all of it to `other` when there is one, else equal shares."""
    if "other" not in names:
        return uniform(stems, mixture)
    given = stems.clone()
    given[:, list(names).index("other")] += mixture - total(stems)
    return given


def _unchanged(stems: Tensor, mixture: Tensor) -> Tensor:
    del mixture
    return stems


FILTERS: dict[Consistency, Callable[[Tensor, Tensor], Tensor]] = {
    "none": _unchanged,
    "uniform": uniform,
    "energy": energy,
    "wiener": wiener,
}
assert tuple(FILTERS) == get_args(Consistency)
