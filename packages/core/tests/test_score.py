"""Laws of score rows and their file: round trip, torn lines, what replaces what; and of the tables built from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sepkit.errors import DatasetError, OptionError
from sepkit.evaluation.charts import Series, grouped_bars
from sepkit.evaluation.grid import cost_grid, score_grid
from sepkit.evaluation.methods import Method
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.resume import check_same_label, is_finished, views_in_use
from sepkit.evaluation.rows import Label
from sepkit.evaluation.score import EVERY_STEM, Cost, MethodFacts, Score, ScoreLog, latest, read_scores
from sepkit.evaluation.summary import entries_of, runnable
from sepkit.evaluation.views import FULL_VIEW

FOUR = ("vocals", "drums", "bass", "other")
MDX = RECIPES["sdx23"]


def row(method: str = "a", track: str = "one", stem: str = "vocals", value: float | None = 1.0, **more) -> Score:
    fields = {"metric": "sdr_mdx", "recipe": "sdx23", "view": FOUR, "at": "2026-01-01"}
    reason = None if value is not None else "because"
    return Score(**{**fields, "method": method, "track": track, "stem": stem, "value": value, "reason": reason, **more})


def failure(method: str = "a", track: str = "one", **more) -> Score:
    return row(method, track, EVERY_STEM, None, view=(), **{"reason": "it broke", **more})


def separation(method: str = "a", track: str = "one", base: float = 1.0, **more) -> list[Score]:
    return [row(method, track, stem, base + i, **more) for i, stem in enumerate(FOUR)]


def test_a_row_has_a_value_or_a_reason():
    for fields in ({"value": None, "reason": None}, {"value": 1.0, "reason": "why"}, {"value": float("nan")}):
        with pytest.raises(ValidationError):
            row(**fields)


def test_rows_come_back_as_they_were_written(tmp_path: Path):
    rows = [
        *separation(
            track="ü \u2028 1", facts=MethodFacts(kind="generative", parameters=3), cost=Cost(compute_seconds=0.1)
        ),
        failure(track="two"),
    ]
    with ScoreLog(tmp_path / "deep" / "scores.jsonl") as log:
        log.append(rows[:2])
        log.append(rows[2:])
    assert read_scores(tmp_path / "deep" / "scores.jsonl") == rows


def test_a_torn_last_line_is_left_out_and_cut_off_before_the_next_is_written(tmp_path: Path):
    path = tmp_path / "scores.jsonl"
    path.write_text(row().model_dump_json() + "\n" + row(stem="bass").model_dump_json()[:40])
    assert read_scores(path) == [row()]
    with ScoreLog(path) as log:
        log.append([row(stem="drums")])
    assert read_scores(path) == [row(), row(stem="drums")]


def test_a_line_that_is_no_score_is_named(tmp_path: Path):
    path = tmp_path / "scores.jsonl"
    path.write_text(row().model_dump_json() + '\n{"method": "a"}\n')
    with pytest.raises(DatasetError, match="line 2"):
        read_scores(path)


def test_later_separations_replace_earlier_ones_and_failures_only_stand_while_they_are_last():
    first, second = separation(base=1.0, at="1"), separation(base=5.0, at="2")
    assert latest([*first, *second]) == second
    assert latest([*first, failure(at="2")]) == [failure(at="2")]
    assert latest([failure(at="1"), *second]) == second
    assert latest([*first, failure(track="two"), failure(method="b")]) == [
        *first,
        failure(track="two"),
        failure(method="b"),
    ]
    own = separation("mixture", view=("bass", "drums", "vocals", "other"), mixture="own", at="2")
    assert latest([*separation("mixture", at="1"), *own]) == [*separation("mixture", at="1"), *own]  # two views


def finished(rows: list[Score], method: Method | None = None, budget: float | None = None, recipes=(MDX,)) -> bool:
    return is_finished(rows, method or Method(name="a"), "one", recipes, view=None, budget_seconds=budget)


def test_only_a_complete_separation_by_the_same_weights_is_finished():
    assert finished(separation())
    assert not finished(separation()[:-1])
    assert not finished(separation(track="two"))
    assert not finished(separation(), recipes=(MDX, RECIPES["msdm_slakh"]))
    assert not finished(separation(), Method(name="a", facts=MethodFacts(weights_sha256="new")))
    undefined = [*separation()[:3], row(stem="other", value=None)]
    assert finished(undefined)


def test_failures_are_tried_again_unless_a_budget_no_smaller_has_been_missed():
    assert not finished([failure()])
    missed = failure(cost=Cost(budget_seconds=10, over_budget=True))
    assert finished([missed], budget=10)
    assert finished([missed], budget=5)
    assert not finished([missed], budget=20)
    assert not finished([missed])


def test_scores_of_other_settings_are_refused_by_name():
    label = Label(dataset="demo", seed=1)
    with pytest.raises(OptionError, match=r"seed 0 .* 1.*--fresh"):
        check_same_label([row(dataset="demo")], label, Path("out"))
    check_same_label([row(dataset="demo", seed=1)], label, Path("out"))


def test_reference_points_follow_the_views_that_they_do_not_answer_for():
    own = ("bass", "guitar")
    rows = [row(view=FOUR), row(view=own, mixture="own"), row("mixture", view=("x",), mixture="own")]
    assert views_in_use(rows) == [FULL_VIEW, own]


def test_tables_average_by_the_recipe_and_put_failures_last():
    rows = [
        *separation("a", "one", 1.0),
        *separation("a", "two", 3.0),
        *separation("b", "one", 10.0),
        failure("b", "two"),
        failure("c", "one"),
        failure("c", "two"),
        *(row("mixture", "one", stem, -5.0, view=FULL_VIEW) for stem in FULL_VIEW),
    ]
    entries = entries_of(rows, MDX, "sdr_mdx")
    assert [entry.method for entry in entries] == ["b", "a", "mixture", "c"]
    assert entries[1].scores == {"vocals": 2.0, "drums": 3.0, "bass": 4.0, "other": 5.0}
    assert entries[1].mean == 3.5
    assert entries[2].mean == -5.0
    assert (entries[0].tracks_scored, entries[0].tracks) == (1, 2)
    grid = score_grid(rows, MDX, "sdr_mdx")
    assert grid.columns == ("method", *FOUR, "mean", "rank", "mixture", "tracks")  # no method outputs accompaniment
    assert [cell.text for cell in grid.rows[3]] == ["c", *["–"] * 6, "full", "0/2"]
    assert "b has no score on 1 of 2 track(s): it broke" in grid.notes
    assert "| a | 2.00 | 3.00 | 4.00 | 5.00 | 3.50 | 1–3 | full | 2/2 |" in grid.markdown()


def test_costs_are_summed_over_tracks_and_the_budget_is_judged_by_the_slowest():
    def cost(seconds: float, peak: float) -> Cost:
        return Cost(audio_seconds=10, compute_seconds=seconds, peak_memory_megabytes=peak, baseline_megabytes=100)

    rows = [*separation(track="one", cost=cost(2, 150)), *separation(track="two", cost=cost(4, 300))]
    [entry] = entries_of(rows, MDX, "sdr_mdx")
    assert entry.seconds_per_second == pytest.approx(0.3)
    assert entry.peak_megabytes == 200
    assert runnable(entry, 4) == "yes"
    assert runnable(entry, 3) == "no (4.0 s)"
    [missed] = entries_of([failure(cost=Cost(budget_seconds=3, over_budget=True))], MDX, "sdr_mdx")
    assert runnable(missed, 3) == "no (> 3 s)"
    assert cost_grid(rows, MDX, 3).columns[-1] == "Runnable? (3 s)"
    assert "Runnable" not in str(cost_grid(rows, MDX, None).columns)


def test_the_own_mixture_is_marked():
    view = ("bass", "drums", "guitar")
    rows = [row(stem=stem, view=view, mixture="own") for stem in view]
    grid = score_grid(rows, MDX, "sdr_mdx")
    assert grid.rows[0][grid.columns.index("mixture")].text == "own: bass, drums, guitar"


def test_bars_stand_on_the_zero_line_and_hang_below_it():
    svg = grouped_bars(["g"], [Series("up", [4.0]), Series("down", [-2.0]), Series("none", [None])], "dB")
    bars = svg.split("<rect ")[1:]
    assert len(bars) == 2
    top = {name: float(bar.split('y="')[1].split('"')[0]) for name, bar in zip(("up", "down"), bars, strict=True)}
    height = {n: float(bar.split('height="')[1].split('"')[0]) for n, bar in zip(("up", "down"), bars, strict=True)}
    assert top["up"] + height["up"] == pytest.approx(top["down"], abs=0.2)
    assert height["up"] == pytest.approx(2 * height["down"], abs=0.2)
    assert grouped_bars(["g"], [Series("none", [None])], "dB") == ""
