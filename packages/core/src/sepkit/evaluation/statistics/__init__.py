"""Intervals, paired tests and ranks over tracks: what a table of scores can and cannot tell.

Everything works on plain arrays of track scores; the track is the unit that is drawn, because the stems and windows of
one track are not independent of each other. Axes: t track, s stem, k column, r resample.
"""

from .intervals import LEVEL, Interval, bootstrap_interval, difference_interval, mean_interval, stem_intervals
from .paired import PairedDifference, holm, paired_difference, sign_flip_p, smallest_p, wilcoxon_p
from .ranking import Comparison, Place, Ranking, Verdict, rank

__all__ = [
    "LEVEL",
    "Comparison",
    "Interval",
    "PairedDifference",
    "Place",
    "Ranking",
    "Verdict",
    "bootstrap_interval",
    "difference_interval",
    "holm",
    "mean_interval",
    "paired_difference",
    "rank",
    "sign_flip_p",
    "smallest_p",
    "stem_intervals",
    "wilcoxon_p",
]
