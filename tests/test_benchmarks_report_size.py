"""A page's measured size: what the budget allows, and equal files once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report_size import LEAKS, Page, made_run, table, written


def test_the_mixture_as_an_estimate_is_stored_once(tmp_path: Path):
    run = made_run(tmp_path / "run", songs=1, seconds=2.0)
    page = written(run, 60.0)
    assert page.files == 5 + 4 * len(LEAKS)  # mixture, truths, and four stems of each
    assert page.stored == page.files - 4
    assert page.seconds == pytest.approx((2.0,))
    assert 0 < page.megabytes < 60
    assert page.cpu_seconds > 0


def test_a_table_says_where_excerpts_differ():
    lines = table([Page(60, 55.6, (4.0, 5.0), 90, 75, 6.5, 58.0), Page(120, 109, (12.0,), 90, 75, 8.7, 97)]).split("\n")
    assert lines[2] == "| 60 | 56 | 4.0 to 5.0 | 90 | 75 | 6.5 | 58 |"
    assert lines[3].split(" | ")[2] == "12.0"
