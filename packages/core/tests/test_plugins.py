"""Laws of other packages' names: found and loaded one by one, a broken one warned of once, built-in ones untouched."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sepkit.codecs import get_codec, list_codecs
from sepkit.diffusion import HalfCircle, get_sampler, get_schedule, list_objectives, list_samplers, list_schedules
from sepkit.errors import PluginError, UnknownNameError
from sepkit.evaluation.engines import WHOLE_TRACK
from sepkit.evaluation.metric_facts import higher_is_better, unit
from sepkit.evaluation.metrics import find_metric, list_metrics
from sepkit.evaluation.metrics.plugins import track_metric
from sepkit.evaluation.recipe import find_recipe, recipe_names
from sepkit.plugins import PluginWarning

Announce = Callable[..., Path]
LISTS = {
    "sepkit.samplers": list_samplers,
    "sepkit.schedules": list_schedules,
    "sepkit.objectives": list_objectives,
    "sepkit.codecs": list_codecs,
    "sepkit.metrics": list_metrics,
}
METRIC = """
    import numpy as np
    from sepkit.errors import AudioError
    from sepkit.evaluation.metrics import Metric, TrackMetric

    def peak(reference, estimate, mixture, sample_rate):
        if not reference.any():
            raise AudioError("the reference is silent")
        assert sample_rate == 8000 and mixture.dtype == np.float64
        return float(np.abs(reference - estimate).max())

    def spoil(reference, estimate, mixture, sample_rate):
        estimate *= 0
        return 1.0

    PEAK = TrackMetric(Metric("peak", "V", False, 0.0, float("inf"), "the largest difference"), peak)
    SPOIL = TrackMetric(Metric("spoil", "", True, 0.0, 1.0, "writes into what it was given"), spoil)
"""
SAMPLER = """
    from typing import Literal
    from sepkit.config import Frozen

    class Leap(Frozen):
        name: Literal["leap"] = "leap"
        steps: int = 1

        def __call__(self, denoise, start, schedule, noise, *, first=0):
            return denoise(start, schedule.levels(self.steps)[first])

        def iterate(self, denoise, start, schedule, noise, *, first=0):
            raise NotImplementedError
"""
CODEC = """
    from sepkit.codecs import Waveform

    def short(sample_rate=8000):
        return Waveform(sample_rate=sample_rate, audio_channels=2)
"""


@pytest.mark.parametrize("group", LISTS)
def test_every_group_lists_a_plugin_without_importing_it(announce: Announce, group: str) -> None:
    announce("loud", "raise SystemExit('imported')", target="things:Loud", group=group)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "loud" in LISTS[group]()
    assert "sepkit_loud" not in sys.modules


@pytest.mark.parametrize("group", LISTS)
def test_a_broken_plugin_is_left_out_with_one_warning_that_names_it(announce: Announce, group: str) -> None:
    announce("fine", "", target="things:Fine", group=group)
    announce("gone", None, target="things:Gone", group=group)
    with pytest.warns(PluginWarning, match=r"'gone' of sepkit-gone is left out: module 'sepkit_gone\.things'") as said:
        names = [name for _ in range(2) for name in LISTS[group]()]
    assert len(said) == 1
    assert names.count("fine") == 2
    assert "gone" not in names


def test_importing_sepkit_reads_no_entry_point(announce: Announce) -> None:
    for group in LISTS:
        announce("loud", "raise SystemExit('imported')", target="things:Loud", group=group)
    code = (
        "import importlib.metadata as metadata\n"
        "real = metadata.entry_points\n"
        "def guarded(**given):\n"
        "    assert not given['group'].startswith('sepkit.'), given\n"
        "    return real(**given)\n"
        "metadata.entry_points = guarded\n"
        "import sepkit, sepkit.diffusion, sepkit.codecs, sepkit.evaluation.recipe\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_plugins_sampler_and_codec_are_built_by_name(announce: Announce) -> None:
    announce("leap", SAMPLER, target="samplers:Leap", group="sepkit.samplers")
    announce("short", CODEC, target="codecs:short", group="sepkit.codecs")
    leap = get_sampler("leap", steps=3)
    assert leap.model_dump() == {"name": "leap", "steps": 3}
    assert leap(lambda x, level: x * level.sigma, 2.0, HalfCircle(), None) == 2.0 * HalfCircle().levels(3)[0].sigma
    assert get_codec("short").audio_channels == 2


@pytest.mark.parametrize(
    ("get", "group"),
    [(get_sampler, "sepkit.samplers"), (get_schedule, "sepkit.schedules"), (get_codec, "sepkit.codecs"),
     (track_metric, "sepkit.metrics")],
)  # fmt: skip
def test_getting_a_plugin_that_fails_says_which_and_why(announce: Announce, get: Callable, group: str) -> None:
    announce("bad", "import a_module_that_is_not_there", target="things:Bad", group=group)
    with pytest.raises(PluginError, match=r"'bad' of sepkit-bad .*a_module_that_is_not_there.* Repair or uninstall"):
        get("bad")
    announce("bad", "", target="things:Bad", group=group, distribution="another-bad")
    with pytest.raises(PluginError, match=r"(?=.*sepkit-bad)(?=.*another-bad).*uninstall one"):
        get("bad")


def scored(recipe: str, reference: np.ndarray, estimate: np.ndarray) -> dict[str, tuple[float | None, str | None]]:
    rest = np.zeros_like(reference)
    rows = find_recipe(recipe).score(
        {"vocals": reference, "other": rest}, {"vocals": estimate, "other": rest}, reference + rest, 8000
    )
    return {row.stem: (row.value, row.reason) for row in rows}


def test_a_plugins_metric_is_a_recipe_of_its_name(announce: Announce) -> None:
    announce("peak", METRIC, target="measures:PEAK", group="sepkit.metrics")
    assert "peak" in recipe_names()
    assert "sepkit-peak" in find_recipe("peak").source
    assert "sepkit_peak" not in sys.modules  # nothing was imported until it is asked for more
    assert (higher_is_better("peak"), unit("peak")) == (False, "V")
    sine = np.sin(np.arange(800, dtype=np.float32) / 7)[None]
    found = scored("peak", sine, sine - np.float32(0.25))
    assert found["vocals"] == (pytest.approx(0.25, abs=1e-6), None)
    assert found["other"] == (None, "the reference is silent")


def test_a_metric_that_fails_leaves_a_reason_and_harms_neither_inputs_nor_others(announce: Announce) -> None:
    announce("spoil", METRIC, target="measures:SPOIL", group="sepkit.metrics")
    sine = np.sin(np.arange(800) / 7)[None]
    kept = sine.copy()
    value, reason = scored("spoil", sine, sine)["vocals"]
    assert value is None
    assert "the metric spoil failed: ValueError" in str(reason)
    np.testing.assert_array_equal(sine, kept)


def test_a_metric_that_cannot_be_imported_is_warned_of_once_and_blank(announce: Announce) -> None:
    announce("torn", "x = 1 +", target="measures:TORN", group="sepkit.metrics")
    with pytest.warns(PluginWarning, match=r"'torn' of sepkit-torn .*SyntaxError") as said:
        assert [higher_is_better("torn"), higher_is_better("torn"), unit("torn")] == [True, True, ""]
    assert len(said) == 1
    sine = np.sin(np.arange(800) / 7)[None]
    value, reason = scored("torn", sine, sine)["vocals"]
    assert value is None
    assert "SyntaxError" in str(reason)
    assert scored("sdx23", sine, sine)["vocals"][1] is None


def test_a_built_in_metric_stays_what_it_is(announce: Announce) -> None:
    announce("sdr_mdx", METRIC, target="measures:PEAK", group="sepkit.metrics")
    assert unit("sdr_mdx") == "dB"
    assert list_metrics().count("sdr_mdx") == 1
    with pytest.raises(UnknownNameError, match="'sdr_mdx' is"):
        find_recipe("sdr_mdx")
    assert all(find_metric(name) is not None for names in WHOLE_TRACK for name in names)


@pytest.mark.parametrize(("target", "message"), [("PEAK", "is named 'peak'"), ("peak", "is no TrackMetric")])
def test_a_metric_must_be_what_it_is_announced_as(announce: Announce, target: str, message: str) -> None:
    announce("else_", METRIC, target=f"measures:{target}", group="sepkit.metrics")
    with pytest.raises(PluginError, match=message):
        track_metric("else_")


def test_a_recipe_of_a_broken_metric_is_refused_at_once(announce: Announce) -> None:
    announce("gone", None, target="measures:GONE", group="sepkit.metrics")
    with pytest.raises(PluginError, match=r"'gone' of sepkit-gone is broken"):
        find_recipe("gone")
