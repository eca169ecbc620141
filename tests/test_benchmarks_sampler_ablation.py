"""The ablation of the sampler runs through, goes on where it stopped, and says what it averaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("audio_diffusion_pytorch", reason="the method's generator is its U-Net")

from benchmarks import sampler_ablation
from benchmarks.sampler_ablation import Point, grid, published
from benchmarks.sampler_ablation_page import markdown, score


def test_quick_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--quick", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "ablation")]
    assert sampler_ablation.main(given) == 0
    report = json.loads((tmp_path / "ablation.json").read_text())
    assert [(r["steps"], r["eta"], r["cutoff_hz"]) for r in report["results"]] == [tuple(p) for p in grid("quick")]
    assert [len(r["scores"]) for r in report["results"]] == [2 if r["eta"] else 1 for r in report["results"]]
    assert all(isinstance(score(r), float) for r in report["results"])
    # fresh noise, and which, changes the result
    assert len({score(r) for r in report["results"] if r["steps"] == 2}) == 3
    page = (tmp_path / "ablation.md").read_text()
    assert "mean nothing" in page
    assert "<svg" in (tmp_path / "ablation.svg").read_text()
    monkeypatch.setattr(sampler_ablation, "scored", lambda *given: pytest.fail("scored again"))
    assert sampler_ablation.main(given) == 0
    assert (tmp_path / "ablation.md").read_text() == page


def test_the_grids_are_the_paper_s_and_all_its_combinations() -> None:
    full = grid("full")
    assert len(full) == len(set(full)) == 3 * (1 + 3 * 4)
    assert set(grid("paper")) <= set(full)
    assert max(published(), key=lambda point: published()[point]) == Point(50, 0.4, 5000.0)


def test_a_score_is_the_mean_over_seeds_of_the_median_over_songs() -> None:
    def result(point: Point, **scores: dict[str, float | None]) -> dict[str, Any]:
        return {**point._asdict(), "scores": scores, "published": published().get(point)}

    two = result(Point(50, 0.4, 5000.0), a={"x": 1.0, "y": 3.0, "z": 8.0}, b={"x": 5.0, "y": None, "z": 6.0})
    assert score(two) == pytest.approx((3.0 + 5.5) / 2)
    others = [result(point, a={"x": value, "y": value, "z": value}) for point, value in list(published().items())[:4]]
    report = {
        "results": [two, *others, result(Point(20, 0.8, 0.0), a={"x": None, "y": None, "z": None})],
        "settings": {"quick": False, "test": "synthetic:3", "seeds": 2, "target": "vocals"},
        "machine": {"processor": "p", "cores": 2},
    }
    page = markdown(report)
    assert "| 50 | 0.4 | 5000 Hz | 4.25 | 1.77 | 8.77 |" in page
    assert "| 20 | 0 | – | 6.86 | – | 6.86 |" in page
    assert "| 20 | 0.2 | 2000 Hz | **7.36** | – | 7.36 |" in page
    assert "| 20 | 0.8 | none | – | – | – |" in page
    assert "over 5 settings: 0.00" in page


def test_no_seed_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert sampler_ablation.main(["--seeds", "0", "--runs", str(tmp_path), "--out", str(tmp_path / "x")]) == 1
    assert "wanted 1 or more" in capsys.readouterr().err
