"""The same question has the same answer: across runs, seeds, batches, threads and blocks of a stream."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import numpy as np
import torch
from torch import Tensor

from ...audio import Audio, Stems
from ..promises import NotApplicable, check_promises, check_same, differ, require
from ..signals import global_random_states
from ..subject import Subject
from .case import CaseList

REPEATABILITY = CaseList()

BLOCK_SAMPLES = (1, 997, 2, 0, 4099, 61)
"""How a stream is cut: nothing that any window, hop or resampler would divide."""


@REPEATABILITY.case
def same_twice(subject: Subject) -> None:
    """A second run gives the same stems, bit for bit, whatever came between and however global generators are set."""
    first = subject.reference
    subject.separate(-subject.mixture(subject.some_samples).samples)
    with _global_seed(20_000):
        again = subject.separate(subject.reference_mixture)
    check_same("of the second run", again, "that of the first", first, exactly=subject.exact)


@REPEATABILITY.case
def seed(subject: Subject) -> None:
    """Another seed changes the stems of a random method, and only of a random one."""
    mixture = subject.mixture(subject.some_samples)
    one, two = subject.separate(mixture, seed=1), subject.separate(mixture, seed=2)
    if subject.info.random:
        require(
            differ(one, two), "info.random is True, but seeds 1 and 2 give the same stems: use the seed or say False"
        )
    else:
        check_same("with seed 2", two, "that with seed 1 (info.random is False)", one, exactly=subject.exact)


@REPEATABILITY.case
def batch_size(subject: Subject) -> None:
    """Windows separated one by one and three at a time give the same stems up to rounding."""
    one_by_one, batched = (subject.hosted(batch_windows=n, segment_seconds=subject.short_seconds) for n in (1, 3))
    mixture = subject.mixture(subject.window_samples + subject.hop_samples + 1, channels=2 * subject.info.channels)
    one = subject.separate(mixture, by=one_by_one)  # three windows of two groups of channels
    check_same("in batches of 3", subject.separate(mixture, by=batched), "that in batches of 1", one, exactly=False)


@REPEATABILITY.case
def thread_count(subject: Subject) -> None:
    """One thread and two give the same stems up to rounding."""
    mixture = subject.mixture(subject.some_samples)
    with _threads(1):
        one = subject.separate(mixture)
    with _threads(2):
        two = subject.separate(mixture)
    check_same("with 2 threads", two, "that with 1 thread", one, exactly=False)


@REPEATABILITY.sweep({"at_model_rate": 1.0, "resampled": 1.25})
def stream(subject: Subject, ratio: float) -> None:
    """Blocks of odd sizes, one after another in one reused buffer, give the stems of the whole, bit for bit."""
    if not hasattr(subject.separator, "separate_stream"):
        raise NotApplicable("it has no separate_stream: only a WindowModel is streamed")
    sample_rate = round(subject.info.sample_rate * ratio)
    length_samples = round((subject.window_samples + subject.hop_samples) * ratio) + 7
    mixture = subject.mixture(length_samples, sample_rate=sample_rate)
    whole = subject.separate(mixture)
    pieces = list(
        subject.separator.separate_stream(
            _blocks(mixture.samples), sample_rate, mixture.channels, quality="fast", seed=0
        )
    )
    streamed = _joined(pieces, sample_rate, whole.provenance)
    check_same("streamed", streamed, "that of the whole", whole, exactly=subject.exact)
    check_promises(subject.info, mixture, streamed)  # with the residual's identity


@REPEATABILITY.case
def last_estimate(subject: Subject) -> None:
    """The last of the improving estimates is what `separate` returns."""
    if not hasattr(subject.separator, "separate_iter"):
        raise NotApplicable("it has no separate_iter")
    mixture = subject.mixture(subject.some_samples)
    estimates = list(subject.separator.separate_iter(mixture, quality="fast", seed=0))
    require(len(estimates) > 0, "separate_iter yielded nothing")
    check_same("of the last estimate", estimates[-1], "that of separate", subject.separate(mixture), exactly=False)


@REPEATABILITY.case
def input_untouched(subject: Subject) -> None:
    """The caller's array holds the same samples after as before."""
    info = subject.info
    samples = 40.0 * subject.mixture(subject.some_samples).samples  # loud: norbert rescales in place above some level
    tensor, array = samples.clone(), samples.numpy().copy()
    subject.separate(tensor, sample_rate=info.sample_rate)
    require(torch.equal(tensor, samples), "the caller's torch tensor was changed")
    subject.separate(array, sample_rate=info.sample_rate, consistency="wiener")
    require(np.array_equal(array, samples.numpy()), "the caller's numpy array was changed")


@REPEATABILITY.case
def windows_untouched(subject: Subject) -> None:
    """`separate_windows` gives b s c t for b c t and leaves its argument as it was: write `x = x * g`, not `x *= g`."""
    model, info = subject.model, subject.info
    windows = torch.stack([subject.mixture(subject.window_samples).samples] * 2).to(subject.device)
    given = windows.clone()
    with torch.inference_mode():
        settings = model.settings("fast")
        out = model.separate_windows(windows, [0, subject.hop_samples], seed=0, settings=settings)
    wanted = (2, len(info.stems), info.channels, subject.window_samples)
    require(tuple(out.shape) == wanted, f"separate_windows returned {tuple(out.shape)}, wanted {wanted} (b s c t)")
    require(torch.equal(windows, given), "separate_windows wrote into the windows it was given")


@REPEATABILITY.case
def global_state_untouched(subject: Subject) -> None:
    """Building and separating leave the global generators (python, numpy, torch) and torch's settings alone."""
    separator = subject.separator  # built before the snapshot; what the building moved is on record
    require(
        not subject.moved_by_building, f"building it moved the global state of {', '.join(subject.moved_by_building)}"
    )
    states, settings = global_random_states(), _torch_settings()
    subject.separate(subject.mixture(subject.some_samples), by=separator, seed=3)
    after = global_random_states()
    moved = [name for name, state in states.items() if after[name] != state]
    require(not moved, f"separating moved the global state of {', '.join(moved)}: draw from the seed instead")
    changed = {name: value for name, value in _torch_settings().items() if value != settings[name]}
    require(not changed, f"separating changed torch's settings: {changed}")


def _torch_settings() -> dict[str, object]:
    return {
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def _blocks(samples: Tensor) -> Iterator[Tensor]:
    buffer = torch.empty(samples.shape[0], max(BLOCK_SAMPLES))
    start = 0
    for size in cycle(BLOCK_SAMPLES):
        block = samples[:, start : start + size]
        buffer[:, : block.shape[-1]] = block
        yield buffer[:, : block.shape[-1]]
        buffer.fill_(0.77)  # as a sound card's driver does: what was handed over is gone when the next is asked for
        start += size
        if start >= samples.shape[-1]:
            return


def _joined(pieces: list[Stems], sample_rate: int, provenance: dict[str, object]) -> Stems:
    def join(parts: list[Audio]) -> Audio:
        return Audio(torch.cat([part.samples for part in parts], dim=-1), sample_rate)

    require(len(pieces) > 0, "separate_stream yielded nothing")
    residuals = [piece.residual for piece in pieces if piece.residual is not None]
    require(len(residuals) == len(pieces), "a piece of the stream has no residual")
    stems = {name: join([piece[name] for piece in pieces]) for name in pieces[0]}
    return Stems(stems, residual=join(residuals), provenance=provenance)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _global_seed(value: int) -> Iterator[None]:
    """Other global random states inside, the caller's own again afterwards."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            random.seed(value)
            np.random.seed(value)
            torch.manual_seed(value)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
