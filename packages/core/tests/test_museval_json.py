"""Laws of museval's files: what is written comes back, museval's own stores aggregate it alike, and theirs are read."""

from __future__ import annotations

import json
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepkit.errors import DatasetError, SepkitError
from sepkit.evaluation.measured import Frames, Measured
from sepkit.evaluation.museval_engine import load_museval
from sepkit.evaluation.museval_json import (
    median_over_windows,
    quantised,
    read_results,
    read_windows,
    write_windows,
)
from sepkit.evaluation.recipe import BSS4, RECIPES, aggregate
from sepkit.evaluation.score import Score

STEMS = ("vocals", "drums")


def measured(seed: int, windows: int = 7) -> list[Measured]:
    """A track's numbers with every kind of window: finite, infinite, undefined."""
    rng = np.random.default_rng(seed)
    rows = []
    for stem in STEMS:
        for metric in BSS4:
            values = [*rng.normal(5, 10, windows - 2).tolist(), nan, inf]
            frames = Frames(tuple(map(float, range(windows))), (1.0,) * windows, tuple(values))
            value, count = median_over_windows(values)
            rows.append(Measured(stem, metric, value, None, count, frames=frames))
    return rows


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """results/ours/test/TRACK.json of three tracks."""
    for index in range(3):
        write_windows(tmp_path / "results" / "ours" / "test" / f"song {index}.json", measured(index))
    return tmp_path / "results"


def museval_or_skip():
    try:
        return load_museval()
    except SepkitError as error:
        pytest.skip(str(error))


@given(st.floats(-400, 400))
def test_windows_have_five_decimals_as_musevals_decimal_rounds(value: float):
    from decimal import Decimal

    assert quantised(value) == float(Decimal(value).quantize(Decimal(".00001")))
    assert quantised(quantised(value)) == quantised(value)


def test_infinite_windows_are_undefined():
    assert all(isnan(quantised(value)) for value in (inf, -inf, nan))
    assert median_over_windows([1.0, inf, nan, 2.0]) == (1.5, 2)
    assert median_over_windows([inf, nan]) == (None, 0)


def test_what_was_written_comes_back_rounded(tmp_path: Path):
    rows = measured(0)
    write_windows(tmp_path / "deep" / "song.json", rows)
    stems = read_windows(tmp_path / "deep" / "song.json")
    assert tuple(stems) == STEMS
    for row in rows:
        target = stems[row.stem]
        name = row.metric[:3].upper()
        assert target.starts_seconds == row.frames.starts_seconds
        assert target.durations_seconds == row.frames.durations_seconds
        np.testing.assert_array_equal(target.metrics[name], [quantised(x) for x in row.frames.values])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["song.json"]
    write_windows(tmp_path / "deep" / "song.json", rows[:4])
    assert tuple(read_windows(tmp_path / "deep" / "song.json")) == ("vocals",)


def test_other_recipes_windows_keep_their_metrics_names_and_times(tmp_path: Path):
    rng = np.random.default_rng(0)
    truth = {stem: rng.standard_normal((1, 9000)) for stem in STEMS}
    rows = RECIPES["msdm_slakh"].score(truth, {s: 0.5 * x + 1e-3 for s, x in truth.items()}, sum(truth.values()), 1000)
    write_windows(tmp_path / "song.json", rows)
    target = read_windows(tmp_path / "song.json")["vocals"]
    assert set(target.metrics) == {"si_sdri_4s", "si_sdri_4s_active"}
    assert target.starts_seconds == (0.0, 2.0, 4.0, 6.0)
    assert target.durations_seconds == (4.0, 4.0, 4.0, 3.0)


def test_a_folder_of_files_is_aggregated_to_what_the_run_had(results: Path):
    for folder, method in ((results, "ours"), (results / "ours", "ours"), (results / "ours" / "test", "test")):
        rows = read_results(folder)
        assert {row.method for row in rows} == {method}
        assert {row.track for row in rows} == {f"song {index}" for index in range(3)}
        for index in range(3):
            expected = {(row.stem, row.metric): (row.value, row.windows) for row in measured(index)}
            assert {(r.stem, r.metric): (r.value, r.windows) for r in rows if r.track == f"song {index}"} == expected
    assert {row.method for row in read_results(results / "ours" / "test", method="mine")} == {"mine"}
    assert {row.recipe for row in read_results(results, recipe="sisec18")} == {"sisec18"}
    assert all(row.view == STEMS for row in read_results(results))


def test_methods_and_splits_are_told_apart(results: Path):
    write_windows(results / "theirs" / "train" / "song 0.json", measured(9))
    assert {row.method for row in read_results(results)} == {"ours", "theirs"}
    assert {row.method for row in read_results(results, split="test")} == {"ours"}
    write_windows(results / "ours" / "train" / "song 0.json", measured(9))
    with pytest.raises(DatasetError, match="'song 0' twice"):
        read_results(results)
    assert len(read_results(results, split="train")) == 2 * len(measured(0))


def test_museval_aggregates_our_files_to_the_same_numbers(results: Path):
    museval = museval_or_skip()
    store = museval.EvalStore()
    store.add_eval_dir(results / "ours")
    theirs = store.agg_frames_tracks_scores()
    rows = read_results(results)
    for stem in STEMS:
        for metric in BSS4:
            own = [row.value for row in rows if (row.stem, row.metric) == (stem, metric) and row.value is not None]
            assert aggregate(own, [None] * len(own), "median") == pytest.approx(
                theirs[stem, metric[:3].upper()], abs=1e-9
            )
    methods = museval.MethodStore()
    methods.add_eval_dir(results / "ours")
    assert set(methods.df["method"]) == {"ours"}


def test_files_that_museval_wrote_are_read(tmp_path: Path):
    museval = museval_or_skip()
    rows = measured(3)
    store = museval.TrackStore("song")
    for stem in STEMS:
        values = {row.metric[:3].upper(): row.frames.values for row in rows if row.stem == stem}
        store.add_target(stem, values)
    store.validate()
    store.save(tmp_path / "theirs.json")
    write_windows(tmp_path / "ours.json", rows)
    theirs, ours = (read_windows(tmp_path / f"{name}.json") for name in ("theirs", "ours"))
    for stem in STEMS:
        assert theirs[stem][:2] == ours[stem][:2]
        for name, values in ours[stem].metrics.items():
            np.testing.assert_array_equal(theirs[stem].metrics[name], values)
    import jsonschema

    jsonschema.validate(json.loads((tmp_path / "ours.json").read_text()), store.schema)


def test_the_older_files_of_sisec_are_read(tmp_path: Path):
    """Without a version, with null for NaN and integers for whole seconds; a window may lack a metric."""
    frames = [
        {"time": 0, "duration": 1, "metrics": {"SDR": 1.5, "ISR": 2, "SIR": None, "SAR": float("nan")}},
        {"time": 1, "duration": 1, "metrics": {"SDR": 2.5}},
    ]
    text = json.dumps({"targets": [{"name": "vocals", "frames": frames}, {"name": "other", "frames": []}]})
    (tmp_path / "song.json").write_text(text)
    rows = {(row.stem, row.metric): row for row in read_results(tmp_path, method="UMX")}
    assert rows["vocals", "sdr_bss4_median"].value == 2.0
    assert rows["vocals", "isr_bss4_median"].windows == 1
    assert rows["vocals", "sir_bss4_median"].value is None
    assert rows["vocals", "sir_bss4_median"].reason == "no window has a value"
    assert isinstance(rows["vocals", "sdr_bss4_median"], Score)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"targets": [{"name": "x"}]}', '{"targets": 3}', '{"targets": [3]}'])
def test_what_is_not_musevals_is_named(tmp_path: Path, text: str):
    (tmp_path / "song.json").write_text(text)
    with pytest.raises(DatasetError, match=r"song\.json cannot be read as museval's JSON"):
        read_results(tmp_path)


def test_a_folder_without_files_is_an_error_that_shows_the_layout(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"METHOD/.*TRACK\.json"):
        read_results(tmp_path)
    with pytest.raises(DatasetError, match="holds no results"):
        read_results(tmp_path / "nowhere")
