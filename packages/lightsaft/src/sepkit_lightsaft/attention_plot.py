"""A picture of what `latent_attention` returns: which latent sources serve which stem, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import stack

from sepkit.errors import MissingExtraError

if TYPE_CHECKING:
    from .separator import LightSaftSeparator


def plot_latent_attention(separator: LightSaftSeparator, path: str | Path | None = None) -> Any:
    """A matplotlib figure with one panel per block, stems by latent sources.

    Written to `path` (.png, .svg, …) if one is given.
    Raises MissingExtraError where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "eval", "Plotting attention") from error
    stems = separator.info.stems
    by_stem = [separator.latent_attention(stem) for stem in stems]
    blocks = list(by_stem[0])
    figure = Figure(figsize=(8, 0.4 + 0.9 * len(blocks)), layout="constrained")
    FigureCanvasAgg(figure)  # drawn without a display, and without pyplot's global state
    panels = figure.subplots(len(blocks), 1, sharex=True, squeeze=False)[:, 0]
    for panel, block in zip(panels, blocks, strict=True):
        weights = stack([attention[block] for attention in by_stem])  # s l
        image = panel.imshow(weights.numpy(), vmin=0, vmax=1, aspect="auto", cmap="magma", interpolation="nearest")
        panel.set_yticks(range(len(stems)), stems, fontsize=7)
        panel.set_title(block, fontsize=8, loc="left")
    panels[-1].set_xlabel("latent source")
    figure.colorbar(image, ax=list(panels), label="attention")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
