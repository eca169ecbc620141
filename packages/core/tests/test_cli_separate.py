"""Laws of `sepkit separate`: the stems of the API in files, one bad file harms no other, no half-done file remains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import Tensor

from sepkit import get_separator, registry
from sepkit.audio import Audio
from sepkit.cli.main import main
from sepkit.testing.fakes import Split

Run = Callable[..., tuple[int, str, str]]

PLUGIN = """
    import os, time
    from sepkit.testing.fakes import Split

    class Plugin(Split):
        def separate_windows(self, windows, starts, *, seed, settings):
            if windows.abs().max() > 2:  # a test asks for death by loudness
                os._exit(9)
            time.sleep(float(os.environ.get("PLUGIN_SECONDS", "0")))
            return super().separate_windows(windows, starts, seed=seed, settings=settings)

    def build(*, checkpoint=None, untrained=False):
        return Plugin(name="plugin", stems=("vocals", "other"))
"""


@pytest.fixture
def calls() -> list[int]:
    """How many windows the method was given, call by call."""
    return []


@pytest.fixture(autouse=True)
def split(calls: list[int]) -> Iterator[None]:
    """The method `split`, registered for every test here: two stems that sum to the mixture."""

    class Counting(Split):
        def separate_windows(self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: Any) -> Tensor:
            calls.append(len(windows))
            return super().separate_windows(windows, starts, seed=seed, settings=settings)

    with registry.register("split", lambda: Counting(name="split", stems=("vocals", "other"))):
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `sepkit separate -m split …` in a fresh folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def separate(*arguments: str) -> tuple[int, str, str]:
        code = main(["separate", "-m", "split", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return separate


def sing(path: Path, *, seconds: float = 0.3, sample_rate: int = 8000, channels: int = 2, seed: int = 0) -> Path:
    """Write noise of a tenth of full scale."""
    generator = np.random.default_rng(seed)
    samples = 0.1 * generator.standard_normal((channels, round(seconds * sample_rate)), dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(samples, sample_rate).write(path)
    return path


def files(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_files_hold_what_the_api_returns_bit_for_bit(run: Run, tmp_path: Path) -> None:
    sing(tmp_path / "song.wav", sample_rate=44100)
    code, out, _ = run("song.wav")
    expected = get_separator("split").separate("song.wav")
    assert code == 0
    assert out.startswith("song.wav -> separated/split/song: vocals, other (")
    assert files(tmp_path / "separated") == [
        f"split/song/{name}" for name in ("other.wav", "provenance.json", "vocals.wav")
    ]
    for stem in ("vocals", "other"):
        written = Audio.read(tmp_path / f"separated/split/song/{stem}.wav")
        assert written.sample_rate == 44100
        assert written.samples.equal(expected[stem].samples)
    record = json.loads((tmp_path / "separated/split/song/provenance.json").read_text())
    assert (record["method"], record["seed"], set(record["files"])) == ("split", 0, {"vocals", "other"})


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        (["--two-stems", "vocals"], "vocals", "accompaniment"),
        (["--two-stems", "other"], "other", "no_other"),
        (["--stems", "vocals", "--residual"], "vocals", "residual"),
    ],
)
def test_a_stem_and_its_rest_sum_to_the_mixture(
    run: Run, tmp_path: Path, options: list[str], first: str, second: str
) -> None:
    sing(tmp_path / "song.wav", sample_rate=11025)
    assert run("song.wav", *options)[0] == 0
    folder = tmp_path / "separated/split/song"
    assert files(folder) == sorted([f"{first}.wav", f"{second}.wav", "provenance.json"])
    summed = sum(soundfile.read(folder / f"{name}.wav", dtype="float64")[0] for name in (first, second))
    mixture = soundfile.read(tmp_path / "song.wav", dtype="float64")[0]
    assert np.abs(summed - mixture).max() < 1e-7


@pytest.mark.parametrize(
    ("options", "suffix", "subtype"),
    [
        ([], "wav", "FLOAT"),
        (["--bits", "16"], "wav", "PCM_16"),
        (["--int24"], "wav", "PCM_24"),
        (["--flac"], "flac", "PCM_24"),
        (["--format", "flac", "--bits", "16"], "flac", "PCM_16"),
        (["--mp3"], "mp3", "MPEG_LAYER_III"),
        (["--format", "opus"], "opus", "OPUS"),
        (["--format", "ogg"], "ogg", "VORBIS"),
        (["--float32", "--format", "wav"], "wav", "FLOAT"),
    ],
)
def test_every_spelling_of_a_format_writes_it(
    run: Run, tmp_path: Path, options: list[str], suffix: str, subtype: str
) -> None:
    sing(tmp_path / "song.wav")
    assert run("song.wav", *options)[0] == 0
    info = soundfile.info(tmp_path / f"separated/split/song/vocals.{suffix}")
    assert (info.subtype, info.samplerate, info.frames) == (subtype, 8000, 2400)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mp3", "--flac"], "flac and as mp3"),
        (["--format", "wav", "--mp3"], "mp3 and as wav"),
        (["--bits", "16", "--int24"], "16 and as 24"),
        (["--mp3", "--bits", "16"], "lossy"),
        (["--flac", "--float32"], "wanted 24 or 16"),
        (["--stems", "vocals", "--two-stems", "other"], "exclude each other"),
        (["--overwrite", "--skip-existing"], "exclude each other"),
        (["--stems", "vocal"], "did you mean 'vocals'"),
        (["--two-stems", "drums"], "Known: other, vocals"),
        (["--quality", "fsat"], "did you mean 'fast'"),
        (["--segment", "0"], "segment"),
        (["--overlap", "1.5"], "overlap"),
        (["--batch", "0"], "batch"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--precision", "fp8"], "fp8"),
        (["-O", "steps=3"], "'steps'"),
        (["--checkpoint", "x"], "'checkpoint'"),
        (["--filename", "{artist}.{ext}"], "artist"),
    ],
)
def test_wishes_that_cannot_be_met_stop_before_any_work(
    run: Run, tmp_path: Path, calls: list[int], options: list[str], message: str
) -> None:
    sing(tmp_path / "song.wav")
    code, out, err = run("song.wav", *options)
    assert (code, out, calls) == (2, "", [])
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "separated").exists()


@pytest.mark.parametrize(
    ("sample_rate", "channels", "seconds", "format", "able"),
    [
        (96000, 2, 0.1, "mp3", "wav"),
        (44100, 2, 0.1, "opus", "wav or flac"),
        (8000, 6, 0.1, "mp3", "wav or flac"),
        (8000, 2, 0, "flac", "wav"),
    ],
)
def test_a_format_that_cannot_hold_the_audio_is_refused_before_separating(
    run: Run, tmp_path: Path, calls: list[int], sample_rate: int, channels: int, seconds: float, format: str, able: str
) -> None:
    sing(tmp_path / "song.wav", sample_rate=sample_rate, channels=channels, seconds=seconds)
    code, _, err = run("song.wav", "--format", format)
    assert (code, calls) == (1, [])
    assert f"write {able}" in err
    assert files(tmp_path) == ["song.wav"]


@pytest.mark.parametrize(
    ("name", "sample_rate", "channels"),
    [
        ("a.wav", 8000, 1),
        ("a.wav", 96000, 2),
        ("a.wav", 44100, 6),
        ("a.flac", 48000, 1),
        ("a.mp3", 44100, 2),
        ("a.ogg", 22050, 2),
        ("a.opus", 48000, 1),
    ],
)
def test_stems_have_the_rate_channels_and_length_of_their_file(
    run: Run, tmp_path: Path, name: str, sample_rate: int, channels: int
) -> None:
    given = soundfile.info(sing(tmp_path / name, sample_rate=sample_rate, channels=channels))
    assert run(name)[0] == 0
    for stem in ("vocals", "other"):
        info = soundfile.info(tmp_path / f"separated/split/a/{stem}.wav")
        assert (info.samplerate, info.channels, info.frames) == (sample_rate, channels, given.frames)


@pytest.mark.parametrize("length_samples", [0, 1, 2])
def test_the_shortest_files_are_separated(run: Run, tmp_path: Path, length_samples: int) -> None:
    sing(tmp_path / "blip.wav", seconds=length_samples / 8000)
    assert run("blip.wav")[0] == 0
    assert soundfile.info(tmp_path / "separated/split/blip/vocals.wav").frames == length_samples


def test_a_batch_goes_on_past_bad_files_and_lists_them_last(run: Run, tmp_path: Path) -> None:
    for index in range(2):
        sing(tmp_path / "in" / f"song{index}.wav", seed=index)
    (tmp_path / "in" / "fake.wav").write_text("I am a text file")
    (tmp_path / "empty").mkdir()
    code, out, err = run("in", "empty", "missing.wav")
    assert code == 1
    assert [line.split(" ->")[0] for line in out.splitlines()] == ["in/song0.wav", "in/song1.wav"]
    last = err.splitlines()[-3:]
    assert all(line.startswith("error: ") for line in last)
    for name, line in zip(("empty", "missing.wav", "in/fake.wav"), last, strict=True):
        assert line.count(name) == 1


def test_a_file_that_breaks_off_leaves_no_folder_of_its_own(run: Run, tmp_path: Path) -> None:
    sing(tmp_path / "whole.wav", seconds=4.0)
    samples, rate = soundfile.read(tmp_path / "whole.wav")
    soundfile.write(tmp_path / "cut.flac", samples, rate)
    content = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    assert run("cut.flac", "-o", "out")[0] == 1
    assert not (tmp_path / "out").exists()
    assert run("whole.wav", "cut.flac", "-o", "out")[0] == 1
    assert [path.name for path in (tmp_path / "out/split").iterdir()] == ["whole"]


def test_json_is_one_line_for_every_input_and_nothing_else(run: Run, tmp_path: Path) -> None:
    sing(tmp_path / "song.wav", seconds=0.5)
    (tmp_path / "fake.wav").write_text("I am a text file")
    code, out, err = run("song.wav", "fake.wav", "--json")
    good, bad = map(json.loads, out.splitlines())
    assert code == 1
    assert (good["status"], good["audio_seconds"], good["error"]) == ("done", 0.5, None)
    assert all(Path(path).is_file() for path in [*good["outputs"].values(), good["provenance"]])
    assert (bad["input"], bad["status"], bad["outputs"]) == ("fake.wav", "failed", {})
    assert "cannot be read" in bad["error"]
    assert "\x1b" not in err, "a progress bar on a stream that is no terminal"


def test_clipping_is_counted_and_said(run: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.full((800, 1), 3.0, np.float32), 8000, subtype="FLOAT")
    code, out, err = run("loud.wav", "--bits", "16", "--json")
    counts = json.loads(out)["clipped_samples"]
    assert code == 0
    assert sum(counts.values()) >= 800
    assert f"{max(counts.values())} samples were clipped" in err


def test_existing_results_are_kept_skipped_or_replaced_as_asked(run: Run, tmp_path: Path, calls: list[int]) -> None:
    sing(tmp_path / "song.wav")
    assert run("song.wav")[0] == 0
    vocals = tmp_path / "separated/split/song/vocals.wav"
    before = vocals.read_bytes()
    vocals.write_bytes(b"mine")
    calls.clear()
    code, _, err = run("song.wav")
    assert (code, calls, vocals.read_bytes()) == (1, [], b"mine")
    assert "--overwrite" in err
    assert "--skip-existing" in err
    code, out, _ = run("song.wav", "--skip-existing")
    assert (code, calls, vocals.read_bytes()) == (0, [], b"mine")
    assert "skipped" in out
    assert run("song.wav", "--overwrite")[0] == 0
    assert vocals.read_bytes() == before


def test_skip_existing_completes_a_half_finished_set(run: Run, tmp_path: Path) -> None:
    sing(tmp_path / "song.wav")
    assert run("song.wav")[0] == 0
    folder = tmp_path / "separated/split/song"
    before = (folder / "vocals.wav").read_bytes()
    (folder / "vocals.wav").unlink()
    assert run("song.wav", "--skip-existing")[0] == 0
    assert (folder / "vocals.wav").read_bytes() == before


def test_tracks_of_one_name_stop_before_any_work(run: Run, tmp_path: Path, calls: list[int]) -> None:
    for folder in ("x", "y"):
        sing(tmp_path / folder / "song.wav")
    code, _, err = run("x", "y")
    assert (code, calls) == (2, [])
    assert "x/song.wav and y/song.wav" in err
    assert run("x", "y", "--filename", "{folder}/{track}_{stem}.{ext}")[0] == 0
    assert files(tmp_path / "separated") == [
        f"{folder}/song_{name}" for folder in "xy" for name in ("other.wav", "provenance.json", "vocals.wav")
    ]


def test_the_same_request_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    sing(tmp_path / "song.wav")
    for out in ("one", "two"):
        assert run("song.wav", "-o", out, "--format", "flac")[0] == 0
    for stem in ("vocals", "other"):
        one, two = (tmp_path / out / "split/song" / f"{stem}.flac" for out in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_an_interruption_leaves_finished_files_only(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, seconds in enumerate((0.3, 30)):
        sing(tmp_path / f"song{index}.wav", seconds=seconds)
    done = []
    original = Split.separate_windows

    def interrupted(self: Split, windows: Tensor, *arguments: Any, **settings: Any) -> Tensor:
        done.append(len(windows))
        if sum(done) > 200:
            raise KeyboardInterrupt
        return original(self, windows, *arguments, **settings)

    monkeypatch.setattr(Split, "separate_windows", interrupted)
    code, out, err = run("song0.wav", "song1.wav")
    assert code == 130
    assert err.splitlines()[-1].startswith("error: interrupted")
    assert len(out.splitlines()) == 1
    assert files(tmp_path / "separated") == [
        f"split/song0/{name}" for name in ("other.wav", "provenance.json", "vocals.wav")
    ]


def separate_outside(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`sepkit separate -m plugin …` in a process of its own."""
    command = [sys.executable, "-m", "sepkit", "separate", "-m", "plugin", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    ("jobs", "number", "code"), [("1", signal.SIGINT, 130), ("1", signal.SIGTERM, 143), ("2", signal.SIGINT, 130)]
)
def test_signals_clean_up(
    announce: Callable[..., Path], tmp_path: Path, jobs: str, number: signal.Signals, code: int
) -> None:
    announce("plugin", PLUGIN)
    songs = [str(sing(tmp_path / f"song{index}.wav", seconds=60, channels=1)) for index in range(2)]
    out = tmp_path / "out"
    process = separate_outside(*songs, "-o", str(out), "-j", jobs, PLUGIN_SECONDS="0.3")
    deadline = time.monotonic() + 200
    while len([name for name in files(out) if ".partial" in name]) < 2 * int(jobs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert files(out), "the separation did not start"
    process.send_signal(number)
    _, err = process.communicate(timeout=90)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert files(out) == []


def test_parallel_results_equal_those_in_turn_and_a_dead_worker_costs_one_file(
    announce: Callable[..., Path], tmp_path: Path
) -> None:
    announce("plugin", PLUGIN)
    songs = [str(sing(tmp_path / f"song{index}.wav", sample_rate=44100, seed=index)) for index in range(2)]
    killer = tmp_path / "killer.wav"
    soundfile.write(killer, np.full((800, 1), 3.0, np.float32), 8000, subtype="FLOAT")
    assert main(["separate", "-m", "plugin", "-q", "-o", str(tmp_path / "turn"), *songs]) == 0
    process = separate_outside(*songs, str(killer), "-o", str(tmp_path / "parallel"), "-j", "2", "--json")
    out, err = process.communicate(timeout=280)
    assert process.returncode == 1, err
    reports = {Path(report["input"]).stem: report for report in map(json.loads, out.splitlines())}
    assert [reports[f"song{index}"]["status"] for index in range(2)] == ["done", "done"]
    assert "worker process died (exit code 9)" in reports["killer"]["error"]
    for index in range(2):
        for stem in ("vocals", "other"):
            turn, parallel = (tmp_path / way / f"plugin/song{index}/{stem}.wav" for way in ("turn", "parallel"))
            assert turn.read_bytes() == parallel.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_file(announce: Callable[..., Path], tmp_path: Path) -> None:
    announce("plugin", PLUGIN)
    code = """
import sys
from sepkit.cli.main import main
for song in sys.argv[2:]:
    assert main(["separate", "-q", "-m", "plugin", "--segment", "4", "-o", sys.argv[1], song]) == 0
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    songs = [str(sing(tmp_path / f"minutes{m}.wav", seconds=60 * m, channels=1)) for m in (1, 15)]
    command = [sys.executable, "-c", code, str(tmp_path / "out"), *songs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    short_kb, long_kb = (int(line) for line in done.stdout.splitlines() if line.isdigit())
    assert long_kb - short_kb < 20_000, "held whole, 15 minutes and their two stems would add 86 MB"
