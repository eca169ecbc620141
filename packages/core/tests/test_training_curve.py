"""What a release says of its training: the last take of every step, and no place of the machine it was made on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sepkit.training.curve import SMOOTHED_STEPS, draw_curve, read_log, smoothed, without_places


def test_of_a_step_taken_twice_the_last_take_counts(tmp_path: Path) -> None:
    losses = [(1, 9.0), (2, 8.0), (3, 7.0), (2, 5.0), (3, 4.0), (4, 3.0)]
    rows = [{"step": step, "loss": loss} for step, loss in losses]
    rows.insert(3, {"step": 3, "scores": {"sdr_mdx": 1.0}})
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    found = read_log(tmp_path)
    assert [(row["step"], row["loss"]) for row in found if "loss" in row] == [(1, 9.0), (2, 5.0), (3, 4.0), (4, 3.0)]
    assert sum("scores" in row for row in found) == 1


def test_the_curve_is_the_mean_around_each_step(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": float(step)} for step in range(1, 301)]
    steps, losses = smoothed(rows)
    assert all(loss == pytest.approx(step - 0.5) for step, loss in zip(steps, losses, strict=True))
    assert steps[0] == SMOOTHED_STEPS // 2 + 1
    assert smoothed(rows[:7]) == ([1, 2, 3, 4, 5, 6, 7], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    pytest.importorskip("matplotlib")
    scored = [*rows, {"step": 300, "scores": {"sdr_mdx/vocals": 1.0, "sdr_mdx": 1.0, "seconds": 3.0}}]
    draw_curve({"": scored, "other": rows[:7]}, "sdr_mdx", tmp_path / "curve.png", changes=[100])
    assert (tmp_path / "curve.png").stat().st_size > 5000


def test_places_of_the_machine_are_left_out() -> None:
    config = {
        "data": {"sources": ["folder:/x/y/songs", "synthetic:4"], "cache": "/x/cache", "frames": 4},
        "validation": ["folder:/x/valid"],
        "initial": "/x/y/base/best",
    }
    found = without_places({"training": {"config": config, "step": 3}, "more": 1})
    assert found["training"]["config"]["data"]["sources"] == ["folder:songs", "synthetic:4"]
    assert found["training"]["config"]["initial"] == "base/best"
    assert "/x" not in json.dumps(found)
    assert (found["more"], found["training"]["step"]) == (1, 3)
