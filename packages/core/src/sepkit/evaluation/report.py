"""A run as one page to look at and listen to: tables that sort, a bar plot, and players for the written stems.

Self-contained apart from the sound files, which it links to by relative path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .charts import Series, grouped_bars
from .grid import Cell, Grid, cost_grid, score_grid
from .out_folder import file_name, stems_folder
from .recipe import Recipe
from .reference_points import REFERENCE_POINTS
from .score import Score
from .summary import entries_of, stem_columns

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
tr.muted { opacity: .65; }
.notes, .facts { font-size: .88rem; opacity: .8; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg .line { stroke: currentColor; opacity: .15; } svg .axis { stroke: currentColor; opacity: .7; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
details { border-bottom: 1px solid var(--line); padding: .5rem 0; } summary { cursor: pointer; font-weight: 600; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .6rem 1rem; }
.players figure { margin: 0; } .players figcaption { font-size: .88rem; } audio { width: 100%; height: 2.2rem; }
"""

SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], index = head.cellIndex;
  const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = row => row.cells[index].dataset.sort ?? row.cells[index].textContent;
  const order = (a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * (isNaN(x) || isNaN(y) ? String(x).localeCompare(y) : x - y);
  };
  body.append(...[...body.rows].sort(order));
});
document.addEventListener("play", event => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
"""


def write_results(
    out: Path,
    rows: Sequence[Score],
    recipes: Sequence[Recipe],
    facts: Mapping[str, Any],
    *,
    budget_seconds: float | None = None,
) -> list[Grid]:
    """Write OUT/summary.md and OUT/index.html from rows alone, and return the tables to print, costs last.

    The files have every metric of every recipe, the returned tables only each recipe's first. `facts` is shown as is.
    """
    every = {(recipe.name, m): score_grid(rows, recipe, m) for recipe in recipes for m in recipe.metrics}
    costs = cost_grid(rows, recipes[0], budget_seconds)
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    sources = [f"- `{', '.join(recipe.metrics)}`: {recipe.source}" for recipe in recipes]
    parts = ["# Evaluation", "\n".join(lines), *(grid.markdown() for grid in (*every.values(), costs))]
    text = "\n\n".join([*parts, "## Definitions", "\n".join(sources)])
    (out / "summary.md").write_text(text + "\n", encoding="utf-8")
    write_page(out / "index.html", rows, recipes, [*every.values(), costs], facts)
    return [*(every[(recipe.name, recipe.metrics[0])] for recipe in recipes), costs]


def write_page(
    path: Path,
    rows: Sequence[Score],
    recipes: Sequence[Recipe],
    grids: Sequence[Grid],
    facts: Mapping[str, Any],
) -> None:
    """Write the page to `path`, in the folder that holds stems/ and references/; `facts` is shown as given."""
    recipe = recipes[0]
    body = [
        f"<h1>sepkit: {escape(str(facts.get('dataset', '')))}</h1>",
        f'<p class="facts">{" · ".join(f"{escape(k)} {escape(str(v))}" for k, v in facts.items())}</p>',
        f"<h2>{escape(recipe.metrics[0])} by stem</h2>",
        _bars(rows, recipe),
        *(_table(grid) for grid in grids),
        _listening(path.parent, rows, recipe),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sepkit evaluation</title><style>{STYLE}</style></head><body>"
        f"{''.join(body)}<script>{SCRIPT}</script></body></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _bars(rows: Sequence[Score], recipe: Recipe) -> str:
    entries = [entry for entry in entries_of(rows, recipe, recipe.metrics[0]) if entry.scores]
    stems = stem_columns(entries) if entries else []
    series = [
        Series(
            entry.method if entry.mixture == "full" else f"{entry.method} (own mixture)",
            [entry.scores.get(stem) for stem in stems],
            entry.is_reference,
        )
        for entry in entries
    ]
    return f'<div class="scroll">{grouped_bars(stems, series, "dB")}</div>'


def _table(grid: Grid) -> str:
    head = "".join(f'<th scope="col"><button>{escape(column)}</button></th>' for column in grid.columns)
    lines = [
        f"<tr{' class=muted' if muted else ''}>{''.join(_cell(cell) for cell in row)}</tr>"
        for row, muted in zip(grid.rows, grid.muted, strict=True)
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in grid.notes)
    return (
        f'<h2>{escape(grid.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>" + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _cell(cell: Cell) -> str:
    missing = cell.number is None and cell.text in ("–", "?")
    sort = "" if missing else cell.number if cell.number is not None else cell.text
    return f'<td data-sort="{escape(str(sort))}">{escape(cell.text)}</td>'


def _listening(folder: Path, rows: Sequence[Score], recipe: Recipe) -> str:
    """For each track and stem: the truth, then every method's estimate with its score, where the files were kept."""
    sections: list[str] = []
    for track in dict.fromkeys(row.track for row in rows):
        own = [
            row
            for row in rows
            if row.track == track and not row.failed and row.metric == recipe.metrics[0] and row.truth
        ]
        players = [_player(folder, Path("references", file_name(track), "mixture.wav"), "mixture")]
        groups = [f'<div class="players">{players[0]}</div>'] if players[0] else []
        for stem, truth in dict.fromkeys((row.stem, row.truth) for row in own):
            found = [_player(folder, Path("references", file_name(track), f"{truth}.wav"), "the true stem")]
            for row in sorted(
                (row for row in own if (row.stem, row.truth) == (stem, truth)), key=lambda row: -(row.value or -1e9)
            ):
                is_point = row.method in REFERENCE_POINTS
                score = "undefined" if row.value is None else f"{row.value:.2f} dB"
                path = Path("stems", stems_folder(row.method, row.view, is_point), file_name(track), f"{stem}.wav")
                found.append(_player(folder, path, f"{row.method}: {score}"))
            if any(found):
                name = stem if stem == truth else f"{stem} ({truth.replace('+', ', ')})"
                groups.append(f'<h4>{escape(name)}</h4><div class="players">{"".join(found)}</div>')
        if groups:
            first = " open" if not sections else ""
            sections.append(f"<details{first}><summary>{escape(track)}</summary>{''.join(groups)}</details>")
    return f"<h2>Listen</h2>{''.join(sections)}" if sections else ""


def _player(folder: Path, path: Path, caption: str) -> str:
    if not (folder / path).exists():
        return ""
    player = f'<audio controls preload="none" src="{quote(path.as_posix())}"></audio>'
    return f"<figure><figcaption>{escape(caption)}</figcaption>{player}</figure>"
