"""Laws of recipes: names, silence, overlapping stems, aggregation; and parity with museval where it can be imported."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from sepkit.errors import AudioError, MissingExtraError, OptionError, SepkitError, UnknownNameError
from sepkit.evaluation import engines, museval_engine
from sepkit.evaluation.bss_engine import bss_windows
from sepkit.evaluation.measured import Material
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.recipe import RECIPES, aggregate, find_recipe, split_overlapping
from sepkit.evaluation.score import Score
from sepkit.evaluation.value_notes import value_notes

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


STORED = {  # museval 0.4.1 on `band()`, in the order of SISEC_METRICS
    "vocals": (6.94114, 10.78879, 7.65513, 38.95731),
    "drums": (6.968835, 10.739615, 7.69588, 38.98486),
    "bass": (6.965575, 10.631155, 7.77261, 38.982105),
    "other": (7.00521, 10.72537, 7.77967, 39.01993),
}
SISEC_METRICS = ("sdr_bss4_median", "isr_bss4_median", "sir_bss4_median", "sar_bss4_median")


def band(seconds: float = 3.5, seed: int = 5) -> tuple[dict, dict, np.ndarray]:
    """Truths, estimates and mixture of four stems; one window has a silent reference."""
    truth = stems("vocals", "drums", "bass", "other", seconds=seconds, seed=seed)
    truth["bass"][:, :RATE] = 0.0
    mixture = sum(truth.values())
    return truth, {stem: 0.8 * x + 0.2 * np.roll(mixture, 3, axis=1) for stem, x in truth.items()}, mixture


def test_our_engine_gives_musevals_numbers_to_the_last_decimal_that_it_keeps():
    museval_or_skip()
    truth, estimates, mixture = band()
    subset = [{stem: x[stem] for stem in ("vocals", "bass")} for x in (truth, estimates)]  # four: the stored numbers
    ours, theirs = (RECIPES[name].score(*subset, mixture, RATE) for name in ("musdb18", "museval_v4"))
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.value == pytest.approx(other.value, abs=1.1e-5)
        assert one.windows == other.windows == 2
        np.testing.assert_allclose(one.frames.values, other.frames.values, atol=1e-6)
        assert one.frames[:2] == other.frames[:2]


def test_stored_numbers_of_museval():
    """Of museval 0.4.1; this needs neither it nor ffmpeg."""
    truth, estimates, mixture = band()
    rows = {(row.stem, row.metric): row for row in RECIPES["musdb18"].score(truth, estimates, mixture, RATE)}
    for stem, numbers in STORED.items():
        for metric, number in zip(SISEC_METRICS, numbers, strict=True):
            assert rows[stem, metric].value == pytest.approx(number, abs=1.1e-5)
            assert rows[stem, metric].windows == 2  # of three: in the first the bass is silent


def test_sisec18_and_musdb18_are_the_same_numbers_computed_once(monkeypatch):
    truth, estimates, mixture = band()
    calls = []
    monkeypatch.setattr(engines, "bss_windows", lambda *a, **k: calls.append(k) or bss_windows(*a, **k))
    pairs = ({"vocals": x["vocals"], "accompaniment": mixture - x["vocals"]} for x in (truth, estimates))
    material = Material(*pairs, mixture, RATE)
    found = [RECIPES[name].measure(material) for name in ("musdb18", "sisec18", "ismir22_1s")]
    assert len(calls) == 1
    assert found[0] == found[1] == found[2]


def test_vocals_beside_accompaniment_are_scored_as_a_pair_as_museval_scores_them():
    truth, estimates, mixture = band()
    both = ({**x, "accompaniment": sum(x[s] for s in ("drums", "bass", "other"))} for x in (truth, estimates))
    references, found = both
    five = values("musdb18", references, found, mixture)
    four = values("musdb18", truth, estimates, mixture)
    pair = ({stem: x[stem] for stem in ("vocals", "accompaniment")} for x in (references, found))
    two = values("musdb18", *pair, mixture)
    for (stem, metric), value in five.items():
        assert value == (two if stem in ("vocals", "accompaniment") else four)[stem, metric]
    assert two["vocals", "sir_bss4_median"] != four["vocals", "sir_bss4_median"]
    # ismir22_1s makes the pair of four stems too
    assert values("ismir22_1s", truth, estimates, mixture)["vocals", "sar_bss4_median"] == pytest.approx(
        two["vocals", "sar_bss4_median"], abs=2e-5
    )
    rows = RECIPES["ismir22_1s"].score(truth, estimates, mixture, RATE)
    assert {row.reason for row in rows if row.stem == "drums"} == {
        "the recipe ismir22_1s scores vocals and accompaniment only"
    }


def test_windows_are_kept_and_their_mean_or_median_is_the_number():
    truth, estimates, mixture = band(seconds=11)
    for name, combine in (("musdb18", np.nanmedian), ("msdm_slakh", np.nanmean)):
        window, hop = RECIPES[name].framing
        for row in RECIPES[name].score(truth, estimates, mixture, RATE):
            starts, durations, frames = row.frames
            assert starts == tuple(hop * index for index in range(len(starts)))
            assert set(durations) <= {window, 11 - starts[-1]}
            assert len(starts) == len(durations) == len(frames)
            assert np.isfinite(frames).sum() == row.windows
            rounded = np.round(frames, 5) if name == "musdb18" else frames
            assert row.value == pytest.approx(float(combine(rounded)), abs=1e-9)
    assert all(row.frames is None for row in RECIPES["sdx23"].score(truth, estimates, mixture, RATE))


def test_silent_nan_leaves_the_other_stems_their_windows():
    truth, estimates, mixture = band()
    kind = RECIPES["musdb18"].model_copy(update={"silent": "nan"})
    windows = {row.stem: row.windows for row in kind.score(truth, estimates, mixture, RATE)}
    assert windows == {"vocals": 3, "drums": 3, "bass": 2, "other": 3}


def test_without_the_references_of_everything_only_what_needs_none_is_defined():
    truth, estimates, mixture = band()
    one = ({"vocals": x["vocals"]} for x in (truth, estimates))
    material = Material(*one, mixture, RATE, complete=False)
    four = values("musdb18", truth, estimates, mixture)
    for name in ("musdb18", "museval_v4", "ismir22_1s"):
        rows = {row.metric: row for row in RECIPES[name].measure(material)}
        silent_bass = rows["sdr_bss4_median"].frames.values[1:]  # one window more, as nobody knows of the bass
        assert np.nanmedian(np.round(silent_bass, 5)) == pytest.approx(four["vocals", "sdr_bss4_median"], abs=1e-9)
        for metric in SISEC_METRICS[1:]:
            assert rows[metric].value is None
            assert "some are missing" in rows[metric].reason
    assert RECIPES["sdx23"].measure(material)[0].value is not None
    assert all(row.value is None for row in RECIPES["msdm_slakh"].measure(material))
    assert all(row.value is not None for row in RECIPES["beyond_sdr"].measure(material))


def test_an_estimate_that_is_missing_makes_interference_undefined_too():
    truth, estimates, mixture = band()
    del estimates["drums"]
    found = values("musdb18", truth, estimates, mixture)
    assert found["vocals", "sdr_bss4_median"] is not None
    assert found["vocals", "sir_bss4_median"] is None


def test_filters_of_round_off_are_told_beside_the_numbers_that_they_make():
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal((2, 2, 3 * RATE)))
    spectrum[..., spectrum.shape[-1] // 3 :] = 0.0  # nothing above 1.3 kHz
    x = 0.1 * np.fft.irfft(spectrum, n=3 * RATE)
    truth = {"vocals": x[0], "accompaniment": x[1]}
    mixture = x.sum(axis=0)
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        rows = RECIPES["musdb18"].score(truth, {stem: y + 0.1 * mixture for stem, y in truth.items()}, mixture, RATE)
        within = list(warnings.filters)
    assert not warned  # the note says it, and the process's own filters stay as they are
    assert within[1:] == filters == warnings.filters
    for row in rows:
        assert (row.note is None) == (row.metric == "sdr_bss4_median")
        assert row.note is None or "round-off" in row.note


def test_old_names_are_answered_with_the_new_ones():
    for old, new in (("sdr_mdx", "sdx23"), ("si_sdri_4s", "msdm_slakh")):
        with pytest.raises(UnknownNameError, match=f"now called '{new}'"):
            find_recipe(old)


def test_a_metric_that_cannot_be_computed_is_undefined_and_the_others_are_not():
    truth = {"vocals": np.zeros((1, 1500)), "drums": np.full((1, 1500), 0.1)}
    rows = {(r.stem, r.metric): r for r in RECIPES["beyond_sdr"].score(truth, truth, sum(truth.values()), RATE)}
    assert rows["vocals", "si_sdr"].reason == "the reference is silent"
    assert rows["drums", "si_sdr"].value is not None
    assert rows["vocals", "log_wmse"].value == pytest.approx(73.68272, abs=1e-4)
    short = {stem: x[:, :1000] for stem, x in truth.items()}
    rows = {(r.stem, r.metric): r for r in RECIPES["beyond_sdr"].score(short, short, sum(short.values()), RATE)}
    assert "1000 samples are too few" in rows["drums", "l1_freq"].reason
    assert rows["drums", "bleedless"].value == 100


def test_notes_are_said_once_with_the_tracks_and_methods_they_concern():
    def row(track: str, metric: str, note: str | None, method: str = "a") -> Score:
        return Score(method=method, track=track, stem="vocals", metric=metric, value=1.0, recipe="musdb18", note=note)

    rows = [
        row("one", "sdr_bss4_median", None),
        row("one", "sir_bss4_median", "made of round-off (above 1e+12), beware"),
        row("two", "sir_bss4_median", "made of round-off (above 3e+15), beware"),
        row("two", "sar_bss4_median", "made of round-off (above 3e+15), beware", "b"),
    ]
    [note] = value_notes(rows, RECIPES["musdb18"])
    assert note == ("sir_bss4_median, sar_bss4_median on 2 track(s) for a, b: made of round-off (above 1e+12), beware")
    assert value_notes(rows, RECIPES["musdb18"], "sdr_bss4_median") == []
    assert value_notes(rows, RECIPES["sisec18"]) == []


def test_a_silent_reference_keeps_the_challenges_number_and_is_told():
    truth = stems("vocals", "drums", seconds=2)
    truth["vocals"][:] = 0.0
    rows = RECIPES["sdx23"].score(truth, stems("vocals", "drums", seconds=2, seed=1), truth["drums"], RATE)
    vocals, drums = rows
    assert vocals.value == pytest.approx(float(sdr_mdx(truth["vocals"], stems("vocals", seconds=2, seed=1)["vocals"])))
    assert vocals.value < -80
    assert "the reference is silent" in vocals.note
    assert drums.note is None
    scores = [Score(method="a", track="1", recipe="sdx23", **columns(row)) for row in rows]
    [note] = value_notes(scores, RECIPES["sdx23"], "sdr_mdx")
    assert note.startswith("sdr_mdx on 1 track(s) for a: the reference is silent")


def columns(row) -> dict[str, object]:
    return {key: value for key, value in row._asdict().items() if key != "frames"}


def test_recipes_refuse_what_is_no_sound_and_names_that_do_not_meet():
    truth = stems("vocals", "drums", seconds=1)
    mixture = truth["vocals"] + truth["drums"]
    turned = {stem: sound.T for stem, sound in truth.items()}
    for recipe in RECIPES.values():
        with pytest.raises(AudioError, match="transpose"):
            recipe.score(turned, turned, mixture.T, RATE)
        with pytest.raises(AudioError, match="c t"):
            recipe.score({"vocals": mixture[0]}, {"vocals": mixture[0]}, mixture[0], RATE)
        with pytest.raises(AudioError, match=r"no stem in common.*equal names"):
            recipe.score({"vocals": mixture}, {"voice": mixture}, mixture, RATE)
    pcm = {stem: np.round(32767 * sound).astype(np.int16) for stem, sound in truth.items()}
    for recipe in RECIPES.values():
        with pytest.raises(AudioError, match=r"mixture is of the type int16.*divide 16-bit PCM by 32768"):
            recipe.score(pcm, pcm, sum(pcm.values()), RATE)
        with pytest.raises(AudioError, match="estimate of vocals is of the type int16"):
            recipe.score(truth, pcm, mixture, RATE)
