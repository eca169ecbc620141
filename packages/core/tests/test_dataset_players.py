"""Soundfonts are played by whichever player is there, and alike by both."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from sepkit.data import soundfont_players
from sepkit.data.production import Ingredients
from sepkit.data.render import RenderPlan, render
from sepkit.data.soundfont_players import find_player, play_file, with_player
from sepkit.data.soundfonts import find_soundfonts
from sepkit.errors import DatasetError

mido = pytest.importorskip("mido", reason="MIDI needs the extra [render]")
RATE = 22050


def font() -> Path | None:
    try:
        return min(find_soundfonts(), key=lambda path: path.stat().st_size)
    except DatasetError:
        return None


needs_font = pytest.mark.skipif(font() is None, reason="no soundfont is installed")
INSTALLED = {
    "fluidsynth": shutil.which("fluidsynth") is not None,
    "tinysoundfont": importlib.util.find_spec("tinysoundfont") is not None,
}


def midi(path: Path) -> Path:
    """A piano note at 0.5 s, and a bass drum at 1.5 s."""
    file = mido.MidiFile(ticks_per_beat=1000)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("control_change", channel=0, control=7, value=110))
    track.append(mido.Message("note_on", channel=0, note=69, velocity=100, time=500))
    track.append(mido.Message("note_off", channel=0, note=69, time=500))
    track.append(mido.Message("note_on", channel=9, note=36, velocity=110, time=500))
    track.append(mido.Message("note_off", channel=9, note=36, time=200))
    file.save(path)
    return path


@needs_font
@pytest.mark.parametrize("player", INSTALLED)
def test_notes_sound_where_and_what_they_are(player: str, tmp_path: Path) -> None:
    if not INSTALLED[player]:
        pytest.skip(f"{player} is not installed")
    path = midi(tmp_path / "x.mid")
    x = play_file(path, font(), 2 * RATE, RATE, player)
    assert x.shape == (2, 2 * RATE)
    assert np.abs(x[:, : round(0.49 * RATE)]).max() < 1e-3
    assert 0.01 < np.abs(x[:, round(0.5 * RATE) : RATE]).max() < 1
    spectrum = np.abs(np.fft.rfft(x[0, round(0.55 * RATE) : round(0.95 * RATE)]))
    assert spectrum.argmax() * RATE / round(0.4 * RATE) == pytest.approx(440, abs=6)
    drum = np.abs(np.fft.rfft(x[0, round(1.5 * RATE) : round(1.6 * RATE)]))
    assert drum.argmax() * 10 < 200  # Hz
    assert np.array_equal(x, play_file(path, font(), 2 * RATE, RATE, player))


@needs_font
def test_both_are_about_as_loud(tmp_path: Path) -> None:
    if not all(INSTALLED.values()):
        pytest.skip("one of the players is not installed")
    path = midi(tmp_path / "x.mid")
    loud = [np.square(play_file(path, font(), 2 * RATE, RATE, player)).mean() for player in INSTALLED]
    assert abs(10 * np.log10(loud[0] / loud[1])) < 6


def test_fluidsynth_comes_first_and_with_neither_the_error_names_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    there = {"fluidsynth": True, "tinysoundfont": True}
    monkeypatch.setattr(soundfont_players.shutil, "which", lambda name: name if there[name] else None)
    monkeypatch.setattr(soundfont_players.importlib.util, "find_spec", lambda name: object() if there[name] else None)
    assert find_player() == "fluidsynth"
    there["fluidsynth"] = False
    assert find_player() == "tinysoundfont"
    assert with_player({"sources": ["soundfont X"]})["player"] == "tinysoundfont"
    assert with_player({"sources": ["sepkit's own sound"]}) == {"sources": ["sepkit's own sound"]}
    there["tinysoundfont"] = False
    with pytest.raises(DatasetError, match=r"fluidsynth.*tinysoundfont.*pip install"):
        find_player()
    ingredients = Ingredients(seconds=1.0, soundfonts=(tmp_path / "x.sf2",), voices=False)
    with pytest.raises(DatasetError, match="tinysoundfont"):
        render(RenderPlan(tmp_path / "out", ingredients), 1)
