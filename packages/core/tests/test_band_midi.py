"""MIDI files as four stems: what belongs where, which excerpt is taken, and what is written of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepkit.data.band_midi import excerpts, one_per_style, playing, read_band_midi, write_stem
from sepkit.data.band_production import BandIngredients
from sepkit.data.band_render import BandMidiPlan, chosen_files, named_stems, render_band_midi
from sepkit.data.soundfonts import find_soundfonts
from sepkit.errors import DatasetError

mido = pytest.importorskip("mido")

RATE = 44100


def _font() -> Path | None:
    try:
        return find_soundfonts()[0] if shutil.which("fluidsynth") else None
    except DatasetError:
        return None


needs_font = pytest.mark.skipif(_font() is None, reason="fluidsynth or its soundfonts are missing")
SECOND = 960  # ticks: 480 a beat at 120 beats a minute
PARTS = {"bass": (0, 33, 40), "piano": (1, 0, 60), "guitar": (2, 29, 52), "strings": (3, 48, 65), "drums": (9, 0, 36)}


def write_midi(path: Path, seconds: dict[str, list[tuple[float, float]]]) -> Path:
    """A MIDI file with notes of the parts, from one second to another."""
    file = mido.MidiFile(ticks_per_beat=480)
    for part, notes in seconds.items():
        channel, program, pitch = PARTS[part]
        track = mido.MidiTrack()
        file.tracks.append(track)
        track.append(mido.Message("control_change", channel=channel, control=0, value=1))
        track.append(mido.Message("control_change", channel=channel, control=7, value=90))
        track.append(mido.Message("program_change", channel=channel, program=program))
        now = 0
        for start, end in notes:
            ticks = round(start * SECOND), round(end * SECOND)
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=100, time=ticks[0] - now))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=ticks[1] - ticks[0]))
            now = ticks[1]
    file.save(path)
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """20 s of bass, drums and strings; the guitar joins at 8 s and the piano plays from 10 to 15 s."""
    seconds = [(float(i), i + 0.5) for i in range(20)]
    parts = {"bass": seconds, "drums": seconds, "strings": seconds, "guitar": [(8.0, 20.0)], "piano": seconds[10:15]}
    return write_midi(tmp_path / "song.mid", parts)


def _notes(path: Path) -> list[tuple[float, int, int, bool]]:
    now, rows = 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        if message.type in ("note_on", "note_off"):
            rows.append((round(now, 3), message.channel, message.note, message.type == "note_on"))
    return rows


def test_notes_belong_to_the_stem_of_their_program(song: Path) -> None:
    midi = read_band_midi(song)
    assert {stem: len(rows) for stem, rows in midi.held.items()} == {"bass": 20, "drums": 20, "guitar": 1, "piano": 5}
    assert midi.held["guitar"][0] == pytest.approx((8.0, 20.0), abs=1e-3)
    assert midi.seconds == pytest.approx(20.0, abs=0.01)


def test_a_channel_that_changes_its_program_changes_its_stem(tmp_path: Path) -> None:
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    file.tracks.append(track)
    for program, pitch in ((0, 60), (27, 64), (56, 67)):
        track.append(mido.Message("program_change", program=program))
        track.append(mido.Message("note_on", note=pitch, velocity=90))
        track.append(mido.Message("note_on", note=pitch, velocity=0, time=480))
    file.save(tmp_path / "x.mid")
    held = read_band_midi(tmp_path / "x.mid").held
    assert {stem: len(rows) for stem, rows in held.items()} == {"bass": 0, "drums": 0, "guitar": 1, "piano": 1}


def test_excerpts_are_where_most_stems_play(song: Path) -> None:
    midi = read_band_midi(song)
    assert set(playing(midi, 0.0, 8.0)) == {"bass", "drums"}
    assert playing(midi, 10.0, 5.0) == {"bass": 1.0, "drums": 1.0, "guitar": 1.0, "piano": 1.0}
    start, shares = excerpts(midi, 5.0)[0]
    assert (start, len(shares)) == (10.0, 4)
    assert excerpts(midi, 60.0)[0][0] == 0.0
    counts = [len(shares) for _, shares in excerpts(midi, 5.0)]
    assert counts == sorted(counts, reverse=True)


def test_a_stem_is_written_alone_with_its_controllers(song: Path, tmp_path: Path) -> None:
    midi, out = read_band_midi(song), tmp_path / "stem.mid"
    write_stem(midi, "piano", 9.5, 4.0, out)
    assert _notes(out) == [
        (t, 1, 60, on) for second in (0.5, 1.5, 2.5, 3.5) for t, on in ((second, True), (min(second + 0.5, 4.0), False))
    ]
    messages = [m for m in mido.MidiFile(out) if m.type in ("program_change", "control_change")]
    assert {(m.channel, m.program) for m in messages if m.type == "program_change"} >= {(1, 0)}
    assert (1, 7, 90) in {(m.channel, m.control, m.value) for m in messages if m.type == "control_change"}
    assert all(m.control != 0 for m in messages if m.type == "control_change")  # fonts need not have the bank


def test_notes_held_over_the_ends_are_not_left_hanging(song: Path, tmp_path: Path) -> None:
    midi, out = read_band_midi(song), tmp_path / "stem.mid"
    write_stem(midi, "guitar", 7.0, 4.0, out)
    assert _notes(out) == [(1.0, 2, 52, True), (4.0, 2, 52, False)]
    write_stem(midi, "guitar", 9.0, 4.0, out)
    assert _notes(out) == []


def test_programs_are_exchanged_within_their_kind_only(song: Path, tmp_path: Path) -> None:
    out = tmp_path / "stem.mid"
    write_stem(read_band_midi(song), "guitar", 0.0, 20.0, out, program=25)
    programs = {m.channel: m.program for m in mido.MidiFile(out) if m.type == "program_change"}
    assert programs == {0: 33, 1: 0, 2: 25, 3: 48, 9: 0}


def test_what_is_no_midi_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"no music")
    with pytest.raises(DatasetError, match=r"x\.mid is not a MIDI file"):
        read_band_midi(tmp_path / "x.mid")


def test_files_take_turns_over_styles(tmp_path: Path) -> None:
    rows = [
        {
            "file": f"{i}.mid",
            "split": "test",
            "licence": "L",
            "style": style,
            "drums": "3",
            "bass": "1",
            "guitar": guitar,
        }
        for i, (style, guitar) in enumerate((("a", "4"), ("a", "4"), ("b", "4"), ("b", "0"), ("c", "9")))
    ]
    rows.append({"file": "6.mid", "split": "train", "licence": "L"})
    assert [row["file"] for row in one_per_style(rows[:5], 4)] == ["0.mid", "2.mid", "4.mid", "1.mid"]
    assert [named_stems(row) for row in (rows[0], rows[3], rows[5])] == [4, 3, 4]
    chosen = chosen_files(tmp_path, rows, ("test",), 4, None)
    assert [path.name for path, _ in chosen] == ["0.mid", "2.mid", "4.mid", "1.mid"]
    with pytest.raises(DatasetError, match="no MIDI file is left"):
        chosen_files(tmp_path, rows, ("val",), 1, 3)


@needs_font
def test_midi_files_become_tests_with_the_stems_that_play(tmp_path: Path) -> None:
    seconds = [(float(i), i + 0.5) for i in range(4)]
    folder = tmp_path / "songs"
    folder.mkdir()
    three = write_midi(folder / "three.mid", {"bass": seconds, "drums": seconds, "guitar": seconds, "strings": seconds})
    two = write_midi(folder / "two.mid", {"bass": seconds, "drums": seconds})
    font = _font()
    assert font is not None
    plan = BandMidiPlan(
        tmp_path / "out", ((three, "BSD-3"), (two, "BSD-3")), BandIngredients(seconds=4.0, soundfonts=(font,))
    )
    lines: list[str] = []
    (track,) = render_band_midi(plan, report=lines.append)
    assert any("two.mid, in which only bass, drums plays" in line for line in lines)
    assert {p.name for p in track.iterdir()} == {"bass.flac", "drums.flac", "guitar.flac", "track.json"}
    facts = json.loads((track / "track.json").read_text())
    assert "MIDI songs/three.mid: BSD-3" in facts["sources"]
    assert any(source.startswith("soundfont ") for source in facts["sources"])
    bass, _ = soundfile.read(track / "bass.flac")
    assert np.std(bass[: RATE // 2]) > 3 * np.std(bass[-RATE // 4 :])
