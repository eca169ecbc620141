"""An outcome as a picture: a dot and its interval for each condition, as SVG text."""

from __future__ import annotations

from html import escape

from .outcome import Condition, Outcome

ROW, LEFT, WIDTH, TOP, RIGHT = 30, 190, 520, 34, 24  # pixels
METHOD, OTHER = "#0072b2", "#767676"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1a1a}.grid{stroke:#d8d8d8}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.grid{stroke:#444}.paper{fill:#16181c}}"
)


def chart(outcome: Outcome) -> str:
    """Means with their t intervals on the test's scale; methods in blue, hidden reference and anchors in grey."""
    height = TOP + ROW * len(outcome.conditions) + 26
    bottom = height - 26
    total = LEFT + WIDTH + RIGHT
    title = f"{outcome.score} ({outcome.stem}), {outcome.raters_kept} raters, {100 * outcome.level:g} % intervals"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" width="{total}" height="{height}" '
        f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect class="paper" width="{total}" height="{height}" fill="#ffffff"/>'
        f'<text x="{LEFT}" y="20">{escape(title)}</text>'
    ]
    steps = 5 if outcome.highest > 10 else outcome.highest - outcome.lowest
    for step in range(steps + 1):
        level = outcome.lowest + (outcome.highest - outcome.lowest) * step / steps
        x = _x(outcome, level)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{level:g}</text>')
    parts.extend(_row(outcome, condition, index) for index, condition in enumerate(outcome.conditions))
    return "".join([*parts, "</svg>\n"])


def _row(outcome: Outcome, condition: Condition, index: int) -> str:
    y = TOP + ROW * (index + 0.5)
    colour = METHOD if condition.role == "method" else OTHER
    words = f"{condition.label}: {condition.mean:.2f}"
    line = ""
    if condition.low is not None and condition.high is not None:
        words += f" ({condition.low:.2f} to {condition.high:.2f})"
        ends = [_x(outcome, end) for end in (condition.low, condition.high)]
        line = f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    label = condition.label if len(condition.label) <= 26 else condition.label[:25] + "…"
    return (
        f'<g><title>{escape(words)}</title><text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>'
        f'{line}<circle cx="{_x(outcome, condition.mean):.1f}" cy="{y}" r="5" fill="{colour}"/></g>'
    )


def _x(outcome: Outcome, score: float) -> float:
    """Where a score lies; what passes the scale (an interval can) ends at its edge."""
    share = (score - outcome.lowest) / (outcome.highest - outcome.lowest)
    return LEFT + WIDTH * min(max(share, 0.0), 1.0)
