"""Laws of diffusion by name: every member is found, saved and read back; plugins join; refusals name the remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sepkit.config import Frozen, validated
from sepkit.diffusion import (
    Ddim,
    DiscreteBetas,
    HalfCircle,
    Karras,
    NoiseAtSigma,
    ObjectiveSetting,
    SamplerSetting,
    ScheduleSetting,
    get_objective,
    get_sampler,
    get_schedule,
    list_objectives,
    list_samplers,
    list_schedules,
)
from sepkit.errors import OptionError, PluginError, UnknownNameError

SETTINGS = {
    "discrete_betas": {"start": 1e-4, "end": 0.02, "count": 10},
    "given_betas": {"values": (0.1, 0.2)},
    "half_circle": {"noisiest": 0.9},
    "karras": {"sigma_min": 0.1, "sigma_max": 1.0},
    "complement": {},
    "edm": {"sigma_data": 0.2},
    "noise": {},
    "noise_at_sigma": {"trained": DiscreteBetas(kind="cosine", count=10)},
    "signal": {},
    "velocity": {},
    "churned_euler": {"steps": 3, "churn": 2.0, "passes": 2},
    "ddim": {"steps": 3, "eta": 0.4},
    "dpm_solver_2m": {"steps": 3},
    "heun": {"steps": 3},
    "renewed": {"steps": 3},
}
PLUGIN = """
    from typing import Literal
    from sepkit.config import Frozen
    from sepkit.diffusion import Level

    class Straight(Frozen):
        name: Literal["straight"] = "straight"
        sigma_max: float = 1.0

        def level(self, t):
            return Level(1.0 - t, t, t)

        def levels(self, steps):
            return [self.level(1 - i / steps) for i in range(steps + 1)]

        def at_ratio(self, ratio):
            return self.level(ratio / (1 + ratio))

        def random(self, count, generator):
            import torch
            return self.level(torch.rand(count, generator=generator, dtype=torch.float64))

    class Nameless(Straight):
        name: Literal["else"] = "else"

    class Halved(Frozen):
        name: Literal["straight"] = "straight"

    class Plain:
        name = "straight"
"""


class Config(Frozen):
    """A method's config, as a checkpoint would store it."""

    schedule: ScheduleSetting
    objective: ObjectiveSetting
    sampler: SamplerSetting = Ddim(steps=8)


@pytest.mark.parametrize(
    ("names", "get"), [(list_schedules, get_schedule), (list_objectives, get_objective), (list_samplers, get_sampler)]
)
def test_every_name_gives_a_value_that_its_json_gives_back(names: Callable, get: Callable) -> None:
    assert names() == sorted(names())
    for name in names():
        value = get(name, **SETTINGS[name])
        assert value.name == name
        assert type(value).model_validate_json(value.model_dump_json()) == value
        assert get(**json.loads(value.model_dump_json())) == value


def test_a_config_names_what_it_uses_and_round_trips() -> None:
    schedule, inner = Karras(sigma_min=1e-4, sigma_max=1.0), DiscreteBetas(kind="cosine", count=9)
    config = Config(schedule=schedule, objective=NoiseAtSigma(trained=inner), sampler={"name": "heun", "steps": 4})
    stored = json.loads(config.model_dump_json())
    assert stored["schedule"] == {"name": "karras", "sigma_min": 1e-4, "sigma_max": 1.0, "rho": 7.0}
    assert stored["objective"]["trained"]["kind"] == "cosine"
    assert Config.model_validate(stored) == config
    assert Config.model_validate(config.model_dump()) == config
    assert hash(Config.model_validate(stored)) == hash(config)
    assert Config(schedule="half_circle", objective="velocity").schedule == HalfCircle()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "karras", "sigma_min": 1.0, "sigma_max": 0.1}, "wanted less than sigma_max"),
        ({"name": "karras", "sigma_mni": 1.0, "sigma_max": 2.0}, "did you mean 'sigma_min'"),
        ({"sigma_min": 1.0}, "wanted its 'name'"),
        (Ddim(steps=3), "is no schedule"),
        (3, "is no schedule"),
    ],
)
def test_a_config_refuses_what_is_no_schedule(given: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        validated(Config, {"schedule": given, "objective": "velocity"}, "The config")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "linear", "count": 5}, "both start and end"),
        ({"kind": "cosine", "count": 5, "start": 0.1}, "neither start nor end"),
        ({"start": 0.1, "end": 1.5, "count": 5}, "less than 1"),
        ({"start": 0.1, "end": 0.2, "count": 0}, "greater than 0"),
    ],
)
def test_betas_that_make_no_schedule_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        get_schedule("discrete_betas", **settings)
    with pytest.raises(OptionError, match=r"beta 0\.0"):
        get_schedule("given_betas", values=(0.1, 0.0))


def test_steps_that_a_schedule_cannot_make_are_refused() -> None:
    ten = DiscreteBetas(start=0.1, end=0.2, count=10)
    with pytest.raises(OptionError, match="has 10 steps and was asked for 11"):
        ten.levels(11)
    with pytest.raises(OptionError, match="begins at step 11"):
        ten.model_copy(update={"spacing": "leading", "offset": 1}).levels(10)
    with pytest.raises(OptionError, match="lies outside"):
        ten.level(10.5)
    for schedule in (ten, HalfCircle(), Karras(sigma_min=0.1, sigma_max=1.0)):
        with pytest.raises(OptionError, match="asked for 0 steps"):
            schedule.levels(0)
    with pytest.raises(OptionError, match="wanted 0 to 2"):
        list(Ddim(steps=3).iterate(lambda x, level: x, None, ten, None, first=3))


def test_an_unknown_name_or_option_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"No schedule is named 'karas': did you mean 'karras'\?"):
        get_schedule("karas")
    with pytest.raises(UnknownNameError, match=r"No sampler is named 'ddmi': did you mean 'ddim'\?"):
        get_sampler("ddmi")
    with pytest.raises(OptionError, match=r"The sampler 'ddim' has no option 'ete': did you mean 'eta'"):
        get_sampler("ddim", steps=3, ete=1)
    with pytest.raises(OptionError, match=r"The sampler 'ddim': option 'eta' was given 2"):
        get_sampler("ddim", steps=3, eta=2)


def test_a_plugin_adds_a_schedule(announce: Callable[..., Path]) -> None:
    announce("straight", PLUGIN, target="schedules:Straight", group="sepkit.schedules")
    assert "straight" in list_schedules()
    schedule = get_schedule("straight")
    assert schedule.levels(2)[1].t == 0.5
    config = Config(schedule=schedule, objective="velocity")
    assert Config.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(OptionError, match="did you mean 'sigma_max'"):
        get_schedule("straight", sigma_mx=2)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("import a_module_that_is_not_there", "schedules:Straight", "a_module_that_is_not_there"),
        (PLUGIN, "schedules:Nameless", "no field `name: Literal"),
        (PLUGIN, "schedules:Halved", "lacks a method of sepkit.diffusion.schedules.Schedule"),
        (PLUGIN, "schedules:Plain", "no subclass of sepkit.config.Frozen"),
    ],
)
def test_a_broken_plugin_is_named_while_others_run(
    announce: Callable[..., Path], source: str, target: str, message: str
) -> None:
    announce("straight", source, target=target, group="sepkit.schedules")
    with pytest.raises(PluginError, match=message) as caught:
        get_schedule("straight")
    assert "'straight' of sepkit-straight" in str(caught.value)
    assert get_schedule("half_circle") == HalfCircle()


def test_a_name_announced_twice_is_refused_by_naming_both(announce: Callable[..., Path]) -> None:
    for distribution in ("first-plugin", "second-plugin"):
        announce("straight", PLUGIN, target="schedules:Straight", group="sepkit.schedules", distribution=distribution)
    with pytest.raises(PluginError, match=r"(?=.*first-plugin)(?=.*second-plugin)"):
        get_schedule("straight")


def test_a_plugin_cannot_change_what_a_built_in_name_means(announce: Callable[..., Path]) -> None:
    announce("karras", PLUGIN, target="schedules:Straight", group="sepkit.schedules")
    assert type(get_schedule("karras", **SETTINGS["karras"])) is Karras


def test_listing_imports_neither_plugins_nor_torch(announce: Callable[..., Path]) -> None:
    announce("loud", "raise SystemExit('imported')", target="schedules:Loud", group="sepkit.schedules")
    code = (
        "import sys; from sepkit.diffusion import list_schedules, list_samplers, list_objectives\n"
        "assert 'loud' in list_schedules() and list_samplers() and list_objectives()\n"
        "assert not {'torch', 'scipy', 'sepkit_loud'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
