"""Rendering: resumable, repeatable, levels as on records, licences named, nothing half done under a final name."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sepkit.data import FolderDataset, render, voices
from sepkit.data.arranging import Note, compose
from sepkit.data.cli import app
from sepkit.data.grooves import DRUM_STYLES
from sepkit.data.mixing import compressed, echoes, placed, pumping, rms_db
from sepkit.data.production import Ingredients, produced_track
from sepkit.data.render import RenderPlan
from sepkit.data.soundfonts import find_soundfonts, play_notes, song_from_midi
from sepkit.data.vowels import random_vowel_singer, sing_vowels
from sepkit.errors import DatasetError

RATE = 44100
OWN = Ingredients(seconds=3.0, voices=False, made_chance=0.0)

needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None or importlib.util.find_spec("pyworld") is None, reason="flite or pyworld is missing"
)
needs_midi = pytest.mark.skipif(importlib.util.find_spec("mido") is None, reason="mido is missing")


def _has_soundfont() -> bool:
    try:
        return shutil.which("fluidsynth") is not None and bool(find_soundfonts())
    except DatasetError:
        return False


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered")
    render.render(RenderPlan(out, OWN, seed=3), 2, report=lambda line: None)
    return out


def test_what_is_rendered_is_a_dataset(rendered: Path) -> None:
    dataset = FolderDataset(rendered, "train")
    assert [t.name for t in dataset] == ["Rendered_00000", "Rendered_00001"]
    for track in dataset:
        assert track.stems == ("vocals", "drums", "bass", "other")
        assert track.length_samples == 3 * RATE
        assert track.mixture_is_sum
        assert 0.01 < track.mixture.abs().max() <= 1.0
    licences = (rendered / "LICENSES.txt").read_text()
    assert "train/Rendered_00001: " in licences
    assert "own code" in licences


def test_finished_tracks_are_skipped_and_a_missing_one_comes_back_the_same(rendered: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(rendered, out)
    kept, gone = out / "train" / "Rendered_00000" / "bass.flac", out / "train" / "Rendered_00001"
    before, stems = kept.stat().st_mtime_ns, {p.name: soundfile.read(p)[0] for p in gone.glob("*.flac")}
    shutil.rmtree(gone)
    lines: list[str] = []
    render.render(RenderPlan(out, OWN, seed=3), 2, report=lines.append)
    assert kept.stat().st_mtime_ns == before
    assert lines[0] == "1 of 2 tracks are there, 1 to render."
    assert all(np.array_equal(soundfile.read(gone / name)[0], x) for name, x in stems.items())
    assert not list(out.glob("*/.*"))


def test_a_failed_track_leaves_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"no music here")
    ingredients = Ingredients(2.0, (), ((broken, "train", "BSD-3"),), midi_chance=1.0, made_chance=0.0, voices=False)
    with pytest.raises(DatasetError, match=r"1 of 2 tracks failed.*broken\.mid"):
        render.render(_with_one_midi_track(RenderPlan(tmp_path / "out", ingredients)), 2, report=lambda line: None)
    left = sorted(p.name for p in (tmp_path / "out" / "train").iterdir())
    assert len(left) == 1
    assert not left[0].startswith(".")


def _with_one_midi_track(plan: RenderPlan) -> RenderPlan:
    """The plan with the first seed by which just one of two tracks asks for the (broken) MIDI file."""
    ingredients = Ingredients(2.0, (), plan.ingredients.midi, midi_chance=0.5, made_chance=0.0, voices=False)
    for seed in range(50):
        failures = 0
        for index in range(2):
            try:
                produced_track(ingredients, np.random.default_rng([seed, index]), "train")
            except DatasetError:
                failures += 1
        if failures == 1:
            return RenderPlan(plan.out, ingredients, seed)
    raise AssertionError("no seed does")


def test_vocals_lie_below_the_mixture_and_nothing_clips() -> None:
    gaps = []
    for index in range(6):
        stems, facts = produced_track(OWN, np.random.default_rng([1, index]), "train")
        mixture = sum(stems.values())
        assert np.abs(mixture).max() <= 1.0
        assert all(np.abs(x).max() <= 1.0 and np.isfinite(x).all() for x in stems.values())
        assert facts["sources"]
        if stems["vocals"].any():
            gaps.append(rms_db(mixture, RATE) - rms_db(stems["vocals"], RATE))
    assert gaps
    # Levels are of the sounding parts, so the limiter and rests move them by a few dB.
    assert all(0.5 < gap < 18 for gap in gaps)


def test_valid_tracks_never_come_from_training_seeds_or_files(tmp_path: Path) -> None:
    made = Ingredients(seconds=1.0, voices=False, made_chance=1.0)
    for split, seeds in (("train", range(0, 1_000_000)), ("valid", range(1_000_000, 2_000_000))):
        _, facts = produced_track(made, np.random.default_rng(5), split)
        assert facts["song_seed"] in seeds
    assert render.track_folder(RenderPlan(tmp_path, OWN), 9).parent.name == "valid"


def test_compositions_are_songs() -> None:
    for seed in range(20):
        song = compose(np.random.default_rng(seed), 20.0)
        assert song.style in DRUM_STYLES
        for part in song.parts:
            assert all(0 <= n.start_seconds < 40 and n.seconds > 0 and 0 < n.velocity <= 1 for n in part.notes)
            assert all(20 <= n.pitch <= 120 for n in part.notes)
        bass = [n.pitch for p in song.parts if p.stem == "bass" for n in p.notes]
        assert not bass or np.median(bass) < 60
        assert all(len(phrase) >= 2 for phrase in song.phrases)


def test_every_groove_has_sixteen_steps_of_known_marks() -> None:
    patterns = [p for style in DRUM_STYLES.values() for drums in style.patterns.values() for p in drums if p]
    assert all(len(p) == 16 and set(p) <= set("xo?.") for p in patterns)


def test_sung_vowels_follow_the_notes() -> None:
    rng = np.random.default_rng(0)
    phrase = (Note(0.2, 1.5, 57, 0.9),)
    y = sing_vowels(rng, random_vowel_singer(rng), [phrase], 2 * RATE, RATE)
    assert _octaveless_error(y[round(0.6 * RATE) : round(1.4 * RATE)], 57) < 0.7


def _octaveless_error(y: np.ndarray, pitch: float) -> float:
    """Semitones between a pitch class and the strongest period of a sound."""
    correlation = np.fft.irfft(np.abs(np.fft.rfft(y, 2 * len(y))) ** 2)[: len(y) // 2]
    period = 50 + int(np.argmax(correlation[50:800]))
    return abs((69 + 12 * np.log2(RATE / period / 440) - pitch + 6) % 12 - 6)


@needs_flite
def test_sung_words_follow_the_notes() -> None:
    rng = np.random.default_rng(1)
    singer = voices.Singer("slt", 1.0, 50, 70, 0.0, 5.0, 0.0, 3, 0.0, 8.0, 0.0)
    notes = [Note(0.0, 1.0, 60, 0.9), Note(1.0, 1.0, 64, 0.9)]
    speech = voices.speak("la la", "slt")
    y = voices.sing(rng, singer, speech, notes, RATE)
    assert abs(len(y) / RATE - 2.0) < 0.05
    assert np.isfinite(y).all()
    found = [_octaveless_error(y[round(a * RATE) : round((a + 0.4) * RATE)], p) for a, p in ((0.4, 60), (1.4, 64))]
    assert max(found) < 0.7


@needs_flite
def test_voices_reach_above_what_was_recorded() -> None:
    rng = np.random.default_rng(2)
    lead, _ = voices.vocal_stem(rng, [(Note(0.1, 1.0, 60, 0.9), Note(1.1, 1.0, 62, 0.9))], 3 * RATE, RATE)
    power = np.abs(np.fft.rfft(lead.mean(0))) ** 2
    hz = np.fft.rfftfreq(lead.shape[1], 1 / RATE)
    assert 1e-6 < power[hz > 9000].sum() / power.sum() < 0.5


@needs_midi
@pytest.mark.skipif(not _has_soundfont(), reason="fluidsynth or its soundfonts are missing")
def test_soundfonts_play_notes_where_they_are() -> None:
    x = play_notes([Note(0.5, 0.5, 60, 0.9)], 0, False, find_soundfonts()[0], RATE, RATE)
    assert x.shape == (2, RATE)
    assert np.abs(x[:, : round(0.49 * RATE)]).max() < 1e-3
    assert np.abs(x[:, round(0.5 * RATE) :]).max() > 1e-2


@needs_midi
def test_midi_files_fall_into_stems(tmp_path: Path) -> None:
    import mido

    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    for channel, program in ((0, 33), (1, 0), (2, 53)):
        track.append(mido.Message("program_change", channel=channel, program=program))
    for channel, pitch in ((0, 40), (1, 60), (2, 65), (9, 36)):
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=100))
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=480))
    file.save(tmp_path / "x.mid")
    song, programs = song_from_midi(tmp_path / "x.mid", 0.0, 60.0)
    assert {part.stem: part.notes[0].pitch for part in song.parts} == {"drums": 36, "other": 60, "bass": 40}
    assert sorted(programs.values()) == [0, 0, 33]
    assert song.kick_seconds == (1.5,)
    later, _ = song_from_midi(tmp_path / "x.mid", 0.4, 0.3)
    assert [(p.stem, round(p.notes[0].start_seconds, 3)) for p in later.parts] == [("other", 0.1)]


def test_midi_licences_are_a_gate(tmp_path: Path) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split", "licence"])
        rows.writerows([["a.mid", "train", "BSD-3-Clause"], ["b.mid", "train", "GPL-2"], ["c.mid", "val", "BSD-3"]])
    for name in "ab":
        (tmp_path / f"{name}.mid").touch()
    assert [row[0].name for row in render.midi_files(tmp_path, None, ["BSD-3"])] == ["a.mid"]
    with pytest.raises(DatasetError, match="CC0"):
        render.midi_files(tmp_path, None, ["CC0"])
    with pytest.raises(DatasetError, match="manifest"):
        render.midi_files(tmp_path / "nosuch", None, ["BSD-3"])


def test_desk_tools_do_what_they_say() -> None:
    x = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)
    x[:, RATE // 2 :] *= 4
    y = compressed(x, RATE, -12.0, 4.0, 0.005, 0.1)
    loud, soft = (20 * np.log10(np.std(y[:, a]) / np.std(x[:, a])) for a in (slice(-9000, None), slice(9000, 20000)))
    assert loud < soft - 5
    left = placed(x, -1.0, 1.0)
    assert np.abs(left[1]).max() < 1e-6 < np.abs(left[0]).max()
    assert np.array_equal(echoes(x, 0.25, 0.5, RATE)[:, : round(0.25 * RATE)], np.zeros((2, round(0.25 * RATE))))
    gain = pumping((0.5,), RATE, RATE, 0.8, 0.1)
    assert gain[: RATE // 2 - 200].min() > 0.99
    assert 0.15 < gain.min() < 0.3
    assert gain[-1] > 0.99


def test_the_command_renders_and_shows(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["render", "--out", str(out), "--count", "1", "--seconds", "1", "--no-voices", "--no-soundfonts"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    facts = json.loads((out / "train" / "Rendered_00000" / "track.json").read_text())
    assert facts["index"] == 0
    shown = CliRunner().invoke(app, ["show", f"folder:{out}"])
    assert shown.exit_code == 0
    assert "Rendered_00000  1.0 s  44100 Hz" in shown.stdout
    assert CliRunner().invoke(app, ["show", f"folder:{tmp_path / 'nosuch'}"]).exit_code == 1
    assert CliRunner().invoke(app, [*arguments, "--midi", str(tmp_path)]).exit_code == 1


def test_missing_programs_are_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match="apt-get install flite"):
        render.render(RenderPlan(tmp_path / "out", Ingredients(voices=True)), 1)
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(DatasetError, match="apt-get install fluid"):
        render.render(RenderPlan(tmp_path / "out", Ingredients(voices=False, soundfonts=(tmp_path,))), 1)
    with pytest.raises(DatasetError, match="soundfont"):
        find_soundfonts([tmp_path])
    assert not (tmp_path / "out").exists()
