"""`sepkit evaluate` as a user meets it: numbers, folders, messages, exit codes, and going on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from sepkit import Audio
from sepkit.cli.main import main
from sepkit.evaluation import folder_run, folder_scoring
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.museval_json import read_results
from sepkit.evaluation.score import EVERY_STEM, Score, read_scores

RATE = 8000
STEMS = ("vocals", "drums", "bass", "other")


def noise(seed: int, *, seconds: float = 2.0, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=generator)


def write(path: Path, samples: torch.Tensor, rate: int = RATE) -> None:
    Audio(samples, rate).write(path, bits="float" if path.suffix == ".wav" else None, overwrite=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """refs/{A,B}/<stem>.wav, and est/{A,B}/ with other spellings of the stems, noisier in B."""
    root = tmp_path_factory.mktemp("songs")
    for index, (track, level) in enumerate((("A", 0.3), ("B", 1.0))):
        for number, (stem, spelled) in enumerate(zip(STEMS, ("Vocals", "drums", "Bass", "others"), strict=True)):
            truth = noise(10 * index + number)
            write(root / "refs" / track / f"{stem}.wav", truth)
            write(root / "est" / track / f"{spelled}.wav", truth + level * noise(10 * index + number + 5))
    return root


@pytest.fixture
def songs(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the songs to change, which is also the folder to work in."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *(str(argument) for argument in arguments)])


def rows(run: str = "run") -> list[Score]:
    return read_scores(Path(run, "scores.jsonl"))


def values(found: list[Score]) -> dict[tuple[str, str, str, str], float | None]:
    return {(row.method, row.track, row.stem, row.metric): row.value for row in found}


SDX = ("--recipe", "sdx23", "--out", "run", "--no-save-stems")  # pictures of sounds take longer than scores


def test_every_stem_is_scored_against_its_own_reference(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", *SDX) == 0
    found = rows()
    assert len(found) == 8
    for row in found:
        spelled = {"vocals": "Vocals", "bass": "Bass", "other": "others"}.get(row.stem, row.stem)
        truth, estimate = (Audio.read(path).numpy() for path in (
            songs / "refs" / row.track / f"{row.stem}.wav", songs / "est" / row.track / f"{spelled}.wav"
        ))  # fmt: skip
        assert row.value == float(sdr_mdx(truth.astype("float64"), estimate.astype("float64")))
        assert (row.method, row.dataset, row.view, row.mixture) == ("est", f"folder:{songs / 'refs'}", STEMS, "full")
    said = capsys.readouterr()
    assert "sdr_mdx" in said.out
    assert "2 track(s) have no mixture file" in said.err


def test_the_folder_is_one_of_a_run(songs: Path) -> None:
    write(
        songs / "refs" / "A" / "mixture.flac", sum(Audio.read(songs / "refs" / "A" / f"{s}.wav").samples for s in STEMS)
    )
    evaluate("est", "refs", *SDX, "--save-stems")
    own = songs / "run" / "stems" / "est" / "A" / "other.wav"
    assert os.path.samefile(own, songs / "est" / "A" / "others.wav")
    assert os.path.samefile(songs / "run" / "references" / "A" / "mixture.flac", songs / "refs" / "A" / "mixture.flac")
    total = sum(Audio.read(songs / "refs" / "B" / f"{stem}.wav").samples for stem in STEMS)
    torch.testing.assert_close(Audio.read(songs / "run" / "references" / "B" / "mixture.wav").samples, total)
    run = json.loads((songs / "run" / "run.json").read_text())
    assert run["tracks"] == ["A", "B"]
    assert run["settings"]["dataset"] == f"folder:{songs / 'refs'}"
    assert [method["name"] for method in run["methods"]] == ["est"]
    assert evaluate("est", "refs", *SDX, "--fresh") == 0
    assert not (songs / "run" / "stems").exists()


def test_two_processes_give_the_bits_of_one(songs: Path) -> None:
    recipes = ("--recipe", "sdx23", "--recipe", "musdb18", "--no-save-stems")
    assert evaluate("est", "refs", *recipes, "--out", "one") == 0
    assert evaluate("est", "refs", *recipes, "--out", "two", "-j", 2) == 0
    assert values(rows("one")) == values(rows("two"))
    assert None not in values(rows("one")).values()
    one, two = (Path(run, "summary.md").read_text().splitlines() for run in ("one", "two"))
    assert [line for line in one if line.startswith("|")] == [line for line in two if line.startswith("|")]
    for path in Path("one", "windows").rglob("*.json"):
        assert path.read_bytes() == Path("two", path.relative_to("one")).read_bytes()


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What is really scored from now on: track and recipes."""
    done: list[tuple[str, list[str]]] = []

    def score(task):
        done.append((task.track, [recipe.name for recipe in task.recipes]))
        return folder_scoring.score_pair(task)

    monkeypatch.setattr(folder_run, "score_pair", score)
    return done


def test_what_is_scored_is_scored_again_only_when_its_files_or_the_wishes_change(songs: Path, monkeypatch) -> None:
    done = watched(monkeypatch)
    evaluate("est", "refs", *SDX)
    before = Path("run", "scores.jsonl").read_bytes()
    assert [track for track, _ in done] == ["A", "B"]
    done.clear()
    assert evaluate("est", "refs", *SDX) == 0
    assert (done, Path("run", "scores.jsonl").read_bytes()) == ([], before)
    assert evaluate("est", "refs", *SDX, "--recipe", "msdm_slakh") == 0
    assert done == [("A", ["msdm_slakh"]), ("B", ["msdm_slakh"])]
    done.clear()
    first = values(rows())
    write(songs / "est" / "B" / "drums.wav", noise(13))
    assert evaluate("est", "refs", *SDX) == 0
    assert done == [("B", ["sdx23"])]
    now = values(rows())
    assert [key for key in now if now[key] != first[key]] == [("est", "B", "drums", "sdr_mdx")]
    done.clear()
    evaluate("est", "refs", *SDX, "--stem", "vocals")
    assert done == []  # all four are there
    assert {row.stem for row in rows() if row.recipe == "sdx23"} == set(STEMS)
    evaluate("est", "refs", *SDX, "--stem", "vocals", "--fresh")
    assert len(done) == 2


def test_an_interrupted_run_goes_on_and_equals_one_that_was_not(songs: Path, monkeypatch, capsys) -> None:
    def stopped(task):
        if task.track == "B":
            raise KeyboardInterrupt
        return folder_scoring.score_pair(task)

    monkeypatch.setattr(folder_run, "score_pair", stopped)
    assert evaluate("est", "refs", *SDX) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert {row.track for row in rows()} == {"A"}
    for name in ("scores.jsonl", "inputs.jsonl"):  # and the power failed, too
        with Path("run", name).open("a") as file:
            file.write('{"method": "est", "tra')
    done = watched(monkeypatch)
    assert evaluate("est", "refs", *SDX) == 0
    assert [track for track, _ in done] == ["B"]
    assert evaluate("est", "refs", "--recipe", "sdx23", "--no-save-stems", "--out", "whole") == 0
    assert values(rows()) == values(rows("whole"))


def test_a_run_of_other_references_is_not_mixed_in(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", *SDX) == 0
    assert evaluate("est", "folder:refs", *SDX) == 0  # the same, said otherwise
    shutil.copytree("refs", "others")
    assert evaluate("est", "others", *SDX) == 2
    assert "--fresh" in capsys.readouterr().err


def test_what_has_no_counterpart_is_said_the_rest_is_scored_and_the_exit_code_is_1(songs: Path, capsys) -> None:
    (songs / "est" / "B").rename(songs / "est" / "Bee")
    assert evaluate("est", "refs", *SDX) == 1
    said = capsys.readouterr()
    assert "est: Bee: no reference of this track. did you mean 'B'? There: B." in said.err
    assert "no estimates of this track. did you mean 'Bee'? There: Bee." in said.out
    found = rows()
    assert [(row.track, row.stem) for row in found if row.failed] == [("B", EVERY_STEM)]
    assert len([row for row in found if row.track == "A"]) == 4
    (songs / "est" / "Bee").rename(songs / "est" / "B")
    assert evaluate("est", "refs", *SDX) == 0  # renamed, it is scored, and the complaint is gone
    assert len(rows()) == 8


def test_a_stem_without_counterpart_is_a_row_that_says_so(songs: Path, capsys) -> None:
    (songs / "est" / "B" / "drums.wav").rename(songs / "est" / "B" / "dums.wav")
    assert evaluate("est", "refs", *SDX) == 1
    said = capsys.readouterr().err
    assert "no reference has the stem 'dums': did you mean 'drums'?" in said
    [row] = [row for row in rows() if (row.track, row.stem) == ("B", "drums")]
    assert row.value is None
    assert row.reason is not None
    assert row.reason.startswith(f"no estimate of drums in {Path('est', 'B')}. did you mean 'dums.wav'?")
    [row] = [row for row in rows() if (row.track, row.stem) == ("B", "dums")]
    assert row.reason == "no reference of dums: did you mean 'drums'? There: vocals, drums, bass, other."
    assert values(rows())[("est", "B", "vocals", "sdr_mdx")] is not None


def test_nothing_matched_starts_nothing(songs: Path, capsys) -> None:
    for track in "AB":
        (songs / "est" / track).rename(songs / "est" / f"{track}{track}x")
    assert evaluate("est", "refs", *SDX) == 2
    assert "No estimate matches a reference by name. References: A, B." in capsys.readouterr().err
    assert not Path("run").exists()


def bad_rate(songs: Path) -> None:
    write(songs / "est" / "B" / "drums.wav", noise(3, seconds=4.0), 16000)


def bad_channels(songs: Path) -> None:
    write(songs / "est" / "B" / "drums.wav", noise(3, channels=2))


def bad_length(songs: Path) -> None:
    write(songs / "est" / "B" / "drums.wav", noise(3, seconds=3.5))


def bad_file(songs: Path) -> None:
    (songs / "est" / "B" / "drums.wav").write_bytes(b"RIFF")


def bad_choice(songs: Path) -> None:
    write(songs / "est" / "B" / "drum.flac", noise(3).clamp(-1, 1))


@pytest.mark.parametrize(
    ("spoil", "message", "remedy"),
    [
        (bad_rate, "drums.wav has 16000 Hz and", "--resample"),
        (bad_channels, "has 2 channels (stereo) and", None),
        (bad_length, "12000 samples (1.500 s) longer than", "--pad"),
        (bad_file, "drums.wav", None),
        (bad_choice, "two files for drums: drum.flac and drums.wav", None),
    ],
)
def test_a_bad_track_is_a_row_and_costs_only_itself(songs: Path, capsys, spoil, message, remedy) -> None:
    spoil(songs)
    assert evaluate("est", "refs", *SDX) == 1
    [failed] = [row for row in rows() if row.failed]
    assert failed.track == "B"
    assert message in str(failed.reason)
    assert message in " ".join(capsys.readouterr().err.split())
    assert len([row for row in rows() if row.track == "A"]) == 4
    if remedy is not None:
        assert evaluate("est", "refs", *SDX, remedy) == 0
        assert len(rows()) == 8


def test_lengths_that_differ_a_little_are_noted_with_the_samples(songs: Path, capsys) -> None:
    write(songs / "est" / "A" / "drums.wav", noise(3, seconds=2.0125))
    assert evaluate("est", "refs", *SDX) == 0
    assert "drums.wav is 100 samples (0.013 s) longer than" in capsys.readouterr().err
    evaluate("est", "refs", *SDX)
    assert "100 samples" in capsys.readouterr().err  # said again, though nothing was done again


def test_one_target_alone_is_scored(songs: Path, capsys) -> None:
    for path in (songs / "est").rglob("*.wav"):
        if path.stem != "Vocals":
            path.unlink()
    assert evaluate("est", "refs", "--recipe", "sdx23", "--recipe", "musdb18", "--out", "run", "--no-save-stems") == 0
    found = {row.metric: row for row in rows() if row.track == "A"}
    assert found["sdr_mdx"].value is not None
    assert found["sdr_bss4_median"].value is not None
    for metric in ("isr_bss4_median", "sir_bss4_median", "sar_bss4_median"):
        assert found[metric].value is None
        assert found[metric].reason
    assert "estimates of vocals only" in capsys.readouterr().err


def test_a_stem_that_is_asked_for_and_was_not_estimated_is_missed(songs: Path) -> None:
    assert evaluate("est", "refs", *SDX, "--stem", "vocals", "--stem", "accompaniment") == 1
    reasons = {row.stem: row.reason for row in rows() if row.track == "A"}
    assert reasons["vocals"] is None
    assert str(reasons["accompaniment"]).startswith("no estimate of accompaniment")


def test_two_stems_are_scored_against_the_sum_of_the_rest(songs: Path) -> None:
    for track in "AB":
        rest = [songs / "est" / track / name for name in ("drums.wav", "Bass.wav", "others.wav")]
        write(songs / "est" / track / "no_vocals.wav", sum(Audio.read(path).samples for path in rest))
        for path in rest:
            path.unlink()
    assert evaluate("est", "refs", *SDX, "--save-stems") == 0
    [row] = [row for row in rows() if (row.track, row.stem) == ("A", "accompaniment")]
    assert row.truth == "drums+bass+other"
    kept = Audio.read(Path("run", "references", "A", "drums+bass+other.wav")).numpy()
    estimate = Audio.read(songs / "est" / "A" / "no_vocals.wav").numpy()
    assert row.value == float(sdr_mdx(kept.astype("float64"), estimate.astype("float64")))


def test_the_mixture_less_the_vocals_is_no_truth(songs: Path) -> None:
    for track in "AB":
        total = sum(Audio.read(songs / "refs" / track / f"{stem}.wav").samples for stem in STEMS)
        for stem in STEMS[1:]:
            (songs / "refs" / track / f"{stem}.wav").unlink()
        write(songs / "refs" / track / "mixture.wav", total)
        write(songs / "est" / track / "accompaniment.wav", total)
    assert evaluate("est", "refs", *SDX, "--stem", "vocals", "--stem", "accompaniment") == 0
    found = values(rows())
    assert found[("est", "A", "vocals", "sdr_mdx")] is not None
    assert found[("est", "A", "accompaniment", "sdr_mdx")] is None


def test_what_sepkit_separate_writes_is_read_in_any_format(songs: Path) -> None:
    for suffix in (".flac", ".mp3", ".ogg"):
        for stem, spelled in (("vocals", "Vocals"), ("drums", "drums")):
            samples = Audio.read(songs / "est" / "A" / f"{spelled}.wav").samples.clamp(-1, 1)
            write(songs / "separated" / f"as_{suffix[1:]}" / "A" / f"{stem}{suffix}", samples)
    assert evaluate("separated", "refs", *SDX, "--track", "A") == 0
    found = values(rows())
    lossless = found[("as_flac", "A", "vocals", "sdr_mdx")]
    assert lossless is not None
    for method in ("as_mp3", "as_ogg"):
        value = found[(method, "A", "vocals", "sdr_mdx")]
        assert value is not None
        assert 0 < value < lossless + 0.5


def test_museval_json_is_written_and_aggregated_to_the_same_numbers(songs: Path, capsys) -> None:
    assert evaluate("est", "refs", "--recipe", "musdb18", "--out", "run", "--no-save-stems", "--json", "results") == 0
    assert sorted(str(path) for path in Path("results").rglob("*.json")) == [
        "results/est/test/A.json",
        "results/est/test/B.json",
    ]
    assert values(read_results("results")) == values(rows())
    shutil.copytree("results/est", "theirs/umx")
    capsys.readouterr()
    assert evaluate("--museval-json", "theirs", "--run", "run") == 0
    table = capsys.readouterr().out
    lines = [line.split() for line in table.splitlines() if line.split()[:1] in (["est"], ["umx"])]
    assert len(lines) == 8  # two methods in four metrics
    assert all(one[1:] == two[1:] for one, two in zip(lines[::2], lines[1::2], strict=True))
    assert evaluate("--museval-json", "theirs", "--out", "again") == 0
    assert {row.method for row in rows("again")} == {"umx"}
    assert evaluate("--museval-json", "results", "--run", "run") == 2
    assert "both have a method 'est'" in capsys.readouterr().err
    shutil.copytree("theirs/umx/test", "theirs/umx/train")
    assert evaluate("--museval-json", "theirs") == 2
    assert "results of test and train" in capsys.readouterr().err
    assert evaluate("--museval-json", "theirs", "--split", "train") == 0
    shutil.rmtree("theirs/umx/train")
    Path("theirs/umx/test/B.json").unlink()
    evaluate("--museval-json", "theirs", "--run", "run")
    assert "1 in common" in capsys.readouterr().err


def test_the_numbers_are_musevals(songs: Path) -> None:
    pytest.importorskip("museval")
    if shutil.which("ffmpeg") is None:
        pytest.skip("museval does not import without ffmpeg")
    for path in (p for p in songs.rglob("*.wav") if p.stem.lower() in ("drums", "bass")):
        path.unlink()  # two stems of one channel take museval a second, four of two channels half a minute
    one = ("--track", "B", "--out", "run", "--no-save-stems")
    assert evaluate("est", "refs", "--recipe", "musdb18", "--recipe", "museval_v4", *one) == 0
    ours, theirs = (
        {(row.stem, row.metric): row.value for row in rows() if row.recipe == name}
        for name in ("musdb18", "museval_v4")
    )
    assert ours == pytest.approx(theirs, abs=2e-5)
    assert len(ours) == 8
    assert None not in ours.values()


@pytest.mark.timeout(300)
def test_methods_on_a_dataset_are_the_benchmarks_command(songs: Path) -> None:
    arguments = ("--method", "mixture", "--dataset", "folder:refs", *SDX)
    assert evaluate(*arguments) == 0
    assert {row.method for row in rows()} == {"mixture"}
    assert evaluate("est", "refs", *SDX) == 0  # given estimates join the run
    assert {row.method for row in rows()} == {"mixture", "est"}
    assert "| est |" in Path("run", "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["est"], "ESTIMATES REFERENCES"),
        (["est", "refs", "--recipe", "sdx32"], "did you mean 'sdx23'"),
        (["est", "refs", "--track", "C"], "no track 'C'"),
        (["est", "nowhere"], "neither a folder nor a dataset"),
        (["nowhere", "refs"], "nowhere is not a folder"),
        (["est", "refs", "--method-name", "silence"], "reference point"),
        (["est", "refs", "--dataset", "demo"], "--dataset does not go with ESTIMATES REFERENCES"),
        (["est", "refs", "--method", "mixture"], "ESTIMATES does not go with --method"),
        (["--method", "mixture", "--pad"], "--pad does not go with --method"),
        (["--museval-json", "est", "--pad"], "--pad does not go with --museval-json"),
        (["--museval-json", "est"], "holds no results"),
        (["--museval-json", "est", "--recipe", "sdx23"], "none of BSS Eval"),
        (["est", "refs", "--recipe", "sdx23", "--json", "out"], "--recipe musdb18"),
        (["est", "refs", "-j", "0"], "jobs"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(songs: Path, capsys, arguments, message) -> None:
    assert evaluate(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_choices_can_be_listed(capsys) -> None:
    assert evaluate("--list") == 0
    assert "sdx23" in capsys.readouterr().out
