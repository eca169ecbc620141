"""Scores from domain to domain: unpaired intervals, missing domains and references, and the benchmark as a whole."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sepkit import Audio
from sepkit.errors import DatasetError


@pytest.fixture(scope="module", autouse=True)
def _benchmarks(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name}")


def write_songs(root: Path, count: int, files: dict[str, float], seed: int = 0) -> Path:
    """Songs of a quarter of a second of noise at 8 kHz: file -> level; `mixture` is its own recording."""
    for index in range(count):
        generator = torch.Generator().manual_seed(100 * seed + index)
        folder = root / f"song {index}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, level in files.items():
            Audio(level * torch.randn(2, 2000, generator=generator), 8000).write(folder / f"{name}.wav")
    return root


def bench(*arguments: object):
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(module("generalisation").app, words, env={"COLUMNS": "200"})


# --- the unpaired interval


def test_a_set_against_itself_is_no_difference() -> None:
    table = np.random.default_rng(0).normal(size=(5, 2))
    found = module("unpaired").unpaired_interval(table, table, "mean")
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_difference_of_two_sets_has_the_width_of_both() -> None:
    """Of normal data the half-width is near t·sqrt(s1²/n1 + s2²/n2), and more tracks make it narrower."""
    rng, interval = np.random.default_rng(1), module("unpaired").unpaired_interval
    a, b = rng.normal(3.0, 1.0, size=(40, 1)), rng.normal(1.0, 2.0, size=(30, 1))
    found = interval(a, b, "mean")
    assert found.estimate == pytest.approx(a.mean() - b.mean())
    wanted = 2.02 * np.sqrt(a.var() / 40 + b.var() / 30)
    assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=0.12)
    swapped = interval(b, a, "mean")
    assert swapped.low == pytest.approx(-found.high, abs=0.1)
    few = interval(a[:5], b[:5], "mean")
    assert few.high - few.low > found.high - found.low
    assert interval(a[:2], b, "mean").low is None
    shifted = interval(a, a + 1.0, "mean")  # paired, every track would differ by the same, and nothing would vary
    assert shifted.high - shifted.low > 0.5
    assert "3 are needed" in interval(a[:2], b, "mean").reason


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    rng, interval = np.random.default_rng(2), module("unpaired").unpaired_interval
    covered = 0
    for _ in range(200):
        found = interval(rng.normal(0, 1, (8, 1)), rng.normal(0, 1, (10, 1)), "mean", resamples=400)
        covered += found.low <= 0.0 <= found.high
    assert 0.91 <= covered / 200 <= 0.995


# --- the benchmark


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two domains of made folders, one with vocals and a mixture only, and the others missing."""
    root = tmp_path_factory.mktemp("generalisation")
    four = {"vocals": 0.1, "drums": 0.1, "bass": 0.1, "other": 0.1}
    home = write_songs(root / "home", 4, four)
    away = write_songs(root / "away", 3, {"vocals": 0.05, "mixture": 0.1}, seed=1)
    command = ["--methods", "mixture", "--data", f"musdb18=folder:{home}", "--data", f"saraga=folder:{away}"]
    command += ["--domains", "musdb18,medleydb,saraga,real", "--out", str(root / "out")]
    return root / "out", command, bench(*command)


def points(out: Path) -> dict[tuple[str, str], dict]:
    report = json.loads((out / "generalisation.json").read_text(encoding="utf-8"))
    return {(point["stem"], point["domain"]): point for point in report["points"]}


def test_drops_are_from_the_first_domain(run) -> None:
    out, _, result = run
    assert result.exit_code == 0, result.output
    found = points(out)
    here, there = found[("vocals", "musdb18")], found[("vocals", "saraga")]
    assert here["drop"] == 0.0
    assert (here["tracks"], there["tracks"]) == (4, 3)
    assert there["drop"] == pytest.approx(there["score"] - here["score"])
    assert there["drop_low"] <= there["drop"] <= there["drop_high"] < 0


def test_what_has_no_reference_is_undefined_with_the_reason_and_never_made_up(run) -> None:
    """Mixture less vocals would be a number for the accompaniment; there must be none."""
    out, _, _ = run
    assert ("accompaniment", "musdb18") in points(out)
    assert not {("accompaniment", "saraga"), ("drums", "saraga"), ("mean", "saraga")} & set(points(out))
    page = (out / "generalisation.md").read_text(encoding="utf-8")
    assert "saraga: mixture: accompaniment undefined on 3 track(s)" in page


def test_missing_domains_are_lines_with_their_reason(run) -> None:
    out, _, result = run
    page = (out / "generalisation.md").read_text(encoding="utf-8")
    assert "| medleydb | – | MedleyDB: **missing**, not given: --data medleydb=PATH |" in page
    assert "real songs: **missing**" in page
    assert page.strip() in result.stdout
    pytest.importorskip("matplotlib")
    assert "<svg" in (out / "generalisation.svg").read_text(encoding="utf-8")


def test_the_same_command_again_does_nothing_twice(run) -> None:
    out, command, _ = run
    before = (out / "saraga" / "scores.jsonl").read_bytes()
    assert bench(*command).exit_code == 0
    assert (out / "saraga" / "scores.jsonl").read_bytes() == before


def test_made_songs_are_there_always_and_rendered_ones_or_the_reason(tmp_path, monkeypatch) -> None:
    domains = module("domains")

    def missing(*_: object, **__: object) -> None:
        raise DatasetError("The program fluidsynth is not installed: apt-get install fluidsynth.")

    monkeypatch.setattr("sepkit.data.render.render", missing)
    monkeypatch.setattr("sepkit.data.soundfonts.find_soundfonts", lambda paths=(): [])
    opened = {
        domain.name: (domain, songs) for domain, songs in domains.open_domains({}, tmp_path, 2, list(domains.KINDS))
    }
    assert list(opened) == list(domains.KINDS)
    assert opened["synthetic"][0].songs == 4
    assert opened["synthetic"][1].split == "test"
    assert "apt-get install fluidsynth" in opened["rendered"][0].reason
    assert {name for name, (_, songs) in opened.items() if songs is None} == set(domains.KINDS) - {"synthetic"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "slakh=x"], "NAME one of musdb18"),
        (["--domains", "moon"], "names no domain"),
    ],
)
def test_wrong_input_is_refused(arguments, message, tmp_path) -> None:
    result = bench("--methods", "mixture", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_paths_that_cannot_be_read_are_all_refused_before_anything_runs(tmp_path) -> None:
    home = write_songs(tmp_path / "home", 1, {"vocals": 0.1, "drums": 0.1})
    wrong = ["--data", "saraga=folder:/nowhere/at/all", "--data", "real=/not/here/either"]
    result = bench("--methods", "mixture", "--data", f"musdb18=folder:{home}", *wrong, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--data saraga: /nowhere/at/all is not a folder" in result.output
    assert "--data real: /not/here/either is not a folder" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["generalisation", "robustness"])
def test_methods_without_weights_are_left_out_with_a_note(name, tmp_path, monkeypatch) -> None:
    """As benchmarks.run does; a peer that nobody named would have a row of errors on every song else."""
    pytest.importorskip("sepkit_peers")
    monkeypatch.setattr("sepkit.evaluation.peers._is_installed", lambda package: True)
    ran: list[str] = []
    monkeypatch.setattr(module(name), "evaluate", lambda methods, *_: ran.extend(m.name for m in methods) or [])
    home = write_songs(tmp_path / "home", 1, {"vocals": 0.1, "drums": 0.1})
    data = ["--data", f"folder:{home}"] if name == "robustness" else ["--data", f"real={home}", "--domains", "real"]
    words = ["--methods", "mixture,peers", *data, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(module(name).app, words, env={"COLUMNS": "200"})
    assert "umxhq is left out: it has no weights here" in result.output
    assert set(ran) == {"mixture"}
