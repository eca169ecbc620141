"""Stems that are sums of sound files, or of single streams of sound in a container."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import AudioError, DatasetError, MissingExtraError
from ..readers import Reader
from .stem_names import STEMS
from .track import Track


@dataclass(frozen=True)
class Part:
    """A sound file, or stream number `stream` of those in a container (`.stem.mp4`)."""

    path: Path
    stream: int | None = None

    def open(self) -> Reader:
        """A reader of it; raises AudioError."""
        if self.stream is not None:
            from .stream_reader import StreamReader

            return StreamReader(self.path, self.stream)
        from ..soundfiles import open_reader

        return open_reader(self.path)


class PartFormat(NamedTuple):
    """A part's rate (Hz), channels and length."""

    sample_rate: int
    channels: int
    length_samples: int


class BadTrack(NamedTuple):
    """A song that is there and cannot be used."""

    name: str
    reason: str


def built_tracks(builds: Iterable[tuple[str, Callable[[], Track]]], bad: list[BadTrack] | None = None) -> list[Track]:
    """The tracks that (name, build) make; one that cannot be read is raised, or put into `bad` where that is given."""
    tracks = []
    for name, build in builds:
        try:
            tracks.append(build())
        except (AudioError, DatasetError) as error:
            if bad is None:
                raise
            bad.append(BadTrack(name, str(error)))
    return tracks


def part_format(part: Part, track: str) -> PartFormat:
    """Rate, channels and length; counted by decoding where the file does not say. DatasetError names the track."""
    try:
        with part.open() as reader:
            length = reader.length_samples
            if length is None:
                length = sum(len(block) for block in reader.blocks())
            return PartFormat(reader.sample_rate, reader.channels, length)
    except MissingExtraError:
        raise
    except AudioError as error:
        raise DatasetError(f"track {track!r}: {error}") from error


def track_of_parts(
    name: str,
    parts: Mapping[str, Sequence[Part]],
    *,
    mixture: Part | None = None,
    sample_rate: int | None = None,
    known: Sequence[str] = STEMS,
    complete: bool | None = None,
    facts: Mapping[str, object] | None = None,
) -> Track:
    """A song whose stems are sums of parts; those without any are left out, and then silent.

    It is as long as its longest part and has the most channels of any. Raises DatasetError where nothing is left or a
    part cannot be read.
    """
    stems = tuple(stem for stem, found in parts.items() if found)
    if not stems:
        raise DatasetError(f"track {name!r} has no stem with any sound file: get it again, or take its folder away.")
    every = [part for stem in stems for part in parts[stem]] + ([mixture] if mixture else [])
    formats = {part: part_format(part, name) for part in every}
    first = formats[parts[stems[0]][0]]
    rate = sample_rate or first.sample_rate
    from ..resampling import resampled_length

    channels = max(found.channels for found in formats.values())
    source = PartSource({stem: tuple(parts[stem]) for stem in stems}, mixture, rate, channels)
    return Track(
        name=name,
        sample_rate=rate,
        channels=channels,
        length_samples=max(resampled_length(f.length_samples, f.sample_rate, rate) for f in formats.values()),
        stems=stems,
        source=source,
        mixture_is_sum=mixture is None,
        known=tuple(dict.fromkeys((*known, *stems))),
        facts=facts or {},
        complete=complete,
    )


@dataclass(frozen=True, eq=False)
class PartSource:
    """Stems that are sums of parts; samples come at `sample_rate` with `channels` channels."""

    parts: Mapping[str, tuple[Part, ...]]
    mixture: Part | None
    sample_rate: int
    channels: int

    def read(self, stem: str, start: int, length: int) -> Tensor:
        first, *rest = (read_part(part, self.sample_rate, self.channels, start, length) for part in self.parts[stem])
        return sum(rest, first)

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        if self.mixture is None:
            return None
        return read_part(self.mixture, self.sample_rate, self.channels, start, length)

    def fingerprint(self, stem: str) -> str | None:
        return " + ".join(part_identity(part, self.sample_rate, self.channels) for part in self.parts[stem])

    def formats(self) -> dict[str, Sequence[PartFormat]]:
        """What each part is, by stem, the mixture's among them."""
        every = {**self.parts, **({"mixture": (self.mixture,)} if self.mixture else {})}
        return {stem: [part_format(part, part.path.name) for part in parts] for stem, parts in every.items()}


def read_part(part: Part, sample_rate: int, channels: int, start: int, length: int) -> Tensor:
    """`length` samples from `start` on, c t at this rate and with these channels; silence beyond the part's end."""
    from ..resampling import resample

    out = torch.zeros(channels, length)
    with part.open() as reader:
        if reader.sample_rate == sample_rate:
            x = _collected(reader, start, length)
        else:  # a resampler's output depends on all that came before: decode all, then cut
            whole = _collected(reader, 0, None)
            x = torch.as_tensor(resample(whole, reader.sample_rate, sample_rate))[:, start : start + length]
    out[:, : x.shape[1]] = with_channels(x, channels, part.path)
    return out


def part_identity(part: Part, sample_rate: int, channels: int) -> str:
    """A text that changes whenever the samples may have changed."""
    state = part.path.stat()
    stream = "" if part.stream is None else f"#{part.stream}"
    return f"{part.path.resolve()}{stream}|{state.st_mtime_ns}|{state.st_size}|{sample_rate}|{channels}"


def with_channels(x: Tensor, channels: int, what: object) -> Tensor:
    """x: c t with another number of channels: mono is repeated, anything is averaged to mono; else DatasetError."""
    if x.shape[0] == channels:
        return x
    if x.shape[0] == 1:
        return x.expand(channels, -1)
    if channels == 1:
        return x.mean(dim=0, keepdim=True)
    raise DatasetError(
        f"{what} has {x.shape[0]} channels and {channels} are wanted: convert it to mono or {channels} channels."
    )


def _collected(reader: Reader, start: int, length: int | None) -> Tensor:
    blocks = list(reader.blocks(start_samples=start, length_samples=length))
    if not blocks:
        return torch.zeros(reader.channels, 0)
    return torch.from_numpy(np.concatenate(blocks).T.copy())
