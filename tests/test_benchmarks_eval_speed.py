"""The evaluator's speed benchmark: a quick run writes its three files, and pages stay honest about what failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import eval_speed, eval_speed_cases, eval_speed_page


def test_a_quick_run_writes_page_numbers_and_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(eval_speed, "cases", lambda quick, _: [eval_speed.Case("sepkit", 2, 1, 1.0, 0.5, 2)])
    monkeypatch.setattr(sys, "argv", ["eval_speed", "--quick", "--out", str(tmp_path)])
    assert eval_speed.main() == 0
    report = json.loads((tmp_path / "eval_speed.json").read_text(encoding="utf-8"))
    (row,) = report["rows"]
    assert len(row["runs"]["sepkit"]) == 2
    assert 0 < row["cpu_seconds"]["sepkit"] < 30
    page = (tmp_path / "eval_speed.md").read_text(encoding="utf-8")
    assert "says nothing of speed" in page
    assert "| sepkit | 2 × mono, 1 s |" in page
    assert (tmp_path / "eval_speed.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_engines_of_a_pair_are_measured_on_the_same_scene(tmp_path: Path) -> None:
    np.save(tmp_path / "scene.npy", eval_speed_cases.scene(2, 1, 1.0))
    found = eval_speed_cases.measured(tmp_path / "scene.npy", ["sepkit", "sepkit_sdr"], 0.5, 2)
    assert found["largest_difference_db"] == {"sdr": 0.0}
    assert found["peak_megabytes"] >= 0  # of a process that has run other tests before
    row = eval_speed.row(eval_speed.Case("sepkit/sepkit_sdr", 2, 1, 1.0, kind="pair"), found)
    assert row["cpu_ratio"]["low"] <= row["cpu_ratio"]["median"] <= row["cpu_ratio"]["high"]


def test_scenes_are_16_bit_and_the_same_every_time() -> None:
    once, again = eval_speed_cases.scene(2, 2, 0.2), eval_speed_cases.scene(2, 2, 0.2)
    assert np.array_equal(once, again)
    assert np.array_equal(once * 32768, np.round(once * 32768))
    assert 0.01 < once.std() < 1


def test_a_peer_that_cannot_run_is_a_reason_and_a_row() -> None:
    case = eval_speed.Case("sepkit/museval", 4, 2, 30.0, kind="pair")
    row = eval_speed.row(case, {"reason": "No module named 'museval'"})
    report = {
        "rows": [row, eval_speed.row(eval_speed.Case("museval", 4, 2, 30.0), {"reason": "no ffmpeg"})],
        "settings": {"quick": False, "threads": None},
        "machine": {"processor": "a processor", "cores": 2},
        "versions": {},
        "load_average": 0.0,
    }
    page = eval_speed_page.markdown(report)
    assert "| museval | 4 × stereo, 30 s | not measured: No module named 'museval' |" in page
    assert "not measured: no ffmpeg" in page


def test_a_value_that_only_one_engine_has_is_an_infinite_difference() -> None:
    a, b = {"sar": np.array([[1.0, np.nan]])}, {"sar": np.array([[1.5, 2.0]])}
    assert eval_speed_cases.largest_differences(a, b)["sar"] == float("inf")
    assert eval_speed_cases.largest_differences(b, b) == {"sar": 0.0}


def test_every_engine_has_a_name_and_every_case_an_engine() -> None:
    assert set(eval_speed_page.NAMES) == set(eval_speed_cases.ENGINES)
    for quick in (True, False):
        for case in eval_speed.cases(quick, 60.0):
            assert set(case.engines.split("/")) <= set(eval_speed_cases.ENGINES)
