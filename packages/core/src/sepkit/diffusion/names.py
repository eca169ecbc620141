"""Schedules, objectives and samplers by name, the built-in ones and those of plugins; listing imports no plugin."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from ..config import Frozen, validated
from ..errors import OptionError, PluginError, UnknownNameError, nearest
from ..plugins import announced, load, source, working_names

if TYPE_CHECKING:
    from .objectives import Objective
    from .samplers import Sampler
    from .schedules import Schedule
else:  # pydantic looks the names up; what they stand for is checked by the validators below
    Objective = Sampler = Schedule = Any


@dataclass(frozen=True)
class Family:
    """One kind of named value: where the built-in ones live, and the entry-point group of everybody else's.

    A built-in name stays what it is, even if a plugin announces it as well: stored configs depend on it.
    """

    what: str
    group: str
    protocol: str
    built_in: Mapping[str, str]  # name -> module:class

    def names(self) -> list[str]:
        """Every name that `get` takes, sorted; a plugin that is visibly broken is left out with a warning."""
        return working_names(self.built_in, self.group, self.what)

    def get(self, name: str, settings: Mapping[str, Any]) -> Any:
        """The value of that name; raises UnknownNameError, PluginError or OptionError."""
        return validated(self._kind(name), {**settings, "name": name}, self._of(name))

    def from_json(self, value: Any) -> Any:
        """A value as it is, or from its JSON, `{"name": ..., settings ...}`, or from its name alone."""
        if isinstance(value, str):
            return self.get(value, {})
        if isinstance(value, Mapping):
            if not isinstance(value.get("name"), str):
                raise OptionError(f"A {self.what} was given as {dict(value)!r}; wanted its 'name' among the settings.")
            return self.get(value["name"], value)
        if not isinstance(value, self._protocol()):
            raise OptionError(f"{value!r} is no {self.what}; wanted one of {', '.join(self.names())}, or its JSON.")
        return value

    def _of(self, name: str) -> str:
        return f"The {self.what} {name!r}"

    def _kind(self, name: str) -> type[Frozen]:
        if name in self.built_in:
            return _imported(self.built_in[name])
        points = announced(self.group).get(name, [])
        if not points:
            raise UnknownNameError(f"No {self.what} is named {name!r}: {nearest(name, self.names())}")
        kind: type[Frozen] = load(self._of(name), points)
        self._check(name, kind, points[0])
        return kind

    def _check(self, name: str, kind: Any, point: EntryPoint) -> None:
        """Refuse what could be neither saved nor called."""
        wrong = None
        if not (isinstance(kind, type) and issubclass(kind, Frozen)):
            wrong = "is no subclass of sepkit.config.Frozen"
        elif "name" not in kind.model_fields or kind.model_fields["name"].default != name:
            wrong = f"has no field `name: Literal[{name!r}] = {name!r}`, so its JSON could not be read back"
        elif not issubclass(kind, self._protocol()):
            wrong = f"lacks a method of {self.protocol.replace(':', '.')}"
        if wrong:
            raise PluginError(f"{self._of(name)} of {source(point)}: {point.value!r} {wrong}.")

    def _protocol(self) -> Any:
        return _imported(self.protocol)


SCHEDULES = Family(
    "schedule",
    "sepkit.schedules",
    "sepkit.diffusion.schedules:Schedule",
    {
        "discrete_betas": "sepkit.diffusion.betas:DiscreteBetas",
        "given_betas": "sepkit.diffusion.betas:GivenBetas",
        "half_circle": "sepkit.diffusion.schedules:HalfCircle",
        "karras": "sepkit.diffusion.schedules:Karras",
    },
)
OBJECTIVES = Family(
    "objective",
    "sepkit.objectives",
    "sepkit.diffusion.objectives:Objective",
    {
        "complement": "sepkit.diffusion.objectives:Complement",
        "edm": "sepkit.diffusion.objectives:Edm",
        "noise": "sepkit.diffusion.objectives:NoiseEstimate",
        "noise_at_sigma": "sepkit.diffusion.objectives:NoiseAtSigma",
        "signal": "sepkit.diffusion.objectives:SignalEstimate",
        "velocity": "sepkit.diffusion.objectives:Velocity",
    },
)
SAMPLERS = Family(
    "sampler",
    "sepkit.samplers",
    "sepkit.diffusion.samplers:Sampler",
    {
        "churned_euler": "sepkit.diffusion.samplers:ChurnedEuler",
        "ddim": "sepkit.diffusion.samplers:Ddim",
        "dpm_solver_2m": "sepkit.diffusion.samplers:DpmSolver2M",
        "heun": "sepkit.diffusion.samplers:Heun",
        "renewed": "sepkit.diffusion.samplers:Renewed",
    },
)


def list_schedules() -> list[str]:
    """The names that `get_schedule` takes."""
    return SCHEDULES.names()


def list_objectives() -> list[str]:
    """The names that `get_objective` takes."""
    return OBJECTIVES.names()


def list_samplers() -> list[str]:
    """The names that `get_sampler` takes."""
    return SAMPLERS.names()


def get_schedule(name: str, **settings: Any) -> Schedule:
    """The schedule of that name: `get_schedule("karras", sigma_min=1e-4, sigma_max=1.0)`.

    Raises UnknownNameError or OptionError with the nearest name, or PluginError that names the plugin.
    """
    return SCHEDULES.get(name, settings)


def get_objective(name: str, **settings: Any) -> Objective:
    """The objective of that name: `get_objective("edm", sigma_data=0.2)`; raises as `get_schedule`."""
    return OBJECTIVES.get(name, settings)


def get_sampler(name: str, **settings: Any) -> Sampler:
    """The sampler of that name: `get_sampler("ddim", steps=50, eta=0.4)`; raises as `get_schedule`."""
    return SAMPLERS.get(name, settings)


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _to_json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Frozen) else value


ScheduleSetting = Annotated[Schedule, PlainValidator(SCHEDULES.from_json), PlainSerializer(_to_json)]
"""A field of a config that holds a schedule, of sepkit's or a plugin's; reads and writes `{"name": ..., ...}`."""

ObjectiveSetting = Annotated[Objective, PlainValidator(OBJECTIVES.from_json), PlainSerializer(_to_json)]
"""A field of a config that holds an objective."""

SamplerSetting = Annotated[Sampler, PlainValidator(SAMPLERS.from_json), PlainSerializer(_to_json)]
"""A field of a config that holds a sampler."""
