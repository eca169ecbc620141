"""The speed benchmark of cold diffusion compares equal things and says what it measured."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cold_speed


def test_both_ways_give_the_same_and_the_page_has_the_ratio(tmp_path: Path) -> None:
    given = ["--preset", "diffwave_small", "--seconds", "0.1", "--runs", "1", "--threads", "1", "--steps", "20"]
    cold_speed.main([*given, "--out", str(tmp_path / "cold_speed")])  # says 1 on a busy machine
    page = (tmp_path / "cold_speed.md").read_text()
    assert "times less CPU time" in page
    difference = float(page.partition("differ by at most ")[2].partition(" of")[0])
    assert difference < 2e-6
