"""Laws of recipes: names, silence, overlapping stems, aggregation; and parity with museval where it can be imported."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sepkit.errors import AudioError, MissingExtraError, OptionError, SepkitError, UnknownNameError
from sepkit.evaluation import museval_engine
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.recipe import RECIPES, aggregate, find_recipe, split_overlapping

RATE = 8000


def stems(*names: str, seconds: float = 9.0, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: 0.1 * rng.standard_normal((2, int(seconds * RATE))) for name in names}


def values(recipe: str, references, estimates, mixture) -> dict[tuple[str, str], float | None]:
    return {(row.stem, row.metric): row.value for row in RECIPES[recipe].score(references, estimates, mixture, RATE)}


def museval_or_skip():
    try:
        return museval_engine.load_museval()
    except SepkitError as error:
        pytest.skip(str(error))


def test_names_of_metrics_carry_their_definition_and_are_unique():
    metrics = {metric for recipe in RECIPES.values() for metric in recipe.metrics}
    assert not {"sdr", "isr", "sir", "sar"} & metrics
    assert all(recipe.source for recipe in RECIPES.values())


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'sdx23'"):
        find_recipe("sdx32")
    with pytest.raises(OptionError, match="no windows"):
        _ = RECIPES["sdx23"].framing


def test_every_recipe_gives_every_stem_every_metric_and_says_why_when_it_cannot():
    truth = stems("vocals", "drums", seconds=3)
    truth["drums"][:] = 0.0
    mixture = truth["vocals"] + truth["drums"]
    for recipe in RECIPES.values():
        rows = recipe.score(truth, truth, mixture, RATE)
        assert {(r.stem, r.metric) for r in rows} == {(s, m) for s in truth for m in recipe.metrics}
        assert all((row.value is None) == (row.reason is not None) for row in rows)
        assert all(row.value is None or np.isfinite(row.value) for row in rows)
    assert values("msdm_slakh", truth, truth, mixture)[("vocals", "si_sdri_4s")] is None  # nothing to separate


def test_accompaniment_beside_finer_stems_is_scored_against_vocals_alone():
    assert split_overlapping(["vocals", "accompaniment"]) == (["vocals", "accompaniment"], [])
    assert split_overlapping(["vocals", "drums", "accompaniment"]) == (
        ["vocals", "drums"],
        ["vocals", "accompaniment"],
    )
    truth = stems("vocals", "drums", "bass")
    mixture = sum(truth.values())
    both = {**truth, "accompaniment": truth["drums"] + truth["bass"]}
    estimates = dict.fromkeys(both, mixture)
    for recipe in ("sdx23", "msdm_slakh"):
        together = values(recipe, both, estimates, mixture)
        alone = values(recipe, truth, dict.fromkeys(truth, mixture), mixture)
        pair = {stem: both[stem] for stem in ("vocals", "accompaniment")}
        two = values(recipe, pair, dict.fromkeys(pair, mixture), mixture)
        assert {key: value for key, value in together.items() if key[0] != "accompaniment"} == alone
        assert {key: value for key, value in together.items() if key[0] == "accompaniment"} == {
            key: value for key, value in two.items() if key[0] == "accompaniment"
        }


def test_both_silence_variants_differ_only_by_windows_in_which_the_stem_is_silent():
    truth = stems("vocals", "drums", "bass", seconds=16)
    truth["vocals"][:, 8 * RATE :] = 0.0
    mixture = sum(truth.values())
    estimates = {stem: 0.5 * x + 0.1 * mixture for stem, x in truth.items()}
    rows = {(r.stem, r.metric): r for r in RECIPES["msdm_slakh"].score(truth, estimates, mixture, RATE)}
    assert rows[("vocals", "si_sdri_4s")].windows == 7
    assert rows[("vocals", "si_sdri_4s_active")].windows == 4
    assert rows[("drums", "si_sdri_4s")].value == rows[("drums", "si_sdri_4s_active")].value
    assert rows[("vocals", "si_sdri_4s")].value != rows[("vocals", "si_sdri_4s_active")].value


def test_stems_of_only_one_side_are_not_scored_and_a_wrong_length_is_an_error():
    truth = stems("vocals", "drums", seconds=1)
    mixture = sum(truth.values())
    assert set(values("sdx23", truth, {"vocals": mixture, "horn": mixture}, mixture)) == {("vocals", "sdr_mdx")}
    with pytest.raises(AudioError, match=r"estimate of drums has the shape \(2, 7999\)"):
        values("sdx23", truth, {"vocals": mixture, "drums": mixture[:, 1:]}, mixture)


def test_aggregation_over_tracks():
    assert aggregate([], [], "mean") is None
    assert aggregate([1.0, 2.0, 9.0], [None] * 3, "median") == 2.0
    assert aggregate([1.0, 4.0], [None] * 2, "mean") == 2.5
    assert aggregate([1.0, 4.0], [3, 1], "window_mean") == 1.75  # the mean over all four windows


def test_museval_missing_is_a_reason_with_the_line_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "museval", None)
    with pytest.raises(MissingExtraError, match=r"sepkit\[eval\]"):
        museval_engine.load_museval()
    truth = stems("vocals", "drums", seconds=2)
    rows = RECIPES["museval_v4"].score(truth, truth, sum(truth.values()), RATE)
    assert len(rows) == 8
    assert all(row.value is None and "pip install" in str(row.reason) for row in rows)


def test_ffmpeg_missing_is_named(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "museval":
                raise RuntimeError("ffmpeg or ffprobe could not be found!")

    monkeypatch.delitem(sys.modules, "museval", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(museval_engine.EngineError, match="apt-get install ffmpeg"):
        museval_engine.load_museval()


def test_medians_are_those_of_museval_itself():
    museval = museval_or_skip()
    truth = stems("vocals", "drums", seconds=3.5, seed=1)
    mixture = sum(truth.values())
    estimates = {stem: x + 0.2 * np.roll(mixture, 3, axis=1) for stem, x in truth.items()}
    estimates["drums"][:, RATE : 2 * RATE] = 0.0  # a silent window is NaN for all stems
    store = museval.evaluate(*(np.stack([x[stem].T for stem in truth]) for x in (truth, estimates)), win=RATE, hop=RATE)
    ours = values("museval_v4", truth, estimates, mixture)
    for name, measured in zip(("sdr", "isr", "sir", "sar"), store, strict=True):
        assert np.isnan(measured[:, 1]).all()
        for stem, frames in zip(truth, measured, strict=True):
            assert ours[(stem, f"{name}_bss4_median")] == pytest.approx(np.nanmedian(np.round(frames, 5)), abs=1e-9)


def test_museval_sdr_of_one_window_is_the_closed_form():
    museval_or_skip()
    truth = stems("vocals", "drums", seconds=1, seed=2)
    mixture = sum(truth.values())
    estimates = {stem: 0.7 * x + 0.2 * mixture for stem, x in truth.items()}
    ours = values("museval_v4", truth, estimates, mixture)
    for stem in truth:
        assert ours[(stem, "sdr_bss4_median")] == pytest.approx(float(sdr_mdx(truth[stem], estimates[stem])), abs=1e-5)


def test_a_track_that_museval_refuses_is_undefined_with_the_stem_named():
    museval_or_skip()
    truth = stems("vocals", "drums", seconds=2)
    silent = {**truth, "drums": np.zeros_like(truth["drums"])}
    mixture = sum(truth.values())
    for references, estimates, word in ((silent, truth, "drums"), (truth, silent, "refuses")):
        rows = RECIPES["museval_v4"].score(references, estimates, mixture, RATE)
        assert all(row.value is None and word in str(row.reason) for row in rows)
