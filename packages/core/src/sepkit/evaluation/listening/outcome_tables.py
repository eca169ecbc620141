"""An outcome in words and tables: Markdown for a file, the same rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .outcome import Condition, Outcome
from .presets import PRESETS

VERDICTS = {
    "better": "first is better",
    "worse": "second is better",
    "within noise": "not told apart",
    "underpowered": "too few raters to tell",
    "no difference": "the same for every rater",
}


def score_columns(outcome: Outcome) -> list[str]:
    """The head of the table of scores."""
    return ["", outcome.score, f"{100 * outcome.level:g} % interval", "rank", "raters"]


def score_rows(outcome: Outcome) -> list[list[str]]:
    """One row for each condition: its name, mean, t interval, rank among the methods and the raters behind it."""
    digits = _digits(outcome)
    return [
        [
            one.label,
            f"{one.mean:.{digits}f}",
            "–" if one.low is None else f"{one.low:.{digits}f} to {one.high:.{digits}f}",
            rank_words(one),
            str(outcome.raters_kept),
        ]
        for one in outcome.conditions
    ]


def rank_words(condition: Condition) -> str:
    """The rank, or the range of ranks that noise leaves open; a dash for what is no method."""
    if condition.rank is None:
        return "–"
    first, last = condition.rank
    return f"{first}" if first == last else f"{first}–{last}"


def raters_line(outcome: Outcome) -> str:
    """How many raters count, and how many do not."""
    return f"{outcome.raters_kept} rater(s) kept, {outcome.raters_excluded} sitting(s) excluded"


def reading_lines(outcome: Outcome) -> list[str]:
    """How the table is to be read: what the intervals and ranks are about."""
    lines = [
        "interval: Student's t over the raters' own means, one number for each rater, because a rater's scores are not "
        "independent of each other. The bootstrap that draws whole raters is in the JSON; it is close unless the "
        "raters' means are skewed, and it is the less trustworthy of the two for fewer than about ten raters. Both "
        "speak of other raters of the same excerpts, not of other songs.",
        "rank: 1 + the number of methods that are better, by a sign-flip test over raters who rated both, corrected by "
        "Holm; a range means that the order within it is not decided.",
    ]
    if (power := outcome.power) is not None:
        digits = _digits(outcome)
        lines.append(
            f"power: raters' differences between two methods spread by {power.spread:.{digits}f} (standard deviation). "
            f"To tell methods {power.difference:g} apart with {100 * power.power:g} % chance at "
            f"{100 * power.level:g} %, shared by {power.pairs} pair(s), {power.raters} raters are needed "
            f"({power.raters_for_largest} for the pair that spreads most); there were {outcome.raters_kept}."
        )
    return lines


def markdown(outcome: Outcome) -> str:
    """The whole outcome as Markdown."""
    parts = [
        f"# Listening test `{outcome.test}`: {outcome.stem}, {outcome.score} {outcome.lowest} to {outcome.highest}",
        f"{raters_line(outcome)}.",
        _table(score_columns(outcome), score_rows(outcome)) if outcome.conditions else "",
        "\n".join(f"- {line}" for line in [*reading_lines(outcome), *outcome.notes]),
        *_details(outcome),
        "## Excluded",
        "\n".join(f"- {one.rater}: {one.reason}" for one in outcome.excluded) or "Nobody.",
        _rule(outcome),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(outcome: Outcome) -> list[str]:
    if not outcome.conditions:
        return []
    digits = _digits(outcome)
    pages = list(outcome.excerpts)
    excerpts = [[one.label, *(f"{one.excerpts[page]:.{digits}f}" for page in pages)] for one in outcome.conditions]
    parts = [
        "## Excerpts",
        _table(["", *pages], excerpts),
        "\n".join(f"- {page}: {where}" for page, where in outcome.excerpts.items()),
    ]
    if outcome.pairs:
        pairs = [
            [one.first, one.second, f"{one.difference:+.{digits}f}", f"{one.corrected_p:.2g}", VERDICTS[one.verdict]]
            for one in outcome.pairs
        ]
        parts += ["## Pairs", _table(["first", "second", "difference", "p, corrected", ""], pairs)]
    return parts


def _rule(outcome: Outcome) -> str:
    rules = {
        "truth_not_below_a_separation": "scored the truth below a separation on any excerpt",
        "reference_at_least_90": "scored the hidden reference below 90 on more than 15 % of the excerpts",
    }
    rule = rules[PRESETS[outcome.preset].screening]
    return f"A rater is excluded who {rule}, or left a stimulus without a score."


def _digits(outcome: Outcome) -> int:
    return 2 if outcome.highest <= 10 else 1


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in [head, marks, *rows])
