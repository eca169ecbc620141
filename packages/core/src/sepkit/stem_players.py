"""Stems as a table of players, for a notebook: HTML that carries its sound with it and loads nothing."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from math import log10
from typing import NamedTuple

from einops import rearrange
from torch import Tensor

from .audio import Audio, Stems
from .evaluation.page.sound import common_gain, encoded

LONGEST_SECONDS = 60.0
TOTAL_SECONDS = 240.0  # of all players together, some 10 MB: a notebook keeps what it has shown
HIGHEST_RATE, MOST_CHANNELS = 48_000, 2  # of the sound that is played; a browser turns the rest into that anyway
SHOWN = ("method", "quality", "seed")
CELL = 'style="text-align:left"'
_BLOCK_SAMPLES = 1 << 20


class Level(NamedTuple):
    """How loud a whole stem is: root mean square and peak over all channels, 0 for silence."""

    rms: float
    peak: float


def players_html(stems: Stems) -> str:
    """A table with name, length, level and a player of every stem; the first 60 s at most, and less of many stems.

    The sound is lossy (Vorbis), and all stems are turned down alike where one exceeds full scale; both are said.
    """
    first = next(iter(stems.values()))
    seconds = min(LONGEST_SECONDS, TOTAL_SECONDS / len(stems))
    heard = round(min(seconds * first.sample_rate, first.length_samples))
    levels = {stem: level_of(audio.samples) for stem, audio in stems.items()}
    gain = common_gain(level.peak for level in levels.values())
    rows = [_row(stem, audio, levels[stem], heard, gain) for stem, audio in stems.items()]
    head = "".join(f"<th {CELL}>{name}</th>" for name in ("stem", "length", "level (RMS)", "peak", "listen"))
    notes = [_made_by(stems), f"{first.sample_rate} Hz", f"{first.channels} channel{'s' * (first.channels > 1)}"]
    if heard < first.length_samples:
        notes.append(f"the players hold the first {heard / first.sample_rate:g} s; save() writes all of it")
    if heard and gain < 1:
        notes.append(f"the players are turned down by {-20 * log10(gain):.1f} dB, lest they clip; the stems are not")
    return (
        f'<div class="tex2jax_ignore mathjax_ignore">'  # a stem may be called $1
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p><small>{escape(' · '.join(note for note in notes if note))}</small></p></div>"
    )


def level_of(samples: Tensor) -> Level:
    """Root mean square and peak of samples, c t; in memory that does not grow with them."""
    total = peak = 0.0
    for start in range(0, samples.shape[-1], _BLOCK_SAMPLES):
        block = samples[..., start : start + _BLOCK_SAMPLES]
        total += float(block.double().square().sum())
        peak = max(peak, float(block.abs().max()))
    return Level((total / max(1, samples.numel())) ** 0.5, peak)


def _row(stem: str, audio: Audio, level: Level, heard_samples: int, gain: float) -> str:
    cells = (escape(stem), f"{audio.seconds:.1f} s", _decibels(level.rms), _decibels(level.peak))
    player = _player(stem, Audio(audio.samples[:, :heard_samples], audio.sample_rate), gain) if heard_samples else "–"
    return f"<tr>{''.join(f'<td {CELL}>{cell}</td>' for cell in (*cells, player))}</tr>"


def _player(stem: str, audio: Audio, gain: float) -> str:
    if audio.channels > MOST_CHANNELS:
        audio = audio.remixed(1)
    if audio.sample_rate > HIGHEST_RATE:
        audio = audio.resampled(HIGHEST_RATE)
    content = encoded(rearrange(audio.samples, "c t -> t c").numpy(), audio.sample_rate, gain, "ogg")
    source = f"data:audio/ogg;base64,{b64encode(content).decode('ascii')}"
    return f'<audio controls preload="metadata" aria-label="{escape(stem)}" src="{source}"></audio>'


def _decibels(amplitude: float) -> str:
    return f"{20 * log10(amplitude):.1f} dBFS".replace("-", "−") if amplitude > 0 else "silent"


def _made_by(stems: Stems) -> str:
    known = ((key, stems.provenance.get(key)) for key in SHOWN)
    return ", ".join(str(value) if key == "method" else f"{key} {value}" for key, value in known if value is not None)
