"""Diffusion: levels, schedules, objectives, samplers and noise, each a small family that fits any of the others."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .betas import DiscreteBetas as DiscreteBetas
    from .betas import GivenBetas as GivenBetas
    from .level import Denoiser as Denoiser
    from .level import Level as Level
    from .level import blend as blend
    from .level import renoise as renoise
    from .level import step as step
    from .loss import diffusion_loss as diffusion_loss
    from .names import ObjectiveSetting as ObjectiveSetting
    from .names import SamplerSetting as SamplerSetting
    from .names import ScheduleSetting as ScheduleSetting
    from .names import get_objective as get_objective
    from .names import get_sampler as get_sampler
    from .names import get_schedule as get_schedule
    from .names import list_objectives as list_objectives
    from .names import list_samplers as list_samplers
    from .names import list_schedules as list_schedules
    from .noise_sources import KeyedNoise as KeyedNoise
    from .noise_sources import NoiseSource as NoiseSource
    from .noise_sources import highpass as highpass
    from .objectives import Complement as Complement
    from .objectives import Edm as Edm
    from .objectives import NoiseAtSigma as NoiseAtSigma
    from .objectives import NoiseEstimate as NoiseEstimate
    from .objectives import Objective as Objective
    from .objectives import SignalEstimate as SignalEstimate
    from .objectives import Velocity as Velocity
    from .objectives import denoiser as denoiser
    from .samplers import ChurnedEuler as ChurnedEuler
    from .samplers import Ddim as Ddim
    from .samplers import DpmSolver2M as DpmSolver2M
    from .samplers import Heun as Heun
    from .samplers import Iterate as Iterate
    from .samplers import Renewed as Renewed
    from .samplers import Sampler as Sampler
    from .schedules import HalfCircle as HalfCircle
    from .schedules import Karras as Karras
    from .schedules import LogNormalSigma as LogNormalSigma
    from .schedules import Schedule as Schedule

_FILES = {
    "betas": ("DiscreteBetas", "GivenBetas"),
    "level": ("Denoiser", "Level", "blend", "renoise", "step"),
    "loss": ("diffusion_loss",),
    "names": (
        "ObjectiveSetting",
        "SamplerSetting",
        "ScheduleSetting",
        "get_objective",
        "get_sampler",
        "get_schedule",
        "list_objectives",
        "list_samplers",
        "list_schedules",
    ),
    "noise_sources": ("KeyedNoise", "NoiseSource", "highpass"),
    "objectives": (
        "Complement",
        "Edm",
        "NoiseAtSigma",
        "NoiseEstimate",
        "Objective",
        "SignalEstimate",
        "Velocity",
        "denoiser",
    ),
    "samplers": ("ChurnedEuler", "Ddim", "DpmSolver2M", "Heun", "Iterate", "Renewed", "Sampler"),
    "schedules": ("HalfCircle", "Karras", "LogNormalSigma", "Schedule"),
}
_HOMES = {name: file for file, names in _FILES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that listing names stays free of torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
