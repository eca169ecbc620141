"""The conformance kit passes methods that keep the contract, and each of its cases catches a method that doesn't."""

from __future__ import annotations

import subprocess
import sys
import unittest
from collections.abc import Callable
from fnmatch import fnmatch

import pytest

from sepkit.registry import register
from sepkit.separator import Separator, WindowModel
from sepkit.testing import CaseResult, SeparatorConformance, run_conformance
from sepkit.testing import broken_models as models
from sepkit.testing import broken_separators as separators
from sepkit.testing.cases import CASES
from sepkit.testing.conformance import run_case
from sepkit.testing.fakes import Identity, Noisy, Split
from sepkit.testing.subject import Subject

BROKEN: list[tuple[Callable[[], Separator | WindowModel], str, str]] = [
    # what is broken, the cases that must catch it, words of the reason
    (models.WrongLength, "promises", "1023"),
    (models.WrongLength, "windows_untouched", "1023"),
    (lambda: models.StemsLast(channels=1), "windows_untouched", "b s c t"),
    (models.NanAtWindow, "promises", "window 2"),
    (models.DividesByPeak, "signal_silence", "nan"),
    (models.DividesByPeak, "consistency_of_silence", "nan"),
    (models.Overflows, "level_plus_120_db", "nan"),
    (models.Overflows, "level_minus_120_db", "sum of the stems"),
    (models.Quieter, "promises", "sum of the stems"),
    (models.Quieter, "signal_dc", "sum of the stems"),
    (models.Quieter, "signal_impulse", "sum of the stems"),
    (models.Quieter, "signal_full_scale_square", "sum of the stems"),
    (models.Clips, "level_plus_120_db", "sum of the stems"),
    (models.WritesIntoWindows, "windows_untouched", "wrote into"),
    (models.Dithers, "same_twice", "differ by up to"),
    (models.Dithers, "global_state_untouched", "global state of torch"),
    (models.DithersByNumpy, "global_state_untouched", "numpy.random"),
    (models.DithersByPython, "global_state_untouched", "of random"),
    (models.SeedsTheWorld, "global_state_untouched", "global state of torch"),
    (models.RandomWhenBuilt, "global_state_untouched", "building it moved"),
    (models.SetsThreads, "global_state_untouched", "threads"),
    (models.Remembers, "same_twice", "differ by up to"),
    (models.BatchDependent, "batch_size", "in batches of 3"),
    (models.NoisyByCall, "batch_size", "in batches of 3"),
    (models.ThreadDependent, "thread_count", "with 2 threads"),
    (models.SecretlyRandom, "seed", "info.random is False"),
    (models.IgnoresSeed, "seed", "seeds 1 and 2"),
    (models.OneWindowOnly, "promises", "PluginError"),
    (lambda: models.OneWindowOnly(fixed_window=True, window_samples=4096), "default_window", "PluginError"),
    (models.NewSettingsEachTime, "qualities", "differ from call to call"),
    (models.NoBest, "qualities", "'best' is refused"),
    (models.StepsAreAKeyError, "qualities", "KeyError"),
    (models.Worsens, "last_estimate", "last estimate"),
    (separators.MutatesInput, "input_untouched", "torch tensor was changed"),
    (separators.Renames, "promises", "LOW"),
    (separators.DropsLastSample, "length_[!e]*", "as the mixture"),
    (separators.DropsLastSample, "rate_*", "as the mixture"),
    (separators.DropsLastSample, "channels_*", "as the mixture"),
    (separators.DropsLastSample, "default_window", "as the mixture"),
    (separators.EmptyIsAnError, "length_empty", "TensorList"),
    (separators.OwnRateOut, "rate_[!8]*", "as the mixture"),
    (separators.StereoOut, "channels_[16]", "as the mixture"),
    (separators.NoResidual, "promises", "no residual"),
    (separators.SilentResidual, "stem_selection", "stems plus residual"),
    (separators.IgnoresConsistency, "consistency_[uew]*", "sum of the stems"),
    (separators.ReplacesNan, "non_finite_input_*", "wanted AudioError"),
    (separators.IgnoresUnknown, "unknown_stem", "nothing was raised"),
    (separators.IgnoresUnknown, "unknown_quality", "nothing was raised"),
    (separators.IgnoresUnknown, "unknown_consistency", "nothing was raised"),
    (separators.IntegersAsFloats, "wrong_input", "nothing was raised"),
    (separators.MonoIsAnError, "one_dimensional_input", "IndexError"),
    (separators.FilesDiffer, "input_kinds", "from a file"),
    (separators.ThinProvenance, "provenance", "lacks"),
    (separators.ProvenanceOfObjects, "provenance", "no strict JSON"),
    (separators.NoProgress, "progress", "never called"),
    (separators.SavesSixteenBits, "saved_and_read_again", "changed by saving"),
    (separators.StreamsInPieces, "stream_*", "streamed"),
]


@pytest.mark.parametrize(("build", "pattern", "words"), BROKEN)
def test_a_broken_method_is_caught_by_the_case_for_it(
    build: Callable[[], Separator | WindowModel], pattern: str, words: str
) -> None:
    subject = Subject(build)
    results = [run_case(case, subject) for case in CASES if fnmatch(case.name, pattern)]
    assert results, f"no case matches {pattern}"
    for result in results:
        assert not result.passed, result
        assert words in result.reason


def test_every_case_is_shown_to_catch_something() -> None:
    patterns = [pattern for _, pattern, _ in BROKEN]
    by_name = {"unknown_option"}  # needs a method with a name: below
    assert [case.name for case in CASES if not any(fnmatch(case.name, p) for p in patterns)] == sorted(by_name)


GOOD: list[Callable[[], Separator | WindowModel]] = [
    lambda: Identity(channels=1, sample_rate=44_100),
    lambda: Split(window_samples=None, overlap_samples=0),
    lambda: Split(window_samples=777, overlap_samples=500, fixed_window=True, sample_rate=22_050),
    lambda: Split(window_samples=9000, overlap_samples=10),  # longer than what the kit takes to save time
    Noisy,
    separators.WholeSeparator,
]


@pytest.mark.parametrize("build", GOOD)
def test_a_method_that_keeps_the_contract_passes(build: Callable[[], Separator | WindowModel]) -> None:
    assert [result for result in run_conformance(build()) if not result.passed] == []


class TestSplit(SeparatorConformance):
    """The class as a plugin's author uses it, on an object."""

    def make(self) -> WindowModel:
        return Split()


class TestNamed(SeparatorConformance):
    """The class as a plugin's author uses it, on a name."""

    name = "kit_split"

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def announced() -> object:
        with register("kit_split", lambda: Split()):
            yield


class Broken(SeparatorConformance):
    """Not collected: its name doesn't begin with Test."""

    def make(self) -> WindowModel:
        return models.Quieter()


def test_the_class_has_one_test_for_each_case_and_fails_where_the_case_does() -> None:
    tests = {name for name in dir(SeparatorConformance) if name.startswith("test_")}
    assert tests == {f"test_{case.name}" for case in CASES}
    with pytest.raises(AssertionError, match="sum of the stems"):
        Broken().test_promises()  # type: ignore[attr-defined]
    Broken().test_seed()  # type: ignore[attr-defined]
    with pytest.raises(unittest.SkipTest, match="build function"):
        Broken().test_unknown_option()  # type: ignore[attr-defined]
    Broken.teardown_class()


def test_a_broken_promise_is_noticed_without_assertions_too() -> None:
    script = (
        "from sepkit.testing import run_conformance\n"
        "from sepkit.testing.broken_models import Quieter\n"
        "[result] = run_conformance(Quieter(), cases=['promises'])\n"
        "print(result.passed)\n"
    )
    ran = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_separator_is_built_once_for_a_class_and_closed_after_it() -> None:
    built: list[Split] = []
    closed: list[Split] = []

    class Closing(Split):
        def close(self) -> None:
            closed.append(self)

    class Kit(SeparatorConformance):
        def make(self) -> WindowModel:
            built.append(Closing())
            return built[-1]

    Kit().test_seed()  # type: ignore[attr-defined]
    Kit().test_promises()  # type: ignore[attr-defined]
    Kit.teardown_class()
    assert len(built) == 1
    assert closed == built


def test_an_option_that_is_swallowed_is_caught_by_name() -> None:
    def build(**options: object) -> Split:
        return Split()

    with register("swallows", build):
        [result] = run_conformance("swallows", cases=["unknown_option"])
    assert not result.passed
    assert "nothing was raised" in result.reason


def test_results_are_heard_as_they_come_and_a_method_that_cannot_be_built_fails_every_case() -> None:
    def build() -> Split:
        raise RuntimeError("weights are gone")

    heard: list[CaseResult] = []
    with register("unbuilt", build):
        results = run_conformance("unbuilt", on_result=heard.append)
    assert heard == results
    assert len(results) == len(CASES)
    assert all("weights are gone" in result.reason for result in results if not result.passed)
    assert sum(not result.passed for result in results) >= len(CASES) - 1


def test_case_names_are_identifiers_and_laws_are_told() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(f"test_{name}".isidentifier() for name in names)
    assert all(case.law for case in CASES)
