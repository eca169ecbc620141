"""The benchmark's command line: what it writes, what it says when something is missing, and its exit codes."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from typer.testing import CliRunner, Result

from sepkit import Audio
from sepkit.evaluation.score import EVERY_STEM, read_scores

pytestmark = pytest.mark.timeout(900)  # every method starts a process, which a busy machine makes slow

PLUGIN = """
from sepkit.separator import SeparatorInfo, WindowSettings

class Shares:
    info = SeparatorInfo(name="shares", stems=("vocals", "accompaniment"), sample_rate=8000, channels=2,
                         window_samples=2000, overlap_samples=500, licence="MIT", kind="dedicated")
    parameters = 12345
    def settings(self, quality):
        return WindowSettings()
    def network_calls(self, settings):
        return 3
    def separate_windows(self, windows, starts, *, seed, settings):
        import torch
        return torch.stack([0.25 * windows, 0.75 * windows], dim=1)

def build():
    return Shares()

def broken():
    raise RuntimeError("the weights were never shipped")
"""


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    """Two songs of one second as folders of stems."""
    root = tmp_path_factory.mktemp("songs")
    for index in range(2):
        generator = torch.Generator().manual_seed(index)
        for stem in ("vocals", "drums", "bass", "other"):
            (root / f"song {index}").mkdir(exist_ok=True)
            Audio(0.1 * torch.randn(2, 8000, generator=generator), 8000).write(root / f"song {index}" / f"{stem}.wav")
    return root


@pytest.fixture(scope="module", autouse=True)
def plugin(repository, tmp_path_factory):
    """A package that announces one method that works and one that cannot be built."""
    site = tmp_path_factory.mktemp("site")
    (site / "shares_plugin.py").write_text(dedent(PLUGIN))
    metadata = site / "shares_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shares-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[sepkit.separators]\nshares = shares_plugin:build\nnever_shipped = shares_plugin:broken\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository))
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def bench(*arguments: object) -> Result:
    """Run the command in this process; the methods still get processes of their own."""
    app = import_module("benchmarks.run").app
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def first(songs, tmp_path_factory) -> tuple[Result, Path]:
    """One run with a plugin, a broken plugin and two reference points."""
    out = tmp_path_factory.mktemp("bench") / "out"
    methods = "shares,never_shipped,mixture,ideal_ratio_mask"
    return bench("--methods", methods, "--dataset", f"folder:{songs}", "--out", out), out


def test_a_method_that_cannot_run_is_a_visible_row_and_a_failing_exit(first):
    result, out = first
    assert result.exit_code == 1, result.output
    failed = [row for row in read_scores(out / "scores.jsonl") if row.stem == EVERY_STEM]
    assert {row.method for row in failed} == {"never_shipped"}
    for text in (result.stdout, (out / "summary.md").read_text(), (out / "index.html").read_text()):
        assert "never_shipped has no score on 2 of 2 track(s)" in text
        assert "the weights were never shipped" in text


def test_the_tables_have_scores_and_costs_of_everyone(first):
    result, out = first
    summary = (out / "summary.md").read_text()
    assert "| method | vocals | accompaniment | mean | rank | mixture | tracks |" in summary
    assert "| shares | dedicated | 12,345 | ? | 3 | no |" in summary
    for name in ("shares", "mixture", "ideal_ratio_mask", "sdr_mdx", "sdr_bss4_median", "peak MB", "s per s"):
        assert name in result.stdout
    rows = [row for row in read_scores(out / "scores.jsonl") if row.metric == "sdr_mdx"]
    values = {(row.method, row.track, row.stem): row.value for row in rows}
    for stem in ("vocals", "accompaniment"):
        assert values[("ideal_ratio_mask", "song 0", stem)] > values[("mixture", "song 0", stem)] + 0.5


def test_stems_can_be_listened_to_and_the_run_can_be_retold(first):
    _, out = first
    assert Audio.read(out / "stems" / "shares" / "song 1" / "accompaniment.wav").length_samples == 8000
    page = (out / "index.html").read_text()
    assert '"truth":"drums+bass+other"' in page
    assert page.count('<script type="text/plain" id="clip-') == 2 * (1 + 5 + 2 + 5)  # mixture, truths, two methods
    run = json.loads((out / "run.json").read_text())
    assert run["settings"]["seed"] == 0
    assert run["tracks"] == ["song 0", "song 1"]
    assert run["versions"]["shares-plugin"] == "1.0"


def test_the_same_command_again_does_nothing_twice_and_a_budget_adds_a_column(first, songs):
    _, out = first
    before = (out / "scores.jsonl").read_bytes()
    again = ("--methods", "shares,mixture", "--dataset", f"folder:{songs}", "--out", out, "--budget-per-track", 1000)
    result = bench(*again)
    assert result.exit_code == 0, result.output
    assert (out / "scores.jsonl").read_bytes() == before
    assert "Runnable?" in result.stdout
    assert "Runnable? (1000 s)" in (out / "summary.md").read_text()
    result = bench(*again, "--seed", 5)
    assert result.exit_code == 2
    assert "--fresh" in result.output


def test_museval_missing_is_said_at_once_and_leaves_the_other_recipes_alone(songs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "museval", None)
    recipes = ("--recipe", "sdx23", "--recipe", "museval_v4")
    result = bench("--methods", "mixture", "--dataset", f"folder:{songs}", "--limit", 1, "--out", tmp_path, *recipes)
    assert result.exit_code == 1
    assert "museval_v4 will be undefined" in result.output
    rows = read_scores(tmp_path / "scores.jsonl")
    assert {row.track for row in rows} == {"song 0"}
    assert all((row.value is None) == (row.recipe == "museval_v4") for row in rows)
    assert "undefined on 1 track(s) for mixture" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "mixtur"], "did you mean 'mixture'"),
        (["--methods", ","], "names no method"),
        (["--methods", "mixture", "--recipe", "sdx32"], "did you mean 'sdx23'"),
        (["--methods", "mixture", "--dataset", "dmeo"], "did you mean 'demo'"),
        (["--methods", "mixture", "--dataset", "folder:/nowhere"], "nowhere"),
        (["--methods", "mixture", "--quality", "bset"], "did you mean 'best'"),
        (["--methods", "mixture", "--checkpoint", "lightsaft=x"], "fits no chosen method"),
        (["--methods", "mixture", "--limit", "0"], "limit"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(arguments, message, tmp_path):
    result = bench(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_all_is_every_installed_method_and_the_reference_points():
    result = bench("--list")
    assert result.exit_code == 0
    [everything] = [line for line in result.stdout.splitlines() if line.startswith("all ")]
    names = everything.split("group")[1].replace(" ", "").split(",")
    assert {"shares", "never_shipped", "mixture", "ideal_ratio_mask", "wiener_oracle", "repet_hpss"} <= set(names)
    assert "silence" not in names
