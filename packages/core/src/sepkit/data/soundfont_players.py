"""What plays a MIDI file with a soundfont: the program fluidsynth, or the Python package tinysoundfont."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..errors import DatasetError

FLUIDSYNTH, TINYSOUNDFONT = "fluidsynth", "tinysoundfont"
GAIN_DB = -8.0  # of tinysoundfont, which makes it about as loud as fluidsynth's gain of 0.4
DRUM_CHANNEL = 9


def find_player() -> str:
    """The player that is installed, fluidsynth where both are: the same song sounds a little different in each.

    Raises DatasetError, with what to install, where there is neither.
    """
    if shutil.which(FLUIDSYNTH):
        return FLUIDSYNTH
    if importlib.util.find_spec(TINYSOUNDFONT):
        return TINYSOUNDFONT
    raise DatasetError(
        "Neither the program fluidsynth nor the package tinysoundfont is installed: apt-get install fluidsynth "
        "fluid-soundfont-gm (or brew install fluid-synth), or pip install --no-deps tinysoundfont."
    )


def with_player(facts: dict[str, object]) -> dict[str, object]:
    """A rendered song's facts, and the player's name where a soundfont is among its `sources`."""
    sources = facts.get("sources")
    played = isinstance(sources, list) and any(str(source).startswith("soundfont") for source in sources)
    return {**facts, "player": find_player()} if played else facts


def play_file(path: Path, font: Path, length_samples: int, sample_rate: int, player: str | None = None) -> np.ndarray:
    """A MIDI file as (2, length) float32, dry, by `player` or the one that `find_player` finds."""
    play = {FLUIDSYNTH: _by_fluidsynth, TINYSOUNDFONT: _by_tinysoundfont}[player or find_player()]
    out = np.zeros((2, length_samples), dtype=np.float32)
    samples = play(path, font, length_samples, sample_rate)
    out[:, : len(samples)] = samples.T
    return out


def _by_fluidsynth(path: Path, font: Path, length_samples: int, sample_rate: int) -> np.ndarray:
    """t c; without the program's own reverb and chorus."""
    options = ["-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.4", "-r", str(sample_rate)]
    options += ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.cpu-cores=1", "-T", "wav", "-O", "float"]
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "out.wav"
        command = [FLUIDSYNTH, *options, "-F", str(wav), str(font), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not wav.exists():
            reason = done.stderr.strip()[-300:] or "no output"
            raise DatasetError(f"fluidsynth could not play {path.name} with {font.name}: {reason}.")
        samples: np.ndarray = soundfile.read(wav, dtype="float32", frames=length_samples, always_2d=True)[0]
        return samples


def _by_tinysoundfont(path: Path, font: Path, length_samples: int, sample_rate: int) -> np.ndarray:
    """t c; every event on its sample."""
    import tinysoundfont

    from .soundfonts import timed_events

    try:
        synth = tinysoundfont.Synth(gain=GAIN_DB, samplerate=sample_rate)
        bank = synth.sfload(str(font))
        for channel in range(16):
            synth.program_select(channel, bank, 0, 0, channel == DRUM_CHANNEL)
        pieces = _pieces(synth, timed_events(path), length_samples, sample_rate)
        return np.concatenate([np.zeros((0, 2), np.float32), *pieces])
    except (tinysoundfont.SoundFontException, RuntimeError) as error:
        raise DatasetError(f"tinysoundfont could not play {path.name} with {font.name}: {error}.") from error


def _pieces(
    synth: Any, events: Iterable[tuple[float, Any]], length_samples: int, sample_rate: int
) -> Iterable[np.ndarray]:
    position = 0
    for seconds, message in events:
        place = min(round(seconds * sample_rate), length_samples)
        if place > position:
            yield _generated(synth, place - position)
            position = place
        _send(synth, message)
    if position < length_samples:
        yield _generated(synth, length_samples - position)


def _generated(synth: Any, samples: int) -> np.ndarray:
    return np.frombuffer(synth.generate_simple(samples), np.float32).reshape(-1, 2)


def _send(synth: Any, message: Any) -> None:
    if message.type == "note_on" and message.velocity:
        synth.noteon(message.channel, message.note, message.velocity)
    elif message.type in ("note_on", "note_off"):
        synth.noteoff(message.channel, message.note)
    elif message.type == "control_change":
        synth.control_change(message.channel, message.control, message.value)
    elif message.type == "pitchwheel":
        synth.pitchbend(message.channel, message.pitch + 8192)
    elif message.type == "program_change":
        try:
            synth.program_change(message.channel, message.program, message.channel == DRUM_CHANNEL)
        except RuntimeError:  # the font lacks it: the instrument before goes on
            return
