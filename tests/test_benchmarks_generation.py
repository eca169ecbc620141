"""`benchmarks.generation`: all stems, the 14 arrangements, and a check that what is given comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("sepkit_msdm_posterior")

from benchmarks import generation
from sepkit.audio import Audio, Stems
from sepkit.config import Frozen

BAND = ("bass", "drums", "guitar", "piano")


class Info(Frozen):
    stems: tuple[str, ...] = BAND


class Noise:
    """Generates white noise; `honest` or not about what it is given."""

    info = Info()

    def __init__(self, honest: bool = True):
        self.honest = honest

    def generate(self, seconds: float, **_: Any) -> Stems:
        sound = {stem: Audio(0.05 * torch.randn(1, round(8000 * seconds)), 8000) for stem in BAND}
        return Stems(sound, provenance={"generation": "total", "given": [], "generated": list(BAND), "seed": 0})

    def arrange(self, given: dict[str, Audio], **_: Any) -> Stems:
        first = next(iter(given.values()))
        scale = 1.0 if self.honest else 1.001
        sound = {
            stem: Audio(scale * given[stem].samples, first.sample_rate)
            if stem in given
            else Audio(0.05 * torch.randn_like(first.samples), first.sample_rate)
            for stem in BAND
        }
        facts = {"generation": "arrangement", "given": list(given), "generated": [s for s in BAND if s not in given]}
        return Stems(sound, provenance={**facts, "seed": 0})


def run(honest: bool, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(generation, "get_generator", lambda *_, **__: Noise(honest))
    monkeypatch.setattr(generation, "arrangements", lambda stems: [stems[:1], stems[:3]])  # all 14 take long to draw
    return generation.main(["--seconds", "0.5", "--out", str(out)])


def test_fourteen_ways_to_give_some_of_four_stems() -> None:
    found = list(generation.arrangements(BAND))
    assert len(set(found)) == len(found) == 14


def test_every_piece_is_written_checked_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(True, tmp_path, monkeypatch) == 0
    report = json.loads((tmp_path / "generation.json").read_text())
    assert list(report["takes"]) == ["all", "beside_bass", "beside_bass_drums_guitar"]
    assert all((tmp_path / name / "mixture.flac").exists() for name in report["takes"])
    made = report["takes"]["beside_bass_drums_guitar"]["stems"]["piano"]
    assert made["rms_db"] == pytest.approx(-26, abs=1)  # white noise of 0.05
    assert "beside_bass" in (tmp_path / "index.html").read_text()
    before = (tmp_path / "all/bass.flac").stat().st_mtime_ns
    assert run(True, tmp_path, monkeypatch) == 0
    assert (tmp_path / "all/bass.flac").stat().st_mtime_ns == before
    capsys.readouterr()


def test_a_given_stem_that_was_changed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(False, tmp_path, monkeypatch) == 1
    assert "| NO |" in capsys.readouterr().out
