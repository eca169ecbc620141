"""The kinds of test that can be exported, and what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .manifest import Role

Screening = Literal["truth_not_below_a_separation", "reference_at_least_90"]


@dataclass(frozen=True)
class Preset:
    """One kind of test: its pages, its scale and what counts.

    `steps` says whether the scale has whole numbers only, `ends` what its ends mean, with {stem} for the stem's name.
    `separation` is the difference in score that the note on power asks about.
    """

    name: str
    page_type: Literal["likert_multi_stimulus", "mushra"]
    lowest: int
    highest: int
    steps: bool
    ends: tuple[str, str] | None
    score: str  # what the mean is called
    separation: float
    loudness_matched: bool
    anchors: tuple[Role, ...]
    screening: Screening
    results_file: str  # what webMUSHRA calls the file of its results
    excerpts: int = 5
    seconds: float = 10.0


ISMIR22 = Preset(
    name="ismir22",
    page_type="likert_multi_stimulus",
    lowest=1,
    highest=5,
    steps=True,
    # The paper's own wording is not at hand; these words are ours.
    ends=("the {stem} cannot be made out, or drown in other sounds and noise", "the {stem} alone, clean"),
    score="MOS",
    separation=0.5,
    loudness_matched=False,
    anchors=(),
    screening="truth_not_below_a_separation",
    results_file="lms.csv",
)
"""The test of Plaja-Roglans, Miron and Serra (ISMIR 2022): 1 to 5, hidden reference, no anchors."""

MUSHRA = Preset(
    name="mushra",
    page_type="mushra",
    lowest=0,
    highest=100,
    steps=False,
    ends=None,  # webMUSHRA shows the words of BS.1534, from bad to excellent
    score="MUSHRA",
    separation=10.0,  # half a category of the scale
    loudness_matched=True,
    anchors=("low_anchor", "interference_anchor"),
    screening="reference_at_least_90",
    results_file="mushra.csv",
)
"""ITU-R BS.1534: open and hidden reference, anchors, 0 to 100, equal loudness."""

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (ISMIR22, MUSHRA)}
