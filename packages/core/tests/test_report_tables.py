"""Laws of the report's tables: differences where methods compete, costs where something is known of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepkit.evaluation.page.runs import load_run, natural_order, sections_of
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.report import write_report, write_results
from sepkit.evaluation.score import Cost, Score, ScoreLog

RECIPE = RECIPES["sdx23"]
STEMS = ("vocals", "other")
TRACKS = tuple(f"song {n}" for n in range(8))


def rows_of(*methods: str, **more: Any) -> list[Score]:
    """Every method a decibel above the one before it on each song."""
    fields = {"metric": RECIPE.metrics[0], "recipe": RECIPE.name, "view": STEMS, "dataset": "d", **more}
    return [
        Score(method=method, track=track, stem=stem, truth=stem, value=place + n / 10, **fields)
        for place, method in enumerate(methods)
        for n, track in enumerate(TRACKS)
        for stem in STEMS
    ]


def written(folder: Path, rows: list[Score]) -> tuple[str, str, list[str]]:
    """The summary, the page and the titles of what is printed."""
    folder.mkdir(exist_ok=True)
    grids = write_results(folder, rows, [RECIPE], {"dataset": "d"})
    return (folder / "summary.md").read_text(), (folder / "index.html").read_text(), [grid.title for grid in grids]


def test_two_methods_have_their_differences_everywhere_and_one_has_none(tmp_path: Path):
    summary, page, titles = written(tmp_path / "two", rows_of("mixture", "worse", "better"))
    assert "## Differences in sdr_mdx" in summary
    assert "| worse | better | -1.00" in summary
    assert "| mixture | better | -2.00" in summary
    assert '<details class="differences"><summary>Differences in sdr_mdx' in page
    assert titles == ["sdr_mdx, dB, mean over tracks", "Differences in sdr_mdx, dB, mean over tracks", "Cost"]
    summary, page, titles = written(tmp_path / "one", rows_of("mixture", "ideal_ratio_mask", "better"))
    assert "Differences" not in summary
    assert '<details class="differences">' not in page
    assert len(titles) == 2


def test_methods_of_other_stems_are_no_rivals(tmp_path: Path):
    other = [row.model_copy(update={"view": ("bass",), "stem": "bass"}) for row in rows_of("b") if row.stem == "other"]
    assert "Differences" not in written(tmp_path / "run", [*rows_of("a"), *other])[0]


def test_the_terminal_has_the_methods_and_one_note(tmp_path: Path):
    (tmp_path / "run").mkdir()
    _, brief, _ = write_results(tmp_path / "run", rows_of("mixture", "a", "b", "c"), [RECIPE], {})
    assert [row[0].text for row in brief.rows] == ["b", "a"]
    assert brief.columns == ("method", "against", "difference", "p Holm", "tracks", "verdict")
    assert len(brief.notes) == 1
    assert {len(row) for row in brief.rows} == {len(brief.columns)}


@pytest.mark.parametrize("timed", [True, False])
def test_costs_and_settings_are_shown_only_where_something_was_separated(tmp_path: Path, timed: bool):
    cost = Cost(compute_seconds=1.0, audio_seconds=2.0) if timed else Cost()
    rows = rows_of("a", "b", cost=cost)
    summary, page, _ = written(tmp_path / "run", rows)
    assert ("## Cost" in summary) == timed
    assert ("What it costs" in page) == timed
    with ScoreLog(tmp_path / "run" / "scores.jsonl") as log:
        log.append(rows)
    facts = load_run(tmp_path / "run").facts
    assert ({"quality", "seed"} <= set(facts)) == timed
    path = tmp_path / "again.html"
    write_report([tmp_path / "run"], path)
    assert ("<b>quality</b>" in path.read_text()) == timed


def test_a_summary_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before, _, _ = written(tmp_path / "run", rows_of("a"))

    def fails(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        written(tmp_path / "run", rows_of("a", "b"))
    assert (tmp_path / "run" / "summary.md").read_text() == before
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["index.html", "summary.md"]


def test_tracks_are_sorted_as_people_do(tmp_path: Path):
    names = ["Zebra", "song 10", "apple", "Song 2", "song 1"]
    fields = {"metric": RECIPE.metrics[0], "recipe": RECIPE.name, "view": STEMS, "dataset": "d", "stem": "vocals"}
    with ScoreLog(tmp_path / "scores.jsonl") as log:
        log.append([Score(method="a", track=name, value=1.0, **fields) for name in names])
    [section] = sections_of([load_run(tmp_path)])
    assert section.tracks == ["apple", "song 1", "Song 2", "song 10", "Zebra"]


@given(st.lists(st.text()))
def test_any_names_have_an_order_that_does_not_depend_on_where_they_stood(names: list[str]):
    backwards = names[::-1]
    assert sorted(names, key=natural_order) == sorted(backwards, key=natural_order)


@pytest.mark.parametrize(("tracks", "words"), [(3, ["dot: a track"]), (8, ["dot: a track", "box: the middle half"])])
def test_the_box_plot_says_what_its_marks_are(tmp_path: Path, tracks: int, words: list[str]):
    rows = [row for row in rows_of("a") if row.track in TRACKS[:tracks]]
    _, page, _ = written(tmp_path / "run", rows)
    said = page.split("Scores of the tracks</figcaption>")[1].split("</p>")[0]
    assert all(word in said for word in words)
    assert ("box:" in said) == (tracks >= 5)
    assert "thick line: the median, where the table has the mean" in said
