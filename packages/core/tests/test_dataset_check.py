"""`sepkit data check`: what spoils a training is found, and named; what is fine is left in peace."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepkit.cli.main import main
from sepkit.data import synthetic_set
from sepkit.data.audio_fingerprint import fingerprint, same_recordings
from sepkit.data.checking import DatasetReport, check_dataset

RATE = 44100
LENGTH = 48_000
STEMS = ("vocals", "drums", "bass", "other")


def noise(*seed: int, length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(list(seed)).uniform(-0.1, 0.1, (2, length)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate, subtype="FLOAT" if path.suffix == ".wav" else None)


def song(folder: Path, seed: int, *, gain: float = 1.0) -> None:
    for number, stem in enumerate(STEMS):
        write(folder / f"{stem}.wav", gain * noise(seed, number))


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    for seed, place in enumerate(("train/A", "train/B", "test/C")):
        song(tmp_path / "songs" / place, seed)
    return tmp_path / "songs"


def found(report: DatasetReport, severity: str) -> list[tuple[str, str | None]]:
    return [(finding.kind, finding.song) for finding in report.of(severity)]


def test_good_songs_pass_in_a_table_and_in_json(songs: Path, tmp_path: Path, capsys) -> None:
    assert main(["data", "check", str(songs), "--json", str(tmp_path / "report.json")]) == 0
    text = capsys.readouterr().out
    assert "track folders" in text
    assert "3 songs (2 train, 1 test)" in text
    assert "no problems, no warnings" in text
    report = DatasetReport.model_validate_json((tmp_path / "report.json").read_text())
    assert report.ok
    assert (report.counts, report.sample_rates) == ({"train": 2, "test": 1}, {RATE: 3})
    assert report.stems == dict.fromkeys(STEMS, 3)
    assert report.songs[0].stems["vocals"].peak_db == pytest.approx(-20, abs=0.1)
    assert main(["data", "check", str(songs), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "track folders"


def test_a_quieter_copy_in_another_split_is_a_leak(songs: Path, capsys) -> None:
    song(songs / "test" / "D", 1, gain=10 ** (-3 / 20))
    assert main(["data", "check", str(songs)]) == 1
    text = capsys.readouterr().out
    assert "B (train): the same recording as D (test)" in text
    assert "1 problem, no warnings" in text


def test_a_copy_within_a_split_is_a_warning(songs: Path) -> None:
    song(songs / "train" / "D", 1)
    report = check_dataset(f"folder:{songs}")
    assert report.ok
    assert found(report, "warning") == [("duplicate", "B (train)")]


def coded(samples: np.ndarray, **options: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, samples.T, RATE, **options)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0].T


def test_copies_are_known_at_other_levels_shifted_and_coded_anew_and_strangers_are_not() -> None:
    originals = [track.mixture.numpy() for track in synthetic_set(2, seconds=3.0, split="train")]
    originals += [noise(seed, length=3 * RATE) for seed in (4, 5)]
    mp3 = coded(originals[0], format="MP3")
    changed = {
        "3 dB quieter": 0.708 * originals[0],
        "opposite sign": -originals[3],
        "7 ms later": np.pad(originals[1], ((0, 0), (309, 0))),
        "begun in the middle": originals[2][:, RATE + 77 :],
        "MP3, quieter, later": 0.5 * np.pad(mp3, ((0, 0), (200, 0))),
        "Vorbis": coded(originals[1], format="OGG", subtype="VORBIS"),
        "another rate": originals[1][:, ::2],
    }
    sources = (0, 3, 1, 2, 0, 1, 1)
    prints = [fingerprint(np.asarray(x, np.float32), RATE) for x in (*originals, *changed.values())]
    prints[-1] = fingerprint(np.ascontiguousarray(changed["another rate"]), RATE // 2)
    matches = {(match.first, match.second) for match in same_recordings(prints)}
    for number, (name, source) in enumerate(zip(changed, sources, strict=True), start=len(originals)):
        assert (source, number) in matches, name
    group = [*range(len(originals)), *sources]
    assert all(group[first] == group[second] for first, second in matches)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 2.0])
def test_silent_and_very_short_songs_are_nobodys_copies(seconds: float) -> None:
    empty = np.zeros((2, round(seconds * RATE)), np.float32)
    assert same_recordings([fingerprint(empty, RATE), fingerprint(empty, RATE)]) == []
    assert same_recordings([]) == []


def test_silence_is_told_by_stem_and_by_the_second(songs: Path) -> None:
    quiet = noise(9)
    quiet[:, RATE:] = 0
    write(songs / "train" / "A" / "vocals.wav", quiet)
    write(songs / "train" / "A" / "bass.wav", np.zeros((2, LENGTH), np.float32))
    for stem in STEMS:
        write(songs / "train" / "B" / f"{stem}.wav", 1e-4 * noise(1))
    report = check_dataset(f"folder:{songs}")
    first = report.songs[0]
    assert first.stems["vocals"].silent_share == 0.5  # of two seconds, the second of which is a short one
    assert (first.stems["bass"].peak_db, first.stems["bass"].silent_share) == (None, 1.0)
    assert found(report, "warning") == [("silent", "A")]
    assert found(report, "problem") == [("silent", "B")]


def test_the_mixture_is_held_against_the_sum_of_the_stems(songs: Path) -> None:
    stems = {stem: noise(0, number) for number, stem in enumerate(STEMS)}
    total = sum(stems.values(), np.zeros((2, LENGTH), np.float32))
    write(songs / "train" / "A" / "mixture.wav", total + 0.01 * noise(7))
    write(songs / "train" / "B" / "mixture.wav", noise(8))
    louder = sum((noise(2, number) for number in range(4)), np.zeros((2, LENGTH), np.float32))
    write(songs / "test" / "C" / "mixture.wav", 1.5 * louder)
    report = check_dataset(f"folder:{songs}")
    a, b, c = report.songs
    assert a.mixture_error_db == pytest.approx(10 * np.log10(0.0001 / 4), abs=0.2)
    assert b.mixture_error_db == pytest.approx(0, abs=0.1)
    assert c.mixture_level_db == pytest.approx(20 * np.log10(1.5), abs=0.01)
    assert found(report, "problem") == [("mixture", "B")]
    assert found(report, "warning") == [("level", "C")]


def test_missing_stems_lengths_and_rates_are_told(songs: Path) -> None:
    (songs / "train" / "B" / "drums.wav").unlink()
    write(songs / "train" / "A" / "bass.wav", noise(3, length=2 * LENGTH), rate=2 * RATE)
    write(songs / "test" / "C" / "other.wav", noise(4, length=LENGTH - RATE // 2))
    report = check_dataset(f"folder:{songs}")
    assert report.ok
    assert found(report, "warning") == [("rates", "A"), ("missing", "B"), ("lengths", "C")]
    assert check_dataset(f"folder:{songs}", listen=False).songs[1].missing == ("drums",)


def test_bad_sound_is_named_and_the_rest_goes_on(songs: Path, capsys) -> None:
    holes = noise(6)
    holes[0, 4000] = np.nan
    write(songs / "train" / "A" / "vocals.wav", holes)
    (songs / "train" / "B" / "drums.wav").write_bytes(b"no sound")
    assert main(["data", "check", str(songs)]) == 1
    text = capsys.readouterr().out
    assert "vocals.wav has nan at sample 4000" in text
    assert "drums.wav cannot be read" in text
    assert "2 songs (1 train, 1 test)" in text


def test_nothing_to_check_is_an_error(tmp_path: Path, capsys) -> None:
    assert main(["data", "check", str(tmp_path)]) == 1
    assert "holds no tracks" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "nosuch")]) == 1
    assert "neither a folder nor a dataset" in capsys.readouterr().err
    song(tmp_path / "train" / "A", 0)
    for file in (tmp_path / "train" / "A").iterdir():
        file.write_bytes(b"no sound")
    assert main(["data", "check", str(tmp_path)]) == 1
    assert "has no song that can be read" in capsys.readouterr().err


def test_one_split_alone_can_be_asked_for(songs: Path) -> None:
    song(songs / "test" / "D", 1)
    assert check_dataset(f"folder:{songs}", ["train"]).ok
    assert check_dataset("demo", listen=False).counts == {"all": 3}
