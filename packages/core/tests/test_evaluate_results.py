"""Laws of a folder of results: no sound is deleted, no number depends on how it was asked for, nothing is mixed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
import torch

from sepkit import Audio
from sepkit.cli.main import main
from sepkit.errors import OptionError, UnknownNameError
from sepkit.evaluation.file_links import link_file
from sepkit.evaluation.name_matching import near, pick_names
from sepkit.evaluation.out_folder import OutFolder
from sepkit.evaluation.out_guard import alone_in, refuse_overlap, refuse_same_files
from sepkit.evaluation.score import Score, read_scores
from sepkit.evaluation.stem_folders import find_tracks

RATE = 8000
STEMS = ("vocals", "drums", "bass", "other")
SDX = ("--recipe", "sdx23", "--no-save-stems", "--out", "run")
MUSDB = ("--recipe", "musdb18", "--no-save-stems", "--out", "run")


def noise(seed: int, *, seconds: float = 1.5) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def write(path: Path, samples: torch.Tensor) -> None:
    Audio(samples, RATE).write(path, bits="float", overwrite=True)


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """refs/{A,B}/<stem>.wav and est/{A,B}/<stem>.wav, in the folder to work in."""
    for index, track in enumerate("AB"):
        for number, stem in enumerate(STEMS):
            truth = noise(10 * index + number)
            write(tmp_path / "refs" / track / f"{stem}.wav", truth)
            write(tmp_path / "est" / track / f"{stem}.wav", truth + 0.3 * noise(10 * index + number + 5))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *(str(argument) for argument in arguments)])


def rows(run: str = "run") -> list[Score]:
    return read_scores(Path(run, "scores.jsonl"))


def values(run: str = "run") -> dict[tuple[str, str, str, str], float | None]:
    return {(row.method, row.track, row.stem, row.metric): row.value for row in rows(run)}


def everything(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("out", ["run", "run/stems", "run/stems/deep/er", "run/references/A"])
@pytest.mark.parametrize("fresh", [True, False])
def test_inputs_and_results_never_share_a_folder(songs: Path, capsys, out: str, fresh: bool) -> None:
    shutil.move("est", "run/stems")
    shutil.move("refs", "run/references")
    before = everything(songs)
    more = ["--fresh"] if fresh else []
    assert evaluate("run/stems", "run/references", "--recipe", "sdx23", "--out", out, *more) == 2
    assert "--out" in capsys.readouterr().err
    assert evaluate("run/stems", "folder:run/references", "--recipe", "sdx23", "--out", out, *more) == 2
    dataset = ("--method", "silence", "--dataset", "folder:run/references")
    if out != "run/stems/deep/er" and out != "run/stems":
        assert evaluate(*dataset, "--recipe", "sdx23", "--out", out, *more) == 2
    assert everything(songs) == before


def test_a_link_into_the_results_is_an_input_there_too(songs: Path) -> None:
    (songs / "run" / "references").mkdir(parents=True)
    shutil.move("refs/A/bass.wav", "run/references/bass.wav")
    (songs / "refs" / "A" / "bass.wav").symlink_to(songs / "run" / "references" / "bass.wav")
    assert evaluate("est", "refs", *SDX, "--fresh") == 2
    assert Path("run", "references", "bass.wav").exists()


def test_fresh_discards_what_a_run_has_made_and_nothing_else(songs: Path, capsys) -> None:
    theirs = songs / "run" / "stems" / "mine.wav"
    write(theirs, noise(1))
    assert evaluate("est", "refs", *SDX, "--fresh") == 2
    assert "not known to be a run's" in " ".join(capsys.readouterr().err.split())
    assert evaluate("est", "refs", "--recipe", "musdb18", "--out", "run") == 0
    write(songs / "run" / "references" / "C" / "vocals.wav", noise(2))
    assert (songs / "run" / "stems" / "est" / "A").is_dir()
    OutFolder(songs / "run", save_stems=True).clear()
    assert sorted(path.name for path in (songs / "run").rglob("*") if path.is_file()) == [
        "index.html",
        "mine.wav",
        "summary.md",
        "vocals.wav",
    ]
    assert Path("est", "A", "vocals.wav").exists()
    (songs / "run" / "scores.jsonl").write_text("of something else\n")
    with pytest.raises(OptionError, match="not a run's"):
        OutFolder(songs / "run", save_stems=True).clear()


def test_a_link_replaces_nothing_that_is_not_a_runs(tmp_path: Path) -> None:
    source, folder = tmp_path / "source.wav", tmp_path / "run"
    source.write_bytes(b"one")
    folder.mkdir()
    for name in ("vocals.flac", "drums.wav"):
        (folder / name).write_bytes(b"theirs")
    link_file(source, folder, "vocals")
    link_file(source, folder, "drums")
    assert (folder / "vocals.flac").read_bytes() == (folder / "drums.wav").read_bytes() == b"theirs"
    source.unlink()  # a tool that writes anew: the old link is the last name of the old sound
    source.write_bytes(b"two")
    assert link_file(source, folder, "vocals").read_bytes() == b"two"


def test_sums_of_stems_are_no_stems(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", *SDX) == 0
    for track in "AB":
        stems = {stem: Audio.read(songs / "refs" / track / f"{stem}.wav").samples for stem in STEMS}
        write(songs / "refs" / track / "drums+bass+other.wav", sum(stems[stem] for stem in STEMS[1:]))
    assert evaluate("est", "refs", "--recipe", "sdx23", "--no-save-stems", "--out", "again") == 0
    assert values("again") == values()
    assert "it is the sum of other files there" in capsys.readouterr().err
    [track] = [track for track in find_tracks(songs / "refs") if track.name == "A"]
    assert tuple(track.stems) == STEMS
    for stem in ("drums", "bass"):
        (songs / "refs" / "A" / f"{stem}.wav").unlink()
    [track] = [track for track in find_tracks(songs / "refs") if track.name == "A"]
    assert "drums+bass+other.wav contains other" in str(track.problem)
    (songs / "refs" / "A" / "other.wav").unlink()
    [track] = [track for track in find_tracks(songs / "refs") if track.name == "A"]
    assert (track.problem, tuple(track.stems)) == (None, ("vocals", "drums+bass+other"))


def test_a_mixture_that_is_not_the_sum_is_said_with_its_level(songs: Path, capsys) -> None:
    total = sum(Audio.read(songs / "refs" / "A" / f"{stem}.wav").samples for stem in STEMS)
    write(songs / "refs" / "A" / "mixture.wav", 0.5 * total)
    assert evaluate("est", "refs", *SDX) == 0
    said = capsys.readouterr().err
    assert "mixture.wav: the mixture is not the sum of its references (6.0 dB quieter" in said
    write(songs / "refs" / "A" / "mixture.wav", total)
    assert evaluate("est", "refs", *SDX) == 0
    assert "not the sum" not in capsys.readouterr().err


@pytest.mark.parametrize("stem", STEMS)
def test_a_stem_has_the_same_numbers_alone_as_among_the_others(songs: Path, stem: str) -> None:
    both = ("--recipe", "sdx23", "--recipe", "musdb18", "--no-save-stems", "--limit", "1")
    assert evaluate("est", "refs", *both, "--out", "all") == 0
    assert evaluate("est", "refs", *both, "--out", "one", "--stem", stem) == 0
    assert values("one") == {key: value for key, value in values("all").items() if key[2] == stem}
    assert evaluate("est", "refs", *both, "--out", "one") == 0  # the rest joins it
    assert values("one") == values("all")


def test_what_stands_in_for_a_missing_estimate_is_said(songs: Path, capsys) -> None:
    (songs / "est" / "A" / "bass.wav").unlink()
    assert evaluate("est", "refs", *SDX, "--track", "A") == 1  # B has one: this one is missing
    assert "est: A: no estimate of bass" in capsys.readouterr().err
    whole = values()[("est", "A", "other", "sdr_mdx")]
    assert whole is not None
    assert whole > 5
    (songs / "est" / "B" / "bass.wav").unlink()
    assert evaluate("est", "refs", *SDX, "--fresh") == 0
    assert "est: no estimate of bass: other is compared with bass + other." in capsys.readouterr().err
    assert {row.truth for row in rows() if row.stem == "other"} == {"bass+other"}


def test_windows_of_a_track_that_has_failed_are_gone_and_not_exported(songs: Path) -> None:
    assert evaluate("est", "refs", *MUSDB, "--json", "first") == 0
    assert len(list(Path("first").rglob("*.json"))) == 2
    Path("est", "A", "vocals.wav").write_bytes(b"junk")
    assert evaluate("est", "refs", *MUSDB, "--json", "second") == 1
    assert [path.name for path in Path("second").rglob("*.json")] == ["B.json"]
    assert [path.name for path in Path("run", "windows").rglob("*.json")] == ["B.json"]
    (songs / "est" / "B").rename(songs / "elsewhere")
    (songs / "est" / "A" / "vocals.wav").write_bytes(Path("refs", "A", "vocals.wav").read_bytes())
    assert evaluate("est", "refs", *MUSDB, "--json", "third") == 1
    assert [path.name for path in Path("third").rglob("*.json")] == ["A.json"]


def test_names_that_would_share_a_file_are_refused(songs: Path, capsys) -> None:
    for side in ("est", "refs"):
        (songs / side / "A").rename(songs / side / "a?b")
        (songs / side / "B").rename(songs / side / "a_b")
    assert evaluate("est", "refs", *SDX) == 2
    assert "would both be called 'a_b'" in " ".join(capsys.readouterr().err.split())
    assert evaluate("est", "refs", *SDX, "--track", "a?b") == 0
    assert evaluate("est", "refs", *SDX, "--track", "a_b") == 2  # nor one after the other
    assert {row.track for row in rows()} == {"a?b"}
    assert evaluate("--method", "silence", "--dataset", "folder:refs", *SDX[:3], "--out", "other") == 2
    refuse_same_files(["a", "b", "a"], "tracks")


def test_a_group_with_the_folders_own_name_swallows_nothing(songs: Path, capsys) -> None:
    shutil.move("est/B", "est/est/B")
    assert evaluate("est", "refs", *SDX) == 2
    assert "would both be the method 'est'" in " ".join(capsys.readouterr().err.split())


def test_narrower_runs_keep_what_is_there(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", *SDX) == 0
    before = values()
    capsys.readouterr()
    assert evaluate("est", "refs", *SDX, "--stem", "vocals") == 0
    assert evaluate("est", "refs", *SDX, "--track", "B") == 0
    assert values() == before
    assert "2/2" in capsys.readouterr().out
    assert "tracks: 2" in Path("run", "summary.md").read_text()
    write(songs / "est" / "A" / "vocals.wav", noise(77))
    assert evaluate("est", "refs", *SDX, "--stem", "vocals", "--recipe", "musdb18") == 0
    changed = {key for key, value in values().items() if key[3] == "sdr_mdx" and value != before[key]}
    assert changed == {("est", "A", "vocals", "sdr_mdx")}
    assert evaluate("est", "refs", *SDX) == 0
    assert "sdr_bss4_median" in Path("run", "summary.md").read_text()  # though not asked for this time
    run = json.loads(Path("run", "run.json").read_text())
    assert [entry["tracks"] for entry in run["history"]] == [["A", "B"], ["A", "B"], ["B"], ["A", "B"], ["A", "B"]]
    assert run["history"][-1]["command"] == run["command"]
    assert evaluate("est", "refs", *SDX, "--fresh") == 0
    assert len(json.loads(Path("run", "run.json").read_text())["history"]) == 1


def test_estimates_of_another_folder_of_that_name_are_not_mixed_in(songs: Path, capsys) -> None:
    shutil.copytree("est", "later/est")
    assert evaluate("est", "refs", "--recipe", "sdx23", "--no-save-stems") == 0
    assert evaluate("later/est", "refs", "--recipe", "sdx23", "--no-save-stems") == 2
    assert "another --method-name or another --out" in " ".join(capsys.readouterr().err.split())
    assert evaluate("later/est", "refs", "--recipe", "sdx23", "--no-save-stems", "--method-name", "later") == 0
    assert {row.method for row in rows("runs/est")} == {"est", "later"}
    assert evaluate("./est/../est", "refs", "--recipe", "sdx23", "--no-save-stems") == 0  # the same, said otherwise


def test_every_spelling_of_a_path_is_the_same_dataset(songs: Path, monkeypatch) -> None:
    for spelled in ("refs", "./refs", str(songs / "refs"), "folder:refs", "est/../refs"):
        assert evaluate("est", spelled, *SDX) == 0
    (songs / "elsewhere").mkdir()
    shutil.copytree("refs", "elsewhere/refs")
    monkeypatch.chdir(songs / "elsewhere")
    assert evaluate(songs / "est", "refs", *SDX[:3], "--out", songs / "run") == 2


def test_a_track_is_named_in_any_case_and_normalisation(songs: Path) -> None:
    for side in ("est", "refs"):
        (songs / side / "A").rename(songs / side / "Söng a")
    for number, spelled in enumerate(("söng A", unicodedata.normalize("NFD", "SÖNG A"))):
        assert evaluate("est", "refs", *SDX[:3], "--out", f"run{number}", "--track", spelled) == 0
        assert {row.track for row in rows(f"run{number}")} == {"Söng a"}
    dataset = ("--method", "silence", "--dataset", "folder:refs")
    assert evaluate(*dataset, *SDX[:3], "--out", "other", "--track", "SÖNG A") == 0
    with pytest.raises(UnknownNameError, match="'Aa' or 'aA'"):
        pick_names(["AA"], ["Aa", "aA"])
    assert pick_names(["aA"], ["Aa", "aA"]) == ["aA"]


def test_a_file_is_no_folder_for_results(songs: Path, capsys) -> None:
    (songs / "afile").touch()
    for out in ("afile", "afile/deeper"):
        assert evaluate("est", "refs", *SDX[:3], "--out", out) == 2
        assert "cannot be the folder of the results" in " ".join(capsys.readouterr().err.split())
        assert evaluate("--method", "silence", "--dataset", "folder:refs", *SDX[:3], "--out", out) == 2


def test_silence_is_said_and_counts_as_a_failure_only_where_the_estimate_is_to_blame(songs: Path, capsys) -> None:
    write(songs / "refs" / "A" / "bass.wav", 0 * noise(1))
    assert evaluate("est", "refs", "--recipe", "sdx23", *MUSDB, "--track", "A") == 0  # sdx23 has a value for all
    said = capsys.readouterr().err
    assert "have no value: " in said
    assert "4 x the reference is silent" in said
    assert evaluate("est", "refs", "--recipe", "musdb18", *SDX[2:3], "--out", "bss", "--track", "A") == 1
    assert "est: A: vocals has no score under any recipe" in capsys.readouterr().err
    for stem in ("drums", "other", "vocals"):
        Path("est", "A", f"{stem}.wav").unlink()
        Path("refs", "A", f"{stem}.wav").unlink()
    shutil.rmtree("est/B")
    shutil.rmtree("refs/B")
    assert evaluate("est", "refs", "--recipe", "musdb18", *SDX[2:3], "--out", "alone") == 0  # nothing to hear there
    write(songs / "refs" / "A" / "bass.wav", noise(1))
    write(songs / "est" / "A" / "bass.wav", 0 * noise(1))
    assert evaluate("est", "refs", "--recipe", "musdb18", *SDX[2:3], "--out", "mute") == 1
    assert "the estimate is silent" in capsys.readouterr().err


def test_notes_are_about_what_was_asked(songs: Path, capsys) -> None:
    for track in "AB":
        for stem in STEMS[1:]:
            (songs / "est" / track / f"{stem}.wav").unlink()
    assert evaluate("est", "refs", *SDX) == 0
    assert "estimates of vocals only" not in capsys.readouterr().err  # SDR of whole tracks needs no other source
    assert evaluate("est", "refs", *MUSDB) == 0
    assert "ISR, SIR and SAR need an estimate of every source and are undefined" in capsys.readouterr().err
    assert evaluate("est", "refs", *SDX, "--stem", "vokals") == 2
    assert "did you mean 'vocals'" in capsys.readouterr().err
    for track in "AB":
        for stem in STEMS[1:]:
            (songs / "refs" / track / f"{stem}.wav").unlink()
    assert evaluate("est", "refs", "--recipe", "sdx23", "--no-save-stems", "--out", "v") == 0
    said = capsys.readouterr().err
    assert "one reference only (vocals)" in said
    assert "the sum of the references" not in said
    assert near("a", []) == ""


def test_a_reason_is_printed_once_below_all_tables(songs: Path, capsys) -> None:
    Path("est", "A", "vocals.wav").write_bytes(b"junk")
    evaluate("est", "refs", "--recipe", "musdb18", *SDX)
    assert capsys.readouterr().out.count("est has no score on 1 of 2 track(s)") == 1


def test_museval_files_without_its_values_are_said_and_fail(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", "--recipe", "msdm_slakh", "--recipe", "musdb18", *SDX[2:]) == 0
    capsys.readouterr()
    assert evaluate("--museval-json", "run/windows/msdm_slakh") == 1
    said = capsys.readouterr()
    assert "est has no values of BSS Eval (SDR, ISR, SIR, SAR)" in said.err
    assert said.out.strip() == ""
    assert evaluate("--museval-json", "run/windows/musdb18") == 0


def test_only_one_run_at_a_time_is_at_work_in_a_folder(songs: Path, capsys) -> None:
    with alone_in(songs / "run"):
        assert evaluate("est", "refs", *SDX) == 2
        assert f"Another run (process {os.getpid()}) is at work" in " ".join(capsys.readouterr().err.split())
        assert evaluate("--method", "silence", "--dataset", "folder:refs", *SDX) == 2
    (songs / "run" / ".lock").write_text("99999999")  # of a run that was killed
    assert evaluate("est", "refs", *SDX) == 0
    assert not (songs / "run" / ".lock").exists()


KILLED = """
import os, sys, time
from sepkit.evaluation.processes import apply_in_processes
if __name__ == "__main__":
    for _ in apply_in_processes(time.sleep, [300.0, 300.0, 300.0], 2, lambda value, cause: None):
        pass
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="wants Linux's list of children")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(KILLED)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 60
    found: list[int] = []
    while len(found) < 3 and time.monotonic() < deadline:  # two and the tracker of multiprocessing
        time.sleep(0.1)
        found = [int(number) for number in children.read_text().split()]
    time.sleep(3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(_alive(number) for number in found) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(found) >= 2
    assert not any(_alive(number) for number in found)


def _alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_overlaps_are_seen_through_links_and_dots(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for out, path in (("real", "link/deep"), ("link/deep", "real"), ("real", "real/deep/../../link")):
        with pytest.raises(OptionError, match="--out"):
            refuse_overlap(tmp_path / out, [tmp_path / path])
    refuse_overlap(tmp_path / "real2", [tmp_path / "real", tmp_path / "link"])
