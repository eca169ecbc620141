"""What needs no filter: energies of signals and errors per window, and which sources are silent in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import AudioError, OptionError, nearest
from .signals import Array

SilenceRule = Literal["museval", "nan", "raise"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Levels:
    """Of one stretch of audio, or stacked over windows: references' energy per channel (a), estimates' (q), energy of
    estimate - reference per pair (p), and whether each source is silent (s)."""

    references: Array
    estimates: Array
    errors: Array
    silent_references: Flags
    silent_estimates: Flags

    def __add__(self, other: Levels) -> Levels:
        return Levels(
            self.references + other.references,
            self.estimates + other.estimates,
            self.errors + other.errors,
            self.silent_references & other.silent_references,
            self.silent_estimates & other.silent_estimates,
        )

    def of(self, chosen: slice) -> Levels:
        """Some windows of stacked levels."""
        return Levels(*(getattr(self, name)[chosen] for name in FIELDS))

    def silent_pairs(self, pairs: list[tuple[int, int]], rule: SilenceRule) -> Flags:
        """Which pairs have no value in a window: n s -> n p. Under "museval" one silent source takes all with it."""
        if rule == "museval":
            silent = np.asarray(self.silent_references.any(1) | self.silent_estimates.any(1))
            return np.repeat(silent[:, None], len(pairs), axis=1)
        columns = [self.silent_references[:, i] | self.silent_estimates[:, j] for i, j in pairs]
        return np.stack(columns, axis=1)


FIELDS = [field.name for field in fields(Levels)]


def checked_rule(rule: str) -> SilenceRule:
    """The rule, or OptionError with those that exist."""
    for known in get_args(SilenceRule):
        if rule == known:
            return known
    raise OptionError(f"silent={rule!r} is no rule for silence; {nearest(rule, get_args(SilenceRule))}")


def stacked(levels: list[Levels]) -> Levels:
    """Windows one after the other: each field gains the axis n in front."""
    return Levels(*(np.stack([getattr(one, name) for one in levels]) for name in FIELDS))


def measured(rows: Array, shape: tuple[int, int], pairs: list[tuple[int, int]], rule: SilenceRule) -> Levels:
    """Levels of channel-major rows ((2 s c) t), with shape = (sources, channels).

    Raises AudioError where a sample is NaN or infinite.
    """
    sources, channels = shape
    energy = np.einsum("at,at->a", rows, rows)
    if not np.isfinite(energy).all():
        row = int(np.flatnonzero(~np.isfinite(energy))[0])
        what = "reference" if row < len(rows) // 2 else "estimate"
        raise AudioError(
            f"The {what} of source {row % (len(rows) // 2) // channels} holds NaN, infinite or absurdly large samples; "
            "metrics of it would be too. Repair the file, or leave this track out."
        )
    signals = rows.reshape(2, sources, channels, -1)
    errors = []
    for reference, estimate in pairs:
        difference = signals[1, estimate] - signals[0, reference]
        errors.append(np.einsum("ct,ct->", difference, difference))
    silent = [[is_silent(one, rule) for one in side] for side in signals]
    half = len(rows) // 2
    return Levels(energy[:half], energy[half:], np.array(errors), np.array(silent[0]), np.array(silent[1]))


def is_silent(source: Array, rule: SilenceRule) -> bool:
    """Whether a source c t is silent: to museval, where its channels sum to zero at every sample, antiphase too.

    Under the other rules, where every sample of every channel is zero. Sounding sources show it within few samples.
    """
    start, reach = 0, 256
    while start < source.shape[1]:
        part = source[:, start : start + reach]
        sounding = np.ascontiguousarray(part.T).sum(axis=1) if rule == "museval" else part
        if np.any(sounding != 0):
            return False
        start, reach = start + reach, 4 * reach
    return True


def check_silence(track: Levels, windows: Levels, frames: tuple[tuple[int, int], ...], rule: SilenceRule) -> None:
    """Raise AudioError where the rule forbids silence: over the whole track under "museval", anywhere under "raise"."""
    for what in ("references", "estimates"):
        whole = np.flatnonzero(getattr(track, f"silent_{what}"))
        if len(whole) and rule != "nan":
            raise AudioError(
                f"Source {whole[0]} of the {what} is silent over the whole track, for which museval has no value; take "
                'silent="nan", which leaves only that source undefined.'
            )
        where = np.argwhere(getattr(windows, f"silent_{what}"))
        if len(where) and rule == "raise":
            start, stop = frames[where[0][0]]
            raise AudioError(
                f"Source {where[0][1]} of the {what} is silent from sample {start} to {stop}; "
                'take silent="nan", or silent="museval" for museval\'s rule.'
            )
