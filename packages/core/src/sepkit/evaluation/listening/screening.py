"""Whose answers count: the rules by which raters are excluded, and why each one was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .answers import Answers, Cell
from .manifest import Manifest
from .presets import PRESETS, Screening

LEAST_REFERENCE_SCORE = 90
MOST_FAILED_SHARE = 0.15

Scores = Mapping[Cell, float]


class Exclusion(NamedTuple):
    """A rater, or a further sitting of one, who does not count."""

    rater: str
    reason: str


class Screened(NamedTuple):
    """The complete answers of the raters who count, and those who do not."""

    kept: Mapping[str, Scores]
    excluded: tuple[Exclusion, ...]


def screen(answers: Answers, manifest: Manifest) -> Screened:
    """Apply the rules of the test's preset.

    In every test a rater's second sitting does not count, nor does a rater who left a stimulus without a score: means
    would be over different excerpts. Then `ismir22` excludes who scored the truth below a separation on any page, and
    `mushra` (ITU-R BS.1534-3) who scored the hidden reference below 90 on more than 15 % of the pages.
    """
    cells = [(page.id, stimulus.key) for page in manifest.pages for stimulus in page.stimuli]
    rule = RULES[PRESETS[manifest.preset].screening]
    kept: dict[str, Scores] = {}
    excluded = []
    for sitting in answers.sittings:
        scores = {cell: score for cell in cells if (score := sitting.scores.get(cell)) is not None}
        missing = len(cells) - len(scores)
        reason = f"left {missing} of {len(cells)} stimuli without a score" if missing else rule(scores, manifest)
        if reason is None:
            kept[sitting.rater] = scores
        else:
            excluded.append(Exclusion(sitting.rater, reason))
    for sitting in answers.repeated:
        excluded.append(Exclusion(sitting.rater, f"another sitting under the same code ({sitting.place})"))
    return Screened(kept, tuple(excluded))


def truth_not_below_a_separation(scores: Scores, manifest: Manifest) -> str | None:
    """Why the rater is excluded: on some page a method got more than the hidden reference; equal scores pass."""
    failed = []
    for page in manifest.pages:
        truth = scores[page.id, page.reference.key]
        if any(scores[page.id, one.key] > truth for one in page.stimuli if one.role == "method"):
            failed.append(page.id)
    return f"scored the truth below a separation on {', '.join(failed)}" if failed else None


def reference_at_least_90(scores: Scores, manifest: Manifest) -> str | None:
    """Why the rater is excluded: the hidden reference got less than 90 on more than 15 % of the pages."""
    failed = [page.id for page in manifest.pages if scores[page.id, page.reference.key] < LEAST_REFERENCE_SCORE]
    if len(failed) <= MOST_FAILED_SHARE * len(manifest.pages):
        return None
    return f"scored the hidden reference below {LEAST_REFERENCE_SCORE} on {len(failed)} of {len(manifest.pages)} pages"


RULES: Mapping[Screening, Callable[[Scores, Manifest], str | None]] = {
    "truth_not_below_a_separation": truth_not_below_a_separation,
    "reference_at_least_90": reference_at_least_90,
}
