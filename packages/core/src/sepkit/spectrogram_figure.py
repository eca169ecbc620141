"""Spectrograms of all stems on one scale of time, frequency and level, as a matplotlib figure; imported when drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from einops import rearrange
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from .audio import Audio
from .errors import AudioError
from .evaluation.page.spectrogram import LOWEST_HZ, RANGE_DB, frequency_range, log_spectrogram, palette

COLUMNS, ROWS = 900, 160
FULL_SCALE_SINE_DB = 20 * np.log10(0.5)  # on the scale of `log_spectrogram`
TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class SpectrogramFigure(Figure):
    """A figure that a notebook shows where it stands, with `%matplotlib inline` or without, and only once."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def spectrogram_figure(parts: Mapping[str, Audio], top: str | None = None) -> SpectrogramFigure:
    """A panel for each part, all of one rate and length; brightest is the loudest point of `top`, or of any part.

    Hann windows of 93 ms, log frequency from 40 Hz to 16 kHz, 72 dB of range, mean over channels: the report's.
    Raises AudioError where there is nothing to draw.
    """
    first = next(iter(parts.values()))
    if not first.length_samples or first.sample_rate <= 2 * LOWEST_HZ:
        raise AudioError(
            f"{first!r} was to be drawn: at least one sample, and a rate above {2 * LOWEST_HZ:g} Hz, is wanted."
        )
    pictures = {
        name: log_spectrogram(rearrange(audio.samples, "c t -> t c").numpy(), audio.sample_rate, COLUMNS, ROWS)
        - FULL_SCALE_SINE_DB
        for name, audio in parts.items()
    }
    top_db = float(max(picture.max() for name, picture in pictures.items() if top in (None, name)))
    low, high = frequency_range(first.sample_rate)
    figure = SpectrogramFigure(figsize=(9, 0.6 + 1.35 * len(parts)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)  # drawn without a display, and without pyplot's global state
    panels = figure.subplots(len(parts), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, (name, picture) in zip(panels, pictures.items(), strict=True):
        image = panel.imshow(
            picture, vmin=top_db - RANGE_DB, vmax=top_db, cmap=ListedColormap(palette() / 255.0), aspect="auto",
            extent=(0.0, first.seconds, np.log10(low), np.log10(high)), interpolation="nearest",
        )  # fmt: skip
        panel.set_title(name, fontsize=9, loc="left", parse_math=False)
        ticks = [hz for hz in TICKS_HZ if low <= hz <= high]
        panel.set_yticks(np.log10(ticks), [f"{hz:g}" for hz in ticks], fontsize=7)
        panel.set_ylabel("Hz", fontsize=8)
    panels[-1].set_xlabel("seconds", fontsize=8)
    panels[-1].tick_params("x", labelsize=7)
    bar = figure.colorbar(image, ax=list(panels), pad=0.01)
    bar.set_label("dB, 0 is a sine at full scale", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
