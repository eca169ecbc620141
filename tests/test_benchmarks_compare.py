"""`benchmarks.compare`: variants of a method on the same songs, paired differences, and scores along the steps."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("sepkit_latent_diffusion")

from benchmarks import compare
from benchmarks.codec_points import CodecCeiling
from benchmarks.compare_page import MEAN, last, stems_of
from benchmarks.excerpts import excerpt
from sepkit import registry
from sepkit.data.synthetic import synthetic_set
from sepkit.data.track import track_in_memory
from sepkit.errors import OptionError
from sepkit_latent_diffusion.separator import build


@pytest.fixture
def songs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made = list(synthetic_set(3, seconds=2.0))
    monkeypatch.setattr(compare, "opened", lambda spec: made)
    return made


def test_variants_are_scored_and_compared(songs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--variant", "none", "tiny_here", "untrained=true", "preset=tiny", "steps=2", "phase=codec",
        "--variant", "filtered", "tiny_here", "untrained=true", "preset=tiny", "steps=2", "phase=mixture",
        "--variant", "same", "tiny_here", "untrained=true", "preset=tiny", "steps=2", "phase=codec",
        "--along", "none", "--recipe", "sdx23", "--test", "made:3",
        "--out", str(tmp_path / "out/steps"), "--runs", str(tmp_path / "runs"),
    ]  # fmt: skip
    with registry.register("tiny_here", build):
        assert compare.main(words) == 0
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
        assert compare.main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == before
    report = json.loads((tmp_path / "out/steps.json").read_text())
    steps = {label: [len(song["steps"]) for song in result["songs"]] for label, result in report["results"].items()}
    assert steps == {"none": [2, 2, 2], "filtered": [1, 1, 1], "same": [1, 1, 1]}
    page = (tmp_path / "out/steps.md").read_text()
    same = next(line for line in page.splitlines() if line.startswith("| same"))
    filtered = next(line for line in page.splitlines() if line.startswith("| filtered"))
    assert "+0.00 (+0.00 to +0.00)" in same  # separate is the last of separate_iter
    assert "+0.00 (+0.00 to +0.00)" not in filtered
    assert "Along the steps of none" in page
    assert "--variant filtered tiny_here untrained=true preset=tiny steps=2 phase=mixture" in page
    assert (tmp_path / "out/steps.svg").stat().st_size > 1000
    capsys.readouterr()


def test_other_recipes_reference_points_and_published_rows(
    songs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--variant", "mixture", "mixture", "--variant", "ours", "tiny_here", "untrained=true", "preset=tiny", "steps=1",
        "--variant", "masks", "ideal_ratio_mask", "--recipe", "beyond_sdr", "--published", "msdm-slakh",
        "--test", "made:3", "--limit", "2", "--excerpt", "1", "--mono", "8000",
        "--out", str(tmp_path / "points"), "--runs", str(tmp_path / "runs"),
    ]  # fmt: skip
    with registry.register("tiny_here", build):
        assert compare.main(words) == 0
    report = json.loads((tmp_path / "points.json").read_text())
    for result in report["results"].values():  # the method says for which stems
        assert [list(song["steps"][-1]) for song in result["songs"]] == [["vocals", "accompaniment"]] * 2
    distance = {
        label: sum(song["steps"][-1]["vocals"]["mrstft"] for song in result["songs"])
        for label, result in report["results"].items()
    }
    assert distance["masks"] < distance["mixture"]
    page = (tmp_path / "points.md").read_text()
    assert "[msdm-slakh]" in page
    assert "mrstft is `mrstft`; bleedless" in page
    assert "--recipe beyond_sdr --published msdm-slakh --limit 2 --excerpt 1 --mono 8000" in page
    assert {song["seconds"] for result in report["results"].values() for song in result["songs"]} == {1.0}
    capsys.readouterr()


def test_the_ceiling_of_a_priors_codec_stands_among_the_reference_points(
    songs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is lost in a lapped transform, and much with the mixture's phase."""
    checkpoint = str(files("sepkit_msdm_posterior") / "checkpoints" / "msdm")
    rate, generator = 22_050, torch.Generator().manual_seed(0)
    truths = {stem: torch.randn(1, rate, generator=generator).double().numpy() for stem in ("bass", "drums")}
    mixture = truths["bass"] + truths["drums"]
    for phase, least, most in (("own", 100, 500), ("mixture", 0, 20)):
        ceiling = CodecCeiling.of("x", {"checkpoint": checkpoint, "phase": phase})
        found = ceiling(mixture, truths, rate)
        error = ((found["bass"] - truths["bass"]) ** 2).sum() / (truths["bass"] ** 2).sum()
        assert least < -10 * np.log10(error) < most
    with pytest.raises(OptionError, match="add --mono 22050"):
        ceiling(mixture, truths, 44_100)
    with pytest.raises(OptionError, match="takes checkpoint=FOLDER"):
        CodecCeiling.of("x", {"phase": "own"})
    words = ["--variant", "a", "lightsaft", "--variant", "b", "codec_ceiling", "checkpoint=nowhere"]
    assert compare.main([*words, "--out", str(tmp_path / "x")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_mean_of_the_stems_stands_before_more_than_two() -> None:
    found = {"bass": {"x": 1.0}, "drums": {"x": 2.0}, "piano": {"x": None}}
    songs = [{"steps": [found]}]
    assert stems_of(songs) == [MEAN, "bass", "drums", "piano"]
    assert last(songs, MEAN, "x") == [1.5]
    assert last(songs, "piano", "x") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variant", "a", "mixture"], "only a method says"),
        (["--variant", "a", "lightsaft", "--published", "msdm-slak"], "msdm-slakh"),
        (["--variant", "a"], "takes LABEL METHOD"),
        (["--variant", "a", "lightsaft", "steps"], "no NAME=VALUE"),
        (["--variant", "a", "nothing_of_this_name"], "nothing_of_this_name"),
        (["--variant", "a", "lightsaft", "--along", "b"], "none of the variants"),
    ],
)
def test_wrong_variants_end_before_any_work(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([*words, "--out", str(tmp_path / "x")]) == 1
    assert message in capsys.readouterr().err


def test_an_excerpt_is_where_most_stems_sound_and_the_quietest_is_loudest() -> None:
    rate = 100
    steady, entering = torch.full((2, 5 * rate), 0.1), torch.zeros(2, 5 * rate)
    entering[:, 2 * rate : 3 * rate] = 0.01
    entering[:, 3 * rate :] = 0.02
    song = track_in_memory("song", {"bass": steady, "drums": entering}, rate)
    found = excerpt(song, ("bass", "drums", "piano"), 2.0)
    assert found.stems == ("bass", "drums")
    torch.testing.assert_close(found.load("drums"), torch.full((2, 2 * rate), 0.02))
    assert excerpt(song, ("bass", "drums"), None).length_samples == song.length_samples
    mono = excerpt(song, ("bass", "drums"), 2.0, mono_rate=50)
    assert (mono.channels, mono.sample_rate, mono.length_samples) == (1, 50, 100)
