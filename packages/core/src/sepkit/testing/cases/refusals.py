"""What cannot be done is refused by a named error that says so, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...errors import AudioError, OptionError, SepkitError, UnknownNameError
from ..promises import BrokenPromise, NotApplicable, require
from ..subject import Subject
from .case import CaseList

REFUSALS = CaseList()

NONSENSE = "no_such_thing"


@REFUSALS.case
def unknown_stem(subject: Subject) -> None:
    """A stem that the method doesn't have is refused by name."""
    mixture = subject.mixture(subject.some_samples)
    _refused(UnknownNameError, NONSENSE, lambda: subject.separate(mixture, stems=(NONSENSE,)))


@REFUSALS.sweep({"quality": "quality", "consistency": "consistency"})
def unknown(subject: Subject, option: str) -> None:
    """A quality or consistency that doesn't exist is refused by name."""
    mixture = subject.mixture(subject.some_samples)
    given: dict[str, Any] = {option: NONSENSE}
    _refused(OptionError, NONSENSE, lambda: subject.separate(mixture, **given))


@REFUSALS.case
def unknown_option(subject: Subject) -> None:
    """An option that the method doesn't have is refused by name when the method is built."""
    if subject.name is None:
        raise NotApplicable("it was given as an object, so there is no build function to hand an option to")
    from ...registry import get_separator

    name, given = subject.name, {**subject.options, NONSENSE: 1}
    _refused(OptionError, NONSENSE, lambda: get_separator(name, **given))


@REFUSALS.sweep({"nan": float("nan"), "infinity": float("inf")})
def non_finite_input(subject: Subject, value: float) -> None:
    """A mixture with NaN or infinity is refused, for it would poison every window it touches."""
    samples = subject.mixture(subject.some_samples).samples.clone()
    samples[0, subject.some_samples // 3] = value
    _refused(AudioError, "", lambda: subject.separate(samples, sample_rate=subject.info.sample_rate))


@REFUSALS.case
def wrong_input(subject: Subject) -> None:
    """Three axes, whole numbers without a scale and things that are no audio are refused."""
    rate = subject.info.sample_rate
    three_axes: Any = torch.zeros(1, subject.info.channels, 100)
    _refused(AudioError, "", lambda: subject.separate(three_axes, sample_rate=rate))
    whole_numbers: Any = torch.zeros(subject.info.channels, 100, dtype=torch.int16)
    _refused(AudioError, "", lambda: subject.separate(whole_numbers, sample_rate=rate))
    _refused(SepkitError, "", lambda: subject.separate(object()))


def _refused(kind: type[SepkitError], naming: str, attempt: Callable[[], object]) -> None:
    """Check that `attempt` raises `kind` with a message that holds `naming`."""
    try:
        attempt()
    except kind as error:
        require(naming in str(error), f"the error does not name {naming!r}: {error}")
    except Exception as error:
        raise BrokenPromise(f"it raised {type(error).__name__} ({error}), wanted {kind.__name__}") from error
    else:
        raise BrokenPromise(f"nothing was raised, wanted {kind.__name__}")
