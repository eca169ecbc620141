"""Charts as inline SVG text, for pages that must work without a network or a plotting library.

Ink is `currentColor`, so a chart is legible on light and dark pages; marks have tooltips, and a chart its description.
"""

from .axes import COLOURS, GREYS
from .bars import Series, colours_of, grouped_bars
from .boxes import Tracks, box_plot
from .scatter import Point, quality_compute_plot

__all__ = [
    "COLOURS",
    "GREYS",
    "Point",
    "Series",
    "Tracks",
    "box_plot",
    "colours_of",
    "grouped_bars",
    "quality_compute_plot",
]
