"""The ablation of cold diffusion runs through, goes on where it stopped, and counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from benchmarks import cold_ablation, cold_ablation_variants
from benchmarks.cold_ablation_page import gains, markdown


def test_quick_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--quick", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "cold_ablation")]
    assert cold_ablation.main(given) == 0
    report = json.loads((tmp_path / "cold_ablation.json").read_text())
    assert set(report["results"]) == {variant.name for variant in cold_ablation_variants.all_variants(quick=True)}
    songs = report["results"][cold_ablation_variants.BASE]["songs"]
    assert [len(song["sdr"]) for song in songs] == [4, 4]
    assert [len(song["sir"]) for song in songs] == [4, 4]
    assert all(0 < energy < 10 for song in songs for energy in song["changed"])
    assert "mean nothing" in (tmp_path / "cold_ablation.md").read_text()
    assert "<svg" in (tmp_path / "cold_ablation.svg").read_text()
    monkeypatch.setattr(cold_ablation, "trained", lambda *given: pytest.fail("trained again"))
    assert cold_ablation.main(given) == 0


def test_every_network_of_the_issue_is_there_and_trained_once() -> None:
    variants = cold_ablation_variants.all_variants(quick=False)
    ends = {v.model.betas.end for v in variants if v.target == "vocals" and v.model.betas.count == 8}
    assert ends == {0.02, 0.2, 0.5, 0.9}
    assert {v.model.betas.count for v in variants if v.target == "accompaniment"} == {8, 20, 100}
    assert {v.deviation for v in variants} == {"none", "gaussian", "mixture"}
    folder = Path("runs")
    configs = [
        cold_ablation_variants.training_config(v, ["synthetic:2"], ["synthetic:1"], 10, folder, quick=False)
        for v in variants
    ]
    names = {cold_ablation_variants.digest(config) for config in configs}
    assert len(names) == len({v.model.model_dump_json() for v in variants}) == 10
    longer = cold_ablation_variants.training_config(
        variants[0], ["synthetic:2"], ["synthetic:1"], 11, folder, quick=False
    )
    assert cold_ablation_variants.digest(longer) not in names


def test_the_deviation_s_noise_is_as_loud_as_each_window() -> None:
    mixture = torch.tensor([0.1, 2.0])[:, None, None] * torch.randn(
        2, 2, 50_000, generator=torch.Generator().manual_seed(0)
    )
    assert cold_ablation_variants.deviation_noise("none", mixture, [0, 9], 0) is None
    gaussian = cold_ablation_variants.deviation_noise("gaussian", mixture, [0, 9], 0)
    assert gaussian is not None
    torch.testing.assert_close(gaussian(1, mixture).std(dim=(1, 2)), torch.tensor([0.1, 2.0]), rtol=0.02, atol=0)
    as_noise = cold_ablation_variants.deviation_noise("mixture", mixture, [0, 9], 0)
    assert as_noise is not None
    assert torch.equal(as_noise(3, mixture), mixture)


def test_songs_that_got_worse_are_named() -> None:
    def song(name: str, *sdr: float) -> dict[str, Any]:
        return {"song": name, "sdr": list(sdr), "changed": [0.5] * len(sdr), "sir": list(sdr), "sar": [None, 3.0]}

    songs = [song("up", 1.0, 2.5), song("down", 4.0, 3.0)]
    assert gains(songs) == [("up", 1.0, 1.5), ("down", 4.0, -1.0)]
    result = {"question": "?", "target": "vocals", "songs": songs}
    report = {
        "results": {cold_ablation_variants.BASE: result, "other": result},
        "settings": {"quick": False, "test": "synthetic:2", "budget": 5, "source": ["s"]},
        "machine": {"processor": "p", "cores": 2},
    }
    page = markdown(report)
    assert "made worse: down." in page
    assert "| other | ? | 2.75 (2.50 to 3.00) | 0.00 (0.00 to 0.00) | 2.75 | 3.00 | 1 of 2 |" in page
