"""Sung lines with words: the recorded voices of the `flite` program, re-pitched and re-timed with the WORLD vocoder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..errors import DatasetError, MissingExtraError
from .arranging import Note
from .dice import Random

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
VOICE_LICENCE = "flite's voices slt, rms, awb, kal16 (Carnegie Mellon University, BSD-like)"
FRAME_SECONDS = 0.005
EDGE = 0.9  # the recorded band ends here: above lies the roll-off of the recordings' own filter
_ONSETS = "b d f g h k l m n p r s sh t v w y z ch st tr bl fl kr sp th"
_LYRICS = """
morning river golden window falling over again tonight never going home remember shadow light along the water calling
your name under open sky hold me now and we will be alone together burning slow away from here until day is gone
another road dream believe in silver rain tomorrow may I love you so baby oh yeah run free fire heart stars shine
without nothing left to say every little thing machine electric wires humming signal city lights quiet thunder break
down move body feel this moment take my hand why should stay young forever crazy ocean paper boat fly high wild child
summer winter spring black white blue eyes cry smile chase ghost whisper secret station radio static pulse circuit
memory future zero one jump shout kiss touch breathe deep float hey la da na
"""
WORDS = tuple(_LYRICS.split())
ONSETS = tuple(_ONSETS.split())
VOWELS = ("ah", "ee", "oo", "oh", "ay", "eye", "uh", "er", "ow", "oy", "eh")


@dataclass(frozen=True)
class Singer:
    """How one singer sings: voice, formant scale, register (lowest and highest MIDI pitch) and manners."""

    voice: str
    formant: float
    low: int
    high: int
    vibrato_semitones: float
    vibrato_hz: float
    drift_semitones: float
    glide_frames: int
    tilt_db_per_octave: float
    fall_db_per_octave: float
    breath: float
    whisper: bool = False


@dataclass(frozen=True)
class Speech:
    """One analysed spoken line: voicing (n,), log power spectrum (n f), aperiodicity (n f) at 5 ms frames."""

    voiced: np.ndarray
    log_spectrum: np.ndarray
    aperiodicity: np.ndarray
    top_hz: float


def random_singer(rng: Random) -> Singer:
    voice = str(rng.choice(FLITE_VOICES, p=[0.4, 0.25, 0.2, 0.15]))
    shift = float(rng.choice([-2, 0, 0, 3, 5])) if voice == "slt" else float(rng.choice([0, 0, 3, 7, 12]))
    low = round((56 if voice == "slt" else 43) + shift)
    robot = rng.random() < 0.2
    return Singer(
        voice=voice,
        formant=float(rng.uniform(0.92, 1.12) * (1 + 0.012 * shift)),
        low=low,
        high=low + 19,
        vibrato_semitones=0.0 if robot else float(rng.uniform(0.05, 0.5)),
        vibrato_hz=float(rng.uniform(4.8, 6.4)),
        drift_semitones=0.0 if robot else float(rng.uniform(0.03, 0.18)),
        glide_frames=1 if robot else int(rng.integers(5, 25)),
        tilt_db_per_octave=float(rng.normal(1.8, 1.3)),
        fall_db_per_octave=float(rng.uniform(3, 16)),
        breath=float(rng.choice([0, 0.05, 0.15, 0.4], p=[0.4, 0.3, 0.2, 0.1])),
        whisper=bool(rng.random() < 0.03),
    )


def _vocoder() -> Any:
    try:
        import pyworld
    except ImportError as error:
        raise MissingExtraError("pyworld", "render", "Singing") from error
    return pyworld


def require_flite() -> str:
    program = shutil.which("flite")
    if program is None:
        raise DatasetError(
            "The program flite is not installed: apt-get install flite, or leave the sung lines out with --no-voices."
        )
    return program


def lyrics(rng: Random, syllables: int) -> str:
    """Words, or syllables that mean nothing, about as many syllables as asked."""
    if rng.random() < 0.25:
        return " ".join(str(rng.choice(ONSETS)) + str(rng.choice(VOWELS)) for _ in range(max(1, syllables)))
    words, count = [], 0
    while count < max(1, syllables):
        word = str(rng.choice(WORDS))
        words.append(word)
        count += max(
            1,
            sum(a in "aeiouy" and b not in "aeiouy" for a, b in zip(word, word[1:] + "x", strict=True))
            - (word.endswith("e") and len(word) > 3),
        )
    return " ".join(words)


def speak(text: str, voice: str) -> Speech:
    """Say a line and analyse it. Raises DatasetError without flite, MissingExtraError without pyworld."""
    world, program = _vocoder(), require_flite()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        subprocess.run([program, "-voice", voice, "-t", text, "-o", str(path)], check=True, capture_output=True)
        x, rate = soundfile.read(path)
    f0, times = world.dio(x, rate, frame_period=FRAME_SECONDS * 1e3)
    f0 = world.stonemask(x, f0, times, rate)
    spectrum, aperiodicity = world.cheaptrick(x, f0, times, rate), world.d4c(x, f0, times, rate)
    voiced = f0 > 0
    if not voiced.any():
        voiced = np.ones_like(voiced)
    keep = slice(max(int(np.argmax(voiced)) - 20, 0), len(voiced) - max(int(np.argmax(voiced[::-1])) - 20, 0))
    return Speech(voiced[keep], np.log(spectrum[keep] + 1e-16), aperiodicity[keep], rate / 2)


def in_range(phrase: Sequence[Note], low: int, high: int) -> list[Note]:
    """The phrase moved by octaves so that its middle lies in the register; stray notes are folded into it."""
    middle = float(np.median([n.pitch for n in phrase]))
    shift = 12 * round(((low + high) / 2 - middle) / 12)
    out = []
    for n in phrase:
        pitch = n.pitch + shift
        pitch += 12 * (pitch < low) - 12 * (pitch > high)
        out.append(Note(n.start_seconds, n.seconds, pitch, n.velocity))
    return out


def sing(
    rng: Random, singer: Singer, speech: Speech, phrase: Sequence[Note], sample_rate: int, transpose: float = 0.0
) -> np.ndarray:
    """One phrase (t,) at `sample_rate`: loud vowels stretch to fill it, consonants do not, pitch follows the notes."""
    seconds = phrase[-1].start_seconds + phrase[-1].seconds - phrase[0].start_seconds
    frames = max(8, round(seconds / FRAME_SECONDS))
    energy = speech.log_spectrum.max(axis=1)
    vowel = np.clip((energy - np.median(energy[speech.voiced]) + 1.5) / 1.5, 0, 1) * speech.voiced
    have = len(energy)
    weight = 1 + vowel * max(frames - have, 0) / max(vowel.sum(), 1)
    weight *= frames / weight.sum()
    position = np.interp(np.arange(frames) + 0.5, np.cumsum(weight), np.arange(have))
    left = np.clip(position.astype(int), 0, have - 2)
    fraction = np.clip(position - left, 0, 1)[:, None]
    log = speech.log_spectrum[left] * (1 - fraction) + speech.log_spectrum[left + 1] * fraction
    rough = speech.aperiodicity[left] * (1 - fraction) + speech.aperiodicity[left + 1] * fraction
    voiced = speech.voiced[np.round(position).astype(int).clip(0, have - 1)] & (not singer.whisper)
    pitch = _pitch_curve(rng, singer, phrase, frames) + transpose
    sung = np.where(voiced, 440.0 * 2 ** ((pitch - 69) / 12), 0.0)
    loudness = _loudness(phrase, frames)
    spectrum, breath = _widened(singer, speech.top_hz, log + 2 * np.log(loudness)[:, None], rough, voiced, sample_rate)
    return _vocoder().synthesize(sung, spectrum, breath, sample_rate, FRAME_SECONDS * 1e3).astype(np.float32)


def _loudness(phrase: Sequence[Note], frames: int) -> np.ndarray:
    at = [(n.start_seconds - phrase[0].start_seconds) / FRAME_SECONDS for n in phrase]
    return np.interp(np.arange(frames), at, [0.4 + 0.6 * n.velocity for n in phrase])


def _pitch_curve(rng: Random, singer: Singer, phrase: Sequence[Note], frames: int) -> np.ndarray:
    pitch, began = np.full(frames, phrase[0].pitch, dtype=np.float64), np.zeros(frames)
    for n in phrase:
        a = max(0, round((n.start_seconds - phrase[0].start_seconds) / FRAME_SECONDS))
        pitch[a:], began[a:] = n.pitch, a
    width = 2 * singer.glide_frames + 1
    window = np.hanning(width + 2)
    pitch = np.convolve(np.pad(pitch, (width + 1) // 2, mode="edge"), window / window.sum(), "valid")[:frames]
    held = (np.arange(frames) - began) * FRAME_SECONDS
    swing = singer.vibrato_semitones * np.sin(
        2 * np.pi * singer.vibrato_hz * np.arange(frames) * FRAME_SECONDS + rng.uniform(0, 6.28)
    )
    drift = np.convolve(
        rng.standard_normal(frames + 40), np.hanning(41) / np.sqrt(np.sum(np.hanning(41) ** 2)), "valid"
    )[:frames]
    return pitch + swing * np.clip((held - 0.15) / 0.3, 0, 1) + singer.drift_semitones * drift


def _widened(
    singer: Singer, top_hz: float, log: np.ndarray, rough: np.ndarray, voiced: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum and aperiodicity (n f) at the output rate: formants scaled, the band above extrapolated."""
    bins = _vocoder().get_cheaptrick_fft_size(sample_rate) // 2 + 1
    hz = np.linspace(0, sample_rate / 2, bins)
    place = np.minimum(hz / singer.formant, top_hz * EDGE) / top_hz * (log.shape[1] - 1)
    left = np.clip(place.astype(int), 0, log.shape[1] - 2)
    part = place - left
    wide = log[:, left] * (1 - part) + log[:, left + 1] * part
    above = np.clip(np.log2(np.maximum(hz / singer.formant, top_hz * EDGE) / (top_hz * EDGE)), 0, None)
    # Sung records fall by 6 to 10 dB an octave there (measured on released songs); consonants by half of that.
    fall = singer.fall_db_per_octave * np.log(10) / 10
    wide -= np.where(voiced, fall, fall / 2)[:, None] * above
    wide += singer.tilt_db_per_octave * np.log(10) / 10 * np.log2(np.maximum(hz, 100) / 1000)
    plain = np.minimum(hz, top_hz) / top_hz * (log.shape[1] - 1)
    base = np.clip(plain.astype(int), 0, log.shape[1] - 2)
    breath = rough[:, base] * (1 - (plain - base)) + rough[:, base + 1] * (plain - base)
    breath = np.maximum(breath, np.clip((hz - 0.7 * top_hz) / (0.5 * top_hz), 0, 0.9))
    breath = np.maximum(breath, singer.breath * np.clip(hz / 6000, 0, 1))
    return np.ascontiguousarray(np.exp(wide)), np.ascontiguousarray(np.clip(breath, 1e-4, 1.0))


def vocal_stem(
    rng: Random, phrases: Sequence[Sequence[Note]], length_samples: int, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lead and backing vocals, each (2, length) float32 and dry: doubles, some harmonies, ad-libs."""
    lead = np.zeros((2, length_samples), dtype=np.float32)
    backing = np.zeros_like(lead)
    singers = [random_singer(rng) for _ in range(1 if rng.random() < 0.7 else 2)]
    doubled, harmony = rng.random() < 0.4, float(rng.choice([0.0, 0.3, 0.8]))
    interval = float(rng.choice([-12, -5, -3, 3, 4, 7, 12]))
    for i, phrase in enumerate(phrases):
        singer = singers[i % len(singers)]
        notes = in_range(phrase, singer.low, singer.high)
        speech = speak(lyrics(rng, len(notes)), singer.voice)
        _add(lead, sing(rng, singer, speech, notes, sample_rate), notes, 0.0, 1.0, sample_rate)
        if doubled:
            for side in (-0.8, 0.8):
                late = [
                    Note(n.start_seconds + abs(rng.normal(0.012, 0.01)), n.seconds, n.pitch, n.velocity) for n in notes
                ]
                _add(
                    backing,
                    sing(rng, singer, speech, late, sample_rate, rng.normal(0, 0.08)),
                    late,
                    side,
                    0.4,
                    sample_rate,
                )
        if rng.random() < harmony:
            side = float(rng.uniform(-0.7, 0.7))
            _add(backing, sing(rng, singer, speech, notes, sample_rate, interval), notes, side, 0.5, sample_rate)
        if rng.random() < 0.1 and len(notes) > 3:
            late = [Note(n.start_seconds + 1.0, n.seconds, n.pitch, 0.7) for n in notes[-3:]]
            _add(
                backing,
                sing(rng, singer, speak(lyrics(rng, 3), singer.voice), late, sample_rate),
                late,
                float(rng.uniform(-0.6, 0.6)),
                0.6,
                sample_rate,
            )
    return lead, backing


def _add(out: np.ndarray, y: np.ndarray, phrase: Sequence[Note], pan: float, gain: float, sample_rate: int) -> None:
    """Mix one phrase into `out`, which the caller owns, at the phrase's place and at one loudness for all phrases."""
    start = max(0, round(phrase[0].start_seconds * sample_rate))
    y = y[: max(0, out.shape[1] - start)].copy()
    if len(y) < 400:
        return
    fade = min(400, len(y) // 4)
    y[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    y[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    y *= np.float32(gain * 0.1 / (np.sqrt(np.mean(y**2)) + 1e-6))
    out[0, start : start + len(y)] += y * np.float32(min(1.0, 1 - pan))
    out[1, start : start + len(y)] += y * np.float32(min(1.0, 1 + pan))
