"""What an ensemble consists of: members for each stem, their weights, cascades; read, checked and written as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from . import __version__
from .config import Frozen, validated
from .errors import CheckpointError, OptionError, UnknownNameError, nearest
from .licences import combined_licence
from .partial_files import write_text
from .registry import ENSEMBLE as NAME
from .registry import SeparatorSummary, check_known

FORMAT = "sepkit-ensemble-1"
CONFIG_FILE = "ensemble.json"
HALF_WAY = 0.5
DOWNLOAD = "download"
"""The checkpoint by which a member asks for published weights, and no path."""

How = Literal["refine", "separate"]


class Member(Frozen):
    """One method, as `get_separator` is given it; `stem` is what it calls the stem (None: the same name).

    `quality` replaces the quality that the ensemble is run at.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str | None = None
    untrained: bool = False
    quality: str | int | None = None
    stem: str | None = None

    @property
    def label(self) -> str:
        """The name by which weights are given."""
        return self.name

    @property
    def key(self) -> str:
        """Equal for members that are one separation of the mixture, whichever stems are taken of it."""
        return self.model_copy(update={"stem": None}).model_dump_json()


class Cascade(Frozen):
    """A method whose estimate goes through another: `then` separates it, or begins its own search at it.

    `how` None: `refine` where `then` can, else `separate`. `strength` (0 to 1, of `refine` alone) is the part of its
    way that `then` goes again: a low one stays near the estimate.
    """

    first: Member
    then: Member
    how: How | None = None
    strength: float = Field(default=HALF_WAY, gt=0, le=1)

    @field_validator("first", "then", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @property
    def label(self) -> str:
        """The name by which weights are given."""
        return f"{self.first.name}>{self.then.name}"


Part = Member | Cascade


class Route(Frozen):
    """How one stem is made: the sum of its parts, each times its weight."""

    parts: tuple[Part, ...] = Field(min_length=1)
    weights: tuple[float, ...]

    @model_validator(mode="after")
    def _one_weight_each(self) -> Route:
        if len(self.weights) != len(self.parts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.parts)} members")
        return self


class EnsembleConfig(Frozen):
    """The whole of an ensemble: a route for each stem, and how the weights were found, where they were fitted."""

    routes: dict[str, Route] = Field(min_length=1)
    fitted: dict[str, Any] | None = None

    @property
    def members(self) -> Iterator[Member]:
        """Every member, also inside cascades; one that serves several stems comes several times."""
        for route in self.routes.values():
            for part in route.parts:
                yield from (part,) if isinstance(part, Member) else (part.first, part.then)


DEFAULT_MEMBERS: dict[str, Any] = {
    "vocals": "cold_diffusion",
    "drums": "lightsaft",
    "bass": "lightsaft",
    "other": "lightsaft",
}
"""The ensemble without options: each stem by the shipped method that is best at it, see docs/ensemble.md."""


def ensemble_config(members: Any = None, weights: Any = None) -> EnsembleConfig:
    """An ensemble as users write it: stem -> method, or a list of methods, each a name, a mapping or a cascade.

    `weights`: stem -> numbers in the order of its members, or name -> number; equal parts for a stem without.
    Raises OptionError for what does not fit, UnknownNameError for a method that is not installed.
    """
    members = DEFAULT_MEMBERS if members is None else members
    if not isinstance(members, Mapping) or not members:
        raise OptionError(
            f"members is {members!r}; wanted stem -> methods, such as "
            '{"vocals": ["lightsaft", "cold_diffusion"], "drums": "lightsaft"}.'
        )
    weights = {} if weights is None else weights
    if not isinstance(weights, Mapping):
        raise OptionError(f"weights is {weights!r}; wanted stem -> numbers, one for each of the stem's members.")
    for stem in weights:
        if stem not in members:
            raise OptionError(f"weights has {stem!r}, which members does not: {nearest(str(stem), map(str, members))}")
    routes = {}
    for stem, given in members.items():
        parts = tuple(_part(one, str(stem)) for one in _listed(given, str(stem)))
        routes[str(stem)] = Route(parts=parts, weights=_weights(weights.get(stem), parts, str(stem)))
    config = EnsembleConfig(routes=routes)
    try:
        _check_methods(config)
    except UnknownNameError as error:
        if members is not DEFAULT_MEMBERS:
            raise
        raise UnknownNameError(f"The default ensemble is not complete here; give members. {error}") from error
    return config


def read_ensemble(folder: str | Path) -> EnsembleConfig:
    """The ensemble of a folder's ensemble.json; a member's relative checkpoint lies beside it.

    Raises CheckpointError for a file that is missing or does not hold one, UnknownNameError for unknown members.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no ensemble: it has no {CONFIG_FILE}. Give one that has.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}); write it again.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        given = content.get("format") if isinstance(content, dict) else None
        raise CheckpointError(f"{path} has the format {given!r}; this sepkit {__version__} reads {FORMAT!r}.")
    try:
        config = validated(EnsembleConfig, {k: content[k] for k in ("routes", "fitted") if k in content}, str(path))
    except OptionError as error:
        raise CheckpointError(str(error)) from error
    _check_methods(config)
    return _with_checkpoints(config, lambda given: str(Path(folder) / given))  # an absolute path replaces the folder


def write_ensemble(config: EnsembleConfig, folder: str | Path) -> Path:
    """Write `ensemble.json` into a folder, which is made, and return the folder; an earlier one is replaced.

    A checkpoint inside the folder is named relative to it, so that the folder may be moved; another by its full path.
    """
    folder = Path(folder)
    home = folder.resolve()

    def named(given: str) -> str:
        path = Path(given).resolve()
        return str(path.relative_to(home) if path.is_relative_to(home) else path)

    placed = _with_checkpoints(config, named)
    content = {"format": FORMAT, **placed.model_dump(mode="json"), "written_by": f"sepkit {__version__}"}
    write_text(folder / CONFIG_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return folder


def default_summary(known: Mapping[str, SeparatorSummary]) -> SeparatorSummary:
    """The list's line about the ensemble without options: what it says of the members; little if one is not there."""
    own = known[NAME]
    names = dict.fromkeys(name for given in DEFAULT_MEMBERS.values() for name in _listed(given, ""))
    members = [known[name] for name in names if name in known]
    if own.error is not None or len(members) < len(names) or any(one.stems is None for one in members):
        return own
    changes = {
        "stems": tuple(DEFAULT_MEMBERS),
        "sample_rate": max(one.sample_rate or 0 for one in members),
        "channels": max(one.channels or 0 for one in members),
        "licence": combined_licence(one.licence or "unknown" for one in members),
        "trained": all(one.trained for one in members),
        "parameters": sum(one.parameters or 0 for one in members),
    }
    return own.model_copy(update=changes)


def _listed(given: Any, stem: str) -> Sequence[Any]:
    listed = [given] if isinstance(given, str | Mapping | Member | Cascade) else given
    if not isinstance(listed, list | tuple) or not listed:
        raise OptionError(f"The members of {stem!r} are {given!r}; wanted a method, or a list of them.")
    return listed


def _part(given: Any, stem: str) -> Part:
    if isinstance(given, Member | Cascade):
        return given
    if isinstance(given, str):
        return Member(name=given)
    if not isinstance(given, Mapping):
        raise OptionError(f"A member of {stem!r} is {given!r}; wanted a method's name, or a mapping with name.")
    what = f"A member of {stem!r}"
    if "first" in given or "then" in given:
        for key in ("first", "then"):
            if key not in given:
                raise OptionError(f"{what} is a cascade without {key!r}: it needs both first and then.")
        return validated(Cascade, given, what)
    if "name" not in given:
        raise OptionError(f"{what} is {dict(given)!r}; wanted a mapping with name (a method), or with first and then.")
    return validated(Member, given, what)


def _weights(given: Any, parts: Sequence[Part], stem: str) -> tuple[float, ...]:
    if given is None:
        return (1 / len(parts),) * len(parts)
    labels = [part.label for part in parts]
    if isinstance(given, Mapping):
        if len(set(labels)) < len(labels):
            raise OptionError(f"Two members of {stem!r} have one name: give its weights as a list, in their order.")
        for label in given:
            if label not in labels:
                raise OptionError(f"weights of {stem!r} has no member {label!r}: {nearest(str(label), labels)}")
        given = [given.get(label) for label in labels]
    given = [given] if isinstance(given, int | float) else given
    if not isinstance(given, list | tuple) or len(given) != len(parts):
        count = len(given) if isinstance(given, list | tuple) else repr(given)
        raise OptionError(f"weights of {stem!r}: {count} for {len(parts)} members ({', '.join(labels)}); give all.")
    for label, weight in zip(labels, given, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise OptionError(f"The weight of {label} in {stem!r} is {weight!r}; wanted a number for every member.")
    return tuple(float(weight) for weight in given)


def _check_methods(config: EnsembleConfig) -> None:
    for member in config.members:
        if member.name == NAME:
            raise OptionError("An ensemble cannot be a member of an ensemble: name its members in its place.")
        check_known(member.name)


def _with_checkpoints(config: EnsembleConfig, place: Callable[[str], str]) -> EnsembleConfig:
    """The same ensemble with other paths of checkpoints; addresses on the hub, and DOWNLOAD, stay."""

    def member(given: Member) -> Member:
        if given.checkpoint is None or given.checkpoint == DOWNLOAD or given.checkpoint.startswith("hf:/"):
            return given
        return given.model_copy(update={"checkpoint": place(given.checkpoint)})

    def part(given: Part) -> Part:
        if isinstance(given, Member):
            return member(given)
        return given.model_copy(update={"first": member(given.first), "then": member(given.then)})

    routes = {
        stem: route.model_copy(update={"parts": tuple(map(part, route.parts))}) for stem, route in config.routes.items()
    }
    return config.model_copy(update={"routes": routes})
