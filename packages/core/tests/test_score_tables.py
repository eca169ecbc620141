"""Laws of the tables of intervals, ranks and differences: what is shown, in what order, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sepkit.errors import UnknownNameError
from sepkit.evaluation.grid import Cell, Grid, compare_grid, score_grid
from sepkit.evaluation.metric_facts import higher_is_better, unit
from sepkit.evaluation.metrics import METRICS
from sepkit.evaluation.ranks import ranked_groups
from sepkit.evaluation.recipe import RECIPES, Recipe
from sepkit.evaluation.score import Score
from sepkit.evaluation.statistics import bootstrap_interval
from sepkit.evaluation.summary import entries_of, undefined_notes
from sepkit.evaluation.views import FULL_VIEW

FOUR = ("vocals", "drums", "bass", "other")
MDX = RECIPES["sdx23"]
SDR = MDX.metrics[0]
TRACKS = 12


def scores(
    method: str, level: float, *, metric: str = SDR, recipe: Recipe = MDX, stems=FOUR, tracks=TRACKS, **more
) -> list[Score]:
    """Rows whose stem values differ by little between tracks; every track has some windows."""
    rng = np.random.default_rng([len(method), round(100 * level) + 10_000])
    fields = {"recipe": recipe.name, "view": tuple(stems), "at": "1", "metric": metric, **more}
    return [
        Score(method=method, track=f"{t:03}", stem=stem, value=level + 0.2 * rng.normal(), windows=3 + t, **fields)
        for t in range(tracks)
        for stem in stems
    ]


def column(grid: Grid, name: str) -> list[Cell]:
    return [row[grid.columns.index(name)] for row in grid.rows]


def texts(grid: Grid, name: str) -> list[str]:
    return [cell.text for cell in column(grid, name)]


def test_a_number_has_its_interval_and_sorts_by_itself():
    rows = scores("a", 4.0)
    grid = score_grid(rows, MDX, SDR)
    [cell] = column(grid, "drums")
    wanted = bootstrap_interval([row.value for row in rows if row.stem == "drums"])
    assert cell.number == pytest.approx(wanted.estimate)
    [entry] = entries_of(rows, MDX, SDR)
    found = entry.intervals["drums"]
    assert (found.estimate, found.tracks) == (pytest.approx(wanted.estimate), TRACKS)
    assert found.low == pytest.approx(wanted.low, abs=0.02)  # the draws differ: here tracks are in order of their names
    assert cell.text == f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    assert entry.mean_interval.estimate == pytest.approx(entry.mean)
    assert "[low, high]: 95 % bootstrap interval over tracks" in grid.notes


def test_the_order_of_rows_changes_nothing():
    rows = [*scores("a", 4.0), *scores("bb", 4.1), *scores("mixture", -3.0, view=FULL_VIEW)]
    order = np.random.default_rng(0).permutation(len(rows))
    for build in (score_grid, compare_grid):
        one, other = build(rows, MDX, SDR), build([rows[index] for index in order], MDX, SDR)
        assert one.columns == other.columns
        assert [[cell.text for cell in row] for row in one.rows] == [[cell.text for cell in row] for row in other.rows]


def test_wide_intervals_have_one_decimal_and_few_tracks_none():
    one = scores("a", 1.0, stems=("vocals",), tracks=4)
    rows = [row.model_copy(update={"value": 10.0 * index}) for index, row in enumerate(one)]
    assert texts(score_grid(rows, MDX, SDR), "vocals") == ["15.00 [0.0, 30.0]"]
    grid = score_grid(rows[:2], MDX, SDR)
    assert texts(grid, "vocals") == ["5.00"]
    assert "no interval for numbers over 2 track(s): 3 are needed" in grid.notes


def test_ranks_say_what_the_tests_say():
    rows = [*scores("good", 6.0), *scores("fine", 4.0), *scores("as fine", 4.0)]
    rows += scores("mixture", -3.0, view=FULL_VIEW)
    grid = score_grid(rows, MDX, SDR)
    assert dict(zip(texts(grid, "method"), texts(grid, "rank"), strict=True)) == {
        "good": "1",
        "fine": "2–3",
        "as fine": "2–3",
        "mixture": "4",
    }
    assert [cell.number for cell in column(grid, "rank")] == [1, 2, 2, 4]
    assert grid.muted == (False, False, False, True)  # ranked, but marked
    assert any("Holm for 6 pair(s)" in note for note in grid.notes)
    few = score_grid([row for row in rows if row.track < "003"], MDX, SDR)
    assert set(texts(few, "rank")) == {"1–4"}
    assert any("underpowered: 3 tracks cannot show a difference at 5 % among 6 pairs" in note for note in few.notes)


def test_only_means_over_the_same_stems_of_the_same_mixture_are_ranked():
    two = ("vocals", "accompaniment")
    rows = [
        *scores("four", 4.0),
        *scores("also four", 5.0),
        *scores("two", 9.0, stems=two),
        *scores("own", 8.0, stems=("drums", "bass"), mixture="own"),
        *scores("own too", 7.0, stems=("bass", "drums"), mixture="own"),
    ]
    groups = ranked_groups(entries_of(rows, MDX, SDR), SDR)
    assert {frozenset(group.names) for group in groups} == {
        frozenset({"four", "also four"}),
        frozenset({"two"}),
        frozenset({"own", "own too"}),
    }
    grid = score_grid(rows, MDX, SDR)
    ranks = dict(zip(texts(grid, "method"), texts(grid, "rank"), strict=True))
    assert ranks == {"two": "–", "own": "1", "own too": "2", "also four": "1", "four": "2"}
    assert "ranks are among methods whose means are over the same stems of the same mixture" in grid.notes


def test_a_reference_point_on_two_views_of_the_same_stems_is_two_entries():
    rows = [*scores("mixture", 1.0, stems=("bass", "drums")), *scores("mixture", 1.0, stems=("drums", "bass"))]
    [group] = ranked_groups(entries_of(rows, MDX, SDR), SDR)
    assert sorted(group.names) == ["mixture (bass, drums)", "mixture (drums, bass)"]
    assert score_grid(rows, MDX, SDR).columns[-3:] == ("rank", "mixture", "tracks")


def test_less_is_better_where_the_metric_says_so():
    assert not higher_is_better("mrstft")
    recipe = Recipe(name="spectral", engine="whole_track", metrics=("mrstft",), source="a test")
    rows = [*scores("bad", 2.0, metric="mrstft", recipe=recipe), *scores("good", 1.0, metric="mrstft", recipe=recipe)]
    grid = score_grid(rows, recipe, "mrstft")
    assert (texts(grid, "method"), texts(grid, "rank")) == (["good", "bad"], ["1", "2"])
    assert grid.title == "mrstft, mean over tracks, less is better"
    [row] = compare_grid(rows, recipe, "mrstft").rows
    assert (row[0].text, row[1].text, row[-1].text) == ("bad", "good", "worse")
    assert row[2].number == pytest.approx(1.0, abs=0.2)


def test_units_are_those_of_the_metrics():
    assert unit("sdr_mdx") == "dB"
    assert {name for name in METRICS if unit(name) == ""} >= {"mrstft", "l1_freq", "bleedless", "fullness", "log_wmse"}
    for metric in METRICS:
        title = score_grid(scores("a", 1.0, metric=metric, recipe=MDX), MDX, metric).title
        assert ("dB" in title) == (unit(metric) == "dB")


def test_differences_are_paired_and_seen_from_the_method():
    rows = [*scores("good", 6.0), *scores("fine", 4.0), *scores("mixture", 9.0, view=FULL_VIEW)]
    grid = compare_grid(rows, MDX, SDR)
    assert texts(grid, "against") == ["good", "good"]  # the best that is no reference point
    verdicts = dict(zip(texts(grid, "method"), texts(grid, "verdict"), strict=True))
    assert verdicts == {"mixture": "better", "fine": "worse"}
    assert column(grid, "difference")[1].number == pytest.approx(-2.0, abs=0.3)
    assert column(grid, "difference")[1].text.startswith("-")
    assert column(grid, "difference")[0].text.startswith("+")
    assert grid.muted == (True, False)
    named = compare_grid(rows, MDX, SDR, against="mixture")
    assert texts(named, "method") == ["good", "fine"]
    assert set(texts(named, "verdict")) == {"worse"}
    assert compare_grid(rows[: 4 * TRACKS], MDX, SDR).rows == ()
    with pytest.raises(UnknownNameError, match="did you mean 'good'"):
        compare_grid(rows, MDX, SDR, against="god")


def test_missing_tracks_are_left_out_of_a_comparison_and_counted():
    good, fine = scores("good", 6.0), scores("fine", 4.0)
    nothing = {"value": None, "reason": "no bass"}
    good = [row.model_copy(update=nothing) if row.track == "000" and row.stem == "bass" else row for row in good]
    rows = [*good, *(row for row in fine if row.track >= "004")]
    [row] = compare_grid(rows, MDX, SDR).rows
    assert row[-2] == Cell(f"{TRACKS - 4}", TRACKS - 4)
    apart = [*(row for row in good if row.track < "004"), *(row for row in fine if row.track >= "004")]
    [row] = compare_grid(apart, MDX, SDR).rows
    assert [cell.text for cell in row[2:]] == ["–", "–", "–", "–", "0", "no track has a score of both"]


def test_windows_weigh_the_numbers_the_intervals_and_the_tests():
    recipe = RECIPES["msdm_slakh"]
    metric = recipe.metrics[0]
    rows = scores("a", 3.0, metric=metric, recipe=recipe)
    [entry] = entries_of(rows, recipe, metric)
    values, weights = entry.track_scores.table(("bass",))
    wanted = bootstrap_interval(values[:, 0], "window_mean", weights=weights[:, 0])
    assert entry.intervals["bass"].estimate == entry.scores["bass"] == pytest.approx(wanted.estimate)
    assert list(weights[:, 0]) == [3.0 + t for t in range(TRACKS)]
    swung = [row.model_copy(update={"windows": 10**6}) if row.track == "001" else row for row in rows]
    [swayed] = entries_of(swung, recipe, metric)
    assert swayed.scores["bass"] == pytest.approx(values[1, 0], abs=1e-3)


def test_an_entry_without_scores_has_no_interval():
    [entry] = entries_of(scores("a", 1.0), MDX, SDR)
    empty = replace(entry, scores={}, mean=None)
    assert (empty.intervals, empty.mean_interval) == ({}, None)


def test_every_undefined_metric_is_told_and_tracks_without_a_value_are_not_counted():
    bss = RECIPES["musdb18"]
    fields = {"method": "a", "track": "song", "recipe": bss.name, "view": ("vocals",), "stem": "vocals"}
    rows = [Score(metric="sdr_bss4_median", value=4.0, **fields)]
    rows += [Score(metric=metric, value=None, reason="no drums", **fields) for metric in bss.metrics[1:]]
    [note] = undefined_notes(rows, bss)
    assert note == f"{', '.join(bss.metrics[1:])} of vocals undefined on 1 track(s) for a: no drums"
    assert undefined_notes(rows, bss, "sdr_bss4_median") == []
    assert undefined_notes(rows, bss, "sir_bss4_median") == ["vocals undefined on 1 track(s) for a: no drums"]
    everything = [row.model_copy(update={"value": None, "reason": "no drums"}) for row in rows]
    assert undefined_notes(everything, bss) == ["vocals undefined on 1 track(s) for a: no drums"]
    other = Score(metric="sir_bss4_median", value=None, reason="no drums", **{**fields, "track": "another"})
    assert len(undefined_notes([*rows, other], bss)) == 2  # not the same tracks: told apart
    for metric, scored in (("sdr_bss4_median", 1), ("sir_bss4_median", 0)):
        [entry] = entries_of(rows, bss, metric)
        assert (entry.tracks_scored, entry.tracks) == (scored, 1)
    assert texts(score_grid(rows, bss, "sir_bss4_median"), "tracks") == ["0/1"]
