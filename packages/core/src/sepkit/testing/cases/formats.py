"""Any audio in, the same format out: lengths, levels, rates, channels and kinds of input."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ...audio import Audio
from .. import signals
from ..promises import check_promises, check_same
from ..subject import Subject
from .case import CaseList

FORMATS = CaseList()

LENGTHS: dict[str, Callable[[Subject], int]] = {
    "empty": lambda subject: 0,
    "1": lambda subject: 1,
    "2": lambda subject: 2,
    "small_prime": lambda subject: 127,
    "prime": lambda subject: 7919,
    "hop_less_1": lambda subject: max(1, subject.hop_samples - 1),
    "hop": lambda subject: subject.hop_samples,
    "hop_plus_1": lambda subject: subject.hop_samples + 1,
    "window_less_1": lambda subject: max(1, subject.window_samples - 1),
    "window": lambda subject: subject.window_samples,
    "window_plus_1": lambda subject: subject.window_samples + 1,
}
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000)  # Hz
TESTED_SECONDS = 0.05  # enough for every resampler to have a start, a middle and an end
LEVELS_DB = {"minus_120_db": -120.0, "plus_120_db": 120.0}


@FORMATS.sweep(LENGTHS)
def length(subject: Subject, length_samples: Callable[[Subject], int]) -> None:
    """Stems are as long as the mixture, to the sample."""
    mixture = subject.mixture(length_samples(subject))
    check_promises(subject.info, mixture, subject.separate(mixture), sums=subject.info.sums_to_mixture)


@FORMATS.case
def default_window(subject: Subject) -> None:
    """The window that the method declares works as the shorter one does that the other cases use to save time."""
    mixture = subject.mixture((subject.info.window_samples or subject.info.sample_rate) + 1)
    stems = subject.given.separate(mixture, quality="fast")
    check_promises(subject.info, mixture, stems, sums=subject.info.sums_to_mixture)


@FORMATS.sweep(
    {
        "silence": signals.silence,
        "dc": signals.constant,
        "impulse": signals.impulse,
        "full_scale_square": signals.square,
    }
)
def signal(subject: Subject, make: Callable[[int, int], Tensor]) -> None:
    """Degenerate audio gives finite stems: nothing is divided by a peak, a power or a deviation that may be zero."""
    info = subject.info
    mixture = Audio(make(info.channels, subject.some_samples), info.sample_rate)
    check_promises(info, mixture, subject.separate(mixture), sums=info.sums_to_mixture)


@FORMATS.sweep(LEVELS_DB)
def level(subject: Subject, gain_db: float) -> None:
    """Very quiet and very loud audio gives finite stems: nothing underflows, overflows or is clipped."""
    music = subject.mixture(subject.some_samples)
    mixture = Audio(music.samples * 10 ** (gain_db / 20), music.sample_rate)
    check_promises(subject.info, mixture, subject.separate(mixture), sums=subject.info.sums_to_mixture)


@FORMATS.sweep({str(sample_rate): sample_rate for sample_rate in RATES})
def rate(subject: Subject, sample_rate: int) -> None:
    """Stems come at the mixture's rate and length, whatever the model's own rate is."""
    mixture = subject.mixture(int(TESTED_SECONDS * sample_rate) + 1, sample_rate=sample_rate)
    check_promises(subject.info, mixture, subject.separate(mixture))


@FORMATS.sweep({"1": 1, "2": 2, "6": 6})
def channels(subject: Subject, count: int) -> None:
    """Stems have the mixture's channels, whatever the model's own number is."""
    mixture = subject.mixture(subject.some_samples, channels=count)
    check_promises(subject.info, mixture, subject.separate(mixture))


@FORMATS.case
def input_kinds(subject: Subject) -> None:
    """An Audio, a torch tensor, a numpy array and a file with the same samples give the same stems, bit for bit."""
    mixture = subject.mixture(subject.some_samples)
    wanted = subject.separate(mixture)
    given = {
        "from a torch tensor": mixture.samples.clone(),
        "from a numpy array": mixture.samples.numpy().copy(),
        "from a float64 tensor": mixture.samples.double(),
    }
    for what, samples in given.items():
        stems = subject.separate(samples, sample_rate=mixture.sample_rate)
        check_same(what, stems, "those from an Audio", wanted, exactly=subject.exact)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixture.wav"
        mixture.write(path, bits="float")
        check_same("from a file", subject.separate(path), "those from an Audio", wanted, exactly=subject.exact)


@FORMATS.case
def one_dimensional_input(subject: Subject) -> None:
    """An array with one axis is mono, at the model's own rate when none is given."""
    samples = subject.mixture(subject.some_samples, channels=1).samples[0]
    mixture = Audio(samples[None], subject.info.sample_rate)
    check_promises(subject.info, mixture, subject.separate(samples))
