"""What every separation must keep, whatever went in: the checks that all conformance cases end with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..audio import Audio, Stems

if TYPE_CHECKING:
    from ..separator import SeparatorInfo

TOLERANCE = 1e-5
"""How far apart two signals may lie that should be the same up to rounding, as a fraction of their peak."""


class BrokenPromise(AssertionError):
    """A separator does not do what the contract or its own info says; the message has the numbers."""


class NotApplicable(Exception):
    """A case that says nothing about this separator, and why."""


def require(kept: bool, message: str) -> None:
    """Raise BrokenPromise unless `kept`; unlike `assert` it also works under `python -O`."""
    if not kept:
        raise BrokenPromise(message)


def check_promises(
    info: SeparatorInfo, mixture: Audio, stems: Stems, *, wanted: Sequence[str] | None = None, sums: bool = False
) -> None:
    """Check a separation against its mixture: names, type, format, finite values and the residual's identity.

    `wanted` are the stems that were asked for (None: all). `sums` asks that they sum to the mixture as well.
    """
    require(isinstance(stems, Stems), f"separate returned a {type(stems).__name__}, wanted sepkit.Stems")
    names = tuple(info.stems if wanted is None else wanted)
    require(tuple(stems) == names, f"the stems are named {tuple(stems)}, wanted {names}")
    for name in names:
        check_format(f"stem {name!r}", stems[name], mixture)
    residual = stems.residual
    require(residual is not None, "there is no residual: what the stems leave of the mixture must be given")
    assert residual is not None
    check_format("the residual", residual, mixture)
    total = torch.stack([stems[name].samples.double() for name in names]).sum(dim=0)
    parts = [mixture.samples, *(stems[name].samples for name in names)]
    check_close("stems plus residual", total + residual.samples.double(), "the mixture", mixture.samples, peak_of=parts)
    if sums:
        check_close("the sum of the stems", total, "the mixture", mixture.samples, peak_of=parts)


def check_format(what: str, audio: Audio, mixture: Audio) -> None:
    """Check that an output is finite float32 with exactly the mixture's shape and rate."""
    require(audio.samples.dtype == torch.float32, f"{what} is {audio.samples.dtype}, wanted float32")
    given, wanted = tuple(audio.samples.shape), tuple(mixture.samples.shape)
    require(given == wanted, f"{what} has the shape {given} (c t), wanted {wanted} as the mixture")
    require(
        audio.sample_rate == mixture.sample_rate,
        f"{what} is at {audio.sample_rate} Hz, wanted {mixture.sample_rate} Hz as the mixture",
    )
    bad = (~torch.isfinite(audio.samples)).nonzero()
    require(
        len(bad) == 0, f"{what} holds NaN or infinity, first at (channel, sample) {tuple(bad[:1].flatten().tolist())}"
    )


def check_close(
    what: str, given: Tensor, other: str, wanted: Tensor, *, peak_of: Iterable[Tensor] | None = None
) -> None:
    """Check that two signals agree within TOLERANCE of the peak of both, or of `peak_of`."""
    require(given.shape == wanted.shape, f"{what} has the shape {tuple(given.shape)}, {other} {tuple(wanted.shape)}")
    difference = peak([given.double() - wanted.double()])
    allowed = TOLERANCE * peak((given, wanted) if peak_of is None else peak_of)
    require(
        difference <= allowed,
        f"{what} and {other} differ by up to {difference:.3g}, allowed are {allowed:.3g} ({TOLERANCE:g} of the peak)",
    )


def check_same(what: str, given: Stems, other: str, wanted: Stems, *, exactly: bool) -> None:
    """Check that two separations agree in every stem: bit for bit, or within TOLERANCE of the peak over all stems."""
    require(tuple(given) == tuple(wanted), f"{what} has the stems {tuple(given)}, {other} {tuple(wanted)}")
    everything = [wanted[name].samples for name in wanted]
    for name in wanted:
        one, two = given[name].samples, wanted[name].samples
        if not exactly:
            check_close(f"stem {name!r} {what}", one, other, two, peak_of=everything)
        elif not torch.equal(one, two):
            require(one.shape == two.shape, f"stem {name!r} {what} has {tuple(one.shape)}, {other} {tuple(two.shape)}")
            difference = peak([one.double() - two.double()])
            raise BrokenPromise(
                f"stem {name!r} {what} and {other} differ by up to {difference:.3g}, wanted: not at all"
            )


def differ(given: Stems, other: Stems) -> bool:
    """Whether any sample of any stem differs between two separations."""
    return any(not torch.equal(given[name].samples, other[name].samples) for name in given)


def peak(signals: Iterable[Tensor]) -> float:
    """The largest magnitude in any of the signals; 0 when all are empty."""
    return max((float(signal.detach().abs().max()) for signal in signals if signal.numel()), default=0.0)
