"""Which separations an ensemble makes of a track, and what is taken of each: every separation once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from .audio import Stems
from .ensemble_config import EnsembleConfig, Member, Part
from .ensemble_streams import Fork, beside, first_channels, needed_stem, pieces_of, refined_channels, stem_of
from .errors import OptionError, UnknownNameError, nearest
from .host import HostedSeparator
from .registry import get_separator
from .separator import Quality, Separator


class Tap(NamedTuple):
    """A stem of one separation."""

    node: str
    stem: str


@dataclass
class Node:
    """One separation: of the mixture (a None among `inputs`), of another's estimate, or of the mixture beside some."""

    member: Member
    separator: Separator
    inputs: tuple[Tap | None, ...] = (None,)
    asked: list[str] = field(default_factory=list)

    @property
    def given(self) -> int:
        """How many estimates come beside the mixture."""
        return len(self.inputs) - 1

    @property
    def width(self) -> int:
        """The channels of the method itself."""
        return self.separator.info.channels // len(self.inputs)

    def channels(self, channels: int) -> int:
        """How many channels its blocks have for a track that has `channels`."""
        return refined_channels(channels, self.width, self.given) if self.given else channels


class Members:
    """The loaded methods of an ensemble, each once whatever it serves; the host's settings are those of all."""

    def __init__(self, config: EnsembleConfig, *, untrained: bool, settings: Mapping[str, Any]) -> None:
        self._settings, self._untrained = dict(settings), untrained
        self._loaded: dict[str, Separator] = {}
        self._refiners: dict[tuple[str, float], HostedSeparator] = {}
        try:
            for member in config.members:
                self[member]
        except BaseException:
            self.close()
            raise

    def __getitem__(self, member: Member) -> Separator:
        key = _loaded_key(member)
        if key not in self._loaded:
            self._loaded[key] = get_separator(
                member.name,
                checkpoint=member.checkpoint,
                untrained=member.untrained or self._untrained,
                **self._settings,
                **member.options,
            )
        return self._loaded[key]

    def __iter__(self) -> Iterator[Separator]:
        return iter(self._loaded.values())

    def refiner(self, member: Member, strength: float) -> HostedSeparator | None:
        """The method as one that begins at an estimate, under the host; None where it cannot."""
        separator, key = self[member], (_loaded_key(member), strength)
        if not isinstance(separator, HostedSeparator) or not hasattr(separator.model, "refiner"):
            return None
        if key not in self._refiners:
            self._refiners[key] = separator.hosting(separator.model.refiner(strength))
        return self._refiners[key]

    def close(self) -> None:
        """Let go of every method."""
        for separator in self._loaded.values():
            close = getattr(separator, "close", None)
            if close is not None:
                close()


class Plan:
    """The separations that some stems need, in an order in which each finds its inputs, and the taps of each stem.

    Raises UnknownNameError for a stem that a member lacks, OptionError for a cascade that cannot be.
    """

    def __init__(self, config: EnsembleConfig, members: Members, stems: Sequence[str]) -> None:
        self.stems = tuple(stems)
        self.weights = {stem: config.routes[stem].weights for stem in stems}
        self.nodes: dict[str, Node] = {}
        self._members = members
        self.taps = {stem: [self._tap(part, stem) for part in config.routes[stem].parts] for stem in stems}

    def _tap(self, part: Part, stem: str) -> Tap:
        if isinstance(part, Member):
            return self._take(part.key, Node(part, self._members[part]), part.stem or stem)
        refiner = None if part.how == "separate" else self._members.refiner(part.then, part.strength)
        if part.how == "refine" and refiner is None:
            raise OptionError(
                f"{part.then.name!r} cannot begin at an estimate (its model has no refiner): leave how='refine' out, "
                "and it separates the estimate."
            )
        wanted = part.then.stem or stem
        if refiner is None:
            first = self._tap(part.first, stem)
            node = Node(part.then, self._members[part.then], (first,))
        else:
            inputs = [self._tap(_asked(part.first, given, wanted), given) for given in given_of(refiner)]
            node = Node(part.then, refiner, (None, *inputs))
        key = f"{[(tap.node, tap.stem) for tap in node.inputs if tap]} {part.strength} {part.then.key}"
        return self._take(key, node, wanted)

    def _take(self, key: str, node: Node, stem: str) -> Tap:
        known = node.separator.info.stems
        needed = needed_stem(stem, known)
        if needed is None:
            raise UnknownNameError(
                f"{node.member.name!r} is a member for a stem {stem!r} that it does not have: {nearest(stem, known)} "
                "Another name of its own for that stem goes into its mapping as stem."
            )
        node = self.nodes.setdefault(key, node)
        if needed not in node.asked:
            node.asked.append(needed)
        return Tap(key, stem)

    def open(
        self,
        mixture: Fork[Tensor],
        sample_rate: int,
        channels: int,
        length_samples: int | None,
        *,
        seed: int,
        quality: Quality,
        note: Callable[[str, Mapping[str, Any]], None],
    ) -> dict[Tap, Iterator[Tensor]]:
        """A reader for each tap, c t; wrong options raise now. `note` gets each separation's provenance as it grows."""
        forks: dict[str, Fork[Stems]] = {}

        def read(tap: Tap) -> Iterator[Tensor]:
            node = self.nodes[tap.node]
            found = (stem_of(piece, tap.stem) for piece in forks[tap.node].reader())
            if not node.given:
                return found
            return (first_channels(samples, channels, node.width, node.given) for samples in found)

        def noted(key: str, pieces: Iterator[Stems]) -> Iterator[Stems]:
            for piece in pieces:
                note(key, piece.provenance)
                yield piece

        for key, node in self.nodes.items():
            streams = [mixture.reader() if tap is None else read(tap) for tap in node.inputs]
            pieces = pieces_of(
                node.separator,
                beside(streams, node.width) if node.given else streams[0],
                sample_rate,
                node.channels(channels),
                length_samples,
                stems=tuple(node.asked),
                seed=seed,
                quality=quality if node.member.quality is None else node.member.quality,
            )
            forks[key] = Fork(noted(key, pieces))
        return {tap: read(tap) for taps in self.taps.values() for tap in dict.fromkeys(taps)}


def given_of(refiner: HostedSeparator) -> tuple[str, ...]:
    """The stems whose estimates a refiner begins at."""
    return tuple(getattr(refiner.model, "given"))  # noqa: B009 (no member of the protocol)


def _asked(first: Member, given: str, wanted: str) -> Member:
    """The first of a cascade when it is asked for `given`: its own name for the stem holds for the cascade's stem."""
    return first if given == wanted else first.model_copy(update={"stem": None})


def _loaded_key(member: Member) -> str:
    return member.model_copy(update={"stem": None, "quality": None}).model_dump_json()
