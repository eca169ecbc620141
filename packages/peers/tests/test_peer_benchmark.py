"""Peers in the benchmark: a group of their own, never untrained unless asked for, and beside ours on equal terms."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from sepkit import Audio
from sepkit.errors import OptionError
from sepkit.evaluation import peers
from sepkit.evaluation.command import MethodRun, choose_methods, method_groups, run_methods
from sepkit.evaluation.score import read_scores
from sepkit.testing.signals import music

NETWORKS = {"htdemucs", "htdemucs_ft", "hdemucs", "demucs_v2", "umxhq", "umxl", "conv_tasnet"}


def chosen(names: str, *checkpoints: str, untrained: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """Names of what would run, and what is said of the rest."""
    methods, notes = peers.with_weights(choose_methods(names, checkpoints, untrained), names.split(","))
    return [method.name for method in methods], notes


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_is_installed", lambda package: True)


@pytest.mark.usefixtures("all_installed")
def test_peers_are_a_group_of_their_own() -> None:
    groups = method_groups()
    assert set(groups["peers"]) == NETWORKS
    assert not {*NETWORKS, "mdx_submission"} & {*groups["all"], *groups["methods"]}


def test_the_group_has_those_whose_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_is_installed", lambda package: package == "openunmix")
    assert peers.installed_peers() == ["umxhq", "umxl"]
    [point] = [point for point in entry_points(group="sepkit.separators") if point.name == "htdemucs"]
    assert peers.missing_packages(point) == ["demucs"]
    assert peers.missing_packages(EntryPoint("x", "sepkit_peers:x", "g")) == []


@pytest.mark.usefixtures("all_installed")
def test_a_group_brings_in_no_peer_without_weights(tmp_path: Path) -> None:
    file = tmp_path / "mine.th"
    file.write_bytes(b"weights")
    methods, notes = chosen("lightsaft,peers", f"htdemucs={file}", "umxl=download", untrained=("umxhq",))
    assert methods == ["lightsaft", "htdemucs", "umxhq", "umxl"]
    assert len(notes) == len(NETWORKS) - 3
    assert "conv_tasnet is left out: it has no weights here; give --checkpoint conv_tasnet=PATH" in notes[0]
    assert chosen("lightsaft,hdemucs") == (["lightsaft", "hdemucs"], [])  # named: its row will say what is missing


def test_weights_are_known_by_their_hash_so_that_no_run_goes_on_with_others(tmp_path: Path) -> None:
    facts = []
    for content in (b"one", b"two"):
        (tmp_path / "vocals.pth").write_bytes(content)
        for path in (tmp_path, tmp_path / "vocals.pth"):
            facts.append(choose_methods("umxhq", [f"umxhq={path}"])[0].facts)
    assert facts[0].weights_sha256 == facts[1].weights_sha256 != facts[2].weights_sha256
    random = choose_methods("umxhq", untrained=["umxhq"])[0]
    assert (random.options, random.facts.trained) == ({"untrained": True}, False)
    assert random.facts.weights_sha256 not in {None, *(one.weights_sha256 for one in facts)}


@pytest.mark.parametrize("name", ["mixture", "hdemucs", "nobody"])
def test_untrained_is_for_chosen_methods_without_a_checkpoint(name: str) -> None:
    with pytest.raises(OptionError, match="--untrained"):
        choose_methods("lightsaft,mixture", untrained=[name])
    with pytest.raises(OptionError, match="--untrained"):
        choose_methods("lightsaft", ["lightsaft=here"], ["lightsaft"])


@pytest.mark.slow
def test_peers_run_beside_ours_with_weights_and_without(tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("openunmix.model")
    for seed, stem in enumerate(("vocals", "drums", "bass", "other")):
        samples = music(44_100, 2, 20_000).roll(1000 * seed, -1)
        (tmp_path / "songs" / "one").mkdir(parents=True, exist_ok=True)
        Audio(samples, 44_100).write(tmp_path / "songs" / "one" / f"{stem}.wav", bits="float")
    file = tiny.save_package(tiny.demucs("htdemucs"), tmp_path, "mine")
    run = MethodRun(
        methods="mixture,peers,umxl",
        dataset=f"folder:{tmp_path / 'songs'}",
        recipes=("sdx23",),
        out=tmp_path / "out",
        device="cpu",
        checkpoints=(f"htdemucs={file}",),
        untrained=("umxhq",),
    )
    code = run_methods(run, [sys.executable])
    rows = {row.method: row for row in read_scores(tmp_path / "out" / "scores.jsonl")}
    assert set(rows) == {"mixture", "htdemucs", "umxhq", "umxl"}
    assert code == 1, "umxl was named, and has no weights"
    assert rows["umxl"].failed
    assert "'download'" in (rows["umxl"].reason or "")
    assert [rows[name].facts.trained for name in ("htdemucs", "umxhq")] == [True, False]
    assert rows["umxhq"].facts.parameters == 35_573_392
    assert rows["htdemucs"].facts.licence == "unknown"
    assert "untrained" in (tmp_path / "out" / "summary.md").read_text()
