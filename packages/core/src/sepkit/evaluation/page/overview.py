"""The first view of the page as static HTML: tables, charts, costs, definitions and the list of tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import quote

import numpy as np

from ..charts import Point, Tracks, box_plot, quality_compute_plot
from ..charts.boxes import DOTS, FEWEST, WIDTH
from ..grid import NOTHING, Cell, Grid, compare_grid, cost_grid, costs_known, has_rivals, score_grid
from ..metric_facts import higher_is_better, unit
from ..recipe import Recipe, split_overlapping
from ..score import Score
from ..summary import entries_of, stem_columns
from .runs import Section

LINKS = 8
NARROW = 360  # pixels, of the charts that phones show
FIRST = ("mean", "rank")  # beside the name, where a narrow screen has them in view


def section_html(
    section: Section, keys: Mapping[str, str], heard: Mapping[str, bool], colours: Mapping[str, str]
) -> str:
    """One dataset's part; `keys` are the tracks' addresses, `heard` says which have players, `colours` are methods'."""
    rows, recipes = section.scores, section.recipes
    pairs = [(recipe, metric) for recipe in recipes for metric in recipe.metrics]
    parts = [f"<h2>{escape(section.title)}</h2>", _facts(section), _listen(keys)]
    if pairs:
        parts += [_chooser(pairs), *(_panel(rows, recipe, metric, colours) for recipe, metric in pairs)]
        budget = next((run.budget_seconds for run in section.runs if run.budget_seconds is not None), None)
        if costs_known(rows):
            parts += ["<h3>What it costs</h3>", grid_html(cost_grid(rows, recipes[0], budget), level=0)]
        parts += [
            "<h3>Tracks</h3>",
            grid_html(_tracks_grid(section, recipes[0]), level=0, links=keys, heard=heard),
            "<h3>Definitions</h3>",
            _definitions(recipes),
        ]
    return f'<section class="dataset">{"".join(parts)}</section>'


def grid_html(
    grid: Grid, *, level: int = 3, links: Mapping[str, str] | None = None, heard: Mapping[str, bool] | None = None
) -> str:
    """A table that the page's script can sort; with `links`, the first cell of a row leads to that track."""
    head = "".join(f'<th scope="col"><button type="button">{escape(column)}</button></th>' for column in grid.columns)
    lines = []
    for row, muted in zip(grid.rows, grid.muted or (False,) * len(grid.rows), strict=True):
        first, *rest = row
        name = escape(first.text).replace("_", "_<wbr>")  # narrow screens break there, not within words
        if links is not None and first.text in links:
            mark = "" if heard is None or heard.get(first.text) else ' <span class="quiet">(no players)</span>'
            name = f'<a href="{_address(links[first.text])}">{name}</a>{mark}'
        start = f'<th scope="row" data-sort="{escape(first.text)}">{name}</th>'
        lines.append(f"<tr{' class=muted' if muted else ''}>{start}{''.join(_cell(cell) for cell in rest)}</tr>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in grid.notes)
    title = f"<h{level}>{escape(grid.title)}</h{level}>" if level else ""
    return (
        f'{title}<div class="scroll" role="region" tabindex="0" aria-label="{escape(grid.title)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def facts_html(facts: Mapping[str, Any]) -> str:
    """What is known of a run, as a line that wraps."""
    return " ".join(f"<span><b>{escape(str(name))}</b> {escape(str(value))}</span>" for name, value in facts.items())


def _facts(section: Section) -> str:
    lines = []
    for run in section.runs:
        name = f"<span><b>run</b> {escape(run.name)}</span> " if len(section.runs) > 1 else ""
        lines.append(f'<p class="facts">{name}{facts_html(run.facts)}</p>')
    notes = "".join(f"<li>{escape(note)}</li>" for note in section.notes)
    return "".join(lines) + (f'<ul class="notes">{notes}</ul>' if notes else "")


def _listen(keys: Mapping[str, str]) -> str:
    """Links to the first tracks, since the list of all stands below the tables."""
    links = [f'<a href="{_address(key)}">{escape(name)}</a>' for name, key in list(keys.items())[:LINKS]]
    more = f" and {len(keys) - LINKS} more below" if len(keys) > LINKS else ""
    return f'<p class="listen">Listen and look: {" ".join(links)}{more}</p>' if links else ""


def _address(key: str) -> str:
    return f"#track/{escape(quote(key, safe=''))}"


def _chooser(pairs: Sequence[tuple[Recipe, str]]) -> str:
    options = "".join(
        f'<option value="{escape(recipe.name)} {escape(metric)}">{escape(_pair_name(recipe, metric))}</option>'
        for recipe, metric in pairs
    )
    return f'<p class="chooser"><label>Metric <select class="metric">{options}</select></label></p>'


def _pair_name(recipe: Recipe, metric: str) -> str:
    return metric if recipe.name == metric else f"{metric} ({recipe.name})"


def _panel(rows: Sequence[Score], recipe: Recipe, metric: str, colours: Mapping[str, str]) -> str:
    charts = "".join(f'<figure class="chart">{chart}</figure>' for chart in _charts(rows, recipe, metric, colours))
    return (
        f'<div class="panel" data-metric="{escape(recipe.name)} {escape(metric)}">'
        f"{grid_html(_mean_first(score_grid(rows, recipe, metric)))}{_differences(rows, recipe, metric)}"
        f'<div class="charts">{charts}</div></div>'
    )


def _mean_first(grid: Grid) -> Grid:
    order = [0, *(grid.columns.index(name) for name in FIRST)]
    order += [index for index in range(len(grid.columns)) if index not in order]
    rows = tuple(tuple(row[index] for index in order) for row in grid.rows)
    return replace(grid, columns=tuple(grid.columns[index] for index in order), rows=rows)


def _differences(rows: Sequence[Score], recipe: Recipe, metric: str) -> str:
    """Folded, since the ranks above say the same in short; nothing where there is only one method."""
    if not has_rivals(rows, recipe, metric):
        return ""
    grid = compare_grid(rows, recipe, metric)
    return f'<details class="differences"><summary>{escape(grid.title)}</summary>{grid_html(grid, level=0)}</details>'


def _charts(rows: Sequence[Score], recipe: Recipe, metric: str, methods: Mapping[str, str]) -> list[str]:
    """The tracks' scores as boxes, and the mean against what it takes to compute; none where there is no score."""
    entries = [entry for entry in entries_of(rows, recipe, metric) if entry.scores]
    if not entries:
        return []
    stems = stem_columns(entries)
    colours = {entry.label: methods[entry.method] for entry in entries if entry.method in methods}
    boxes = [
        Tracks(entry.label, [entry.track_scores.values(stem) for stem in stems], entry.is_reference)
        for entry in entries
    ]
    points = []
    for entry in entries:
        found = entry.mean_interval
        ends = None if found is None or found.low is None or found.high is None else (found.low, found.high)
        points.append(Point(entry.label, entry.seconds_per_second, entry.mean, ends, entry.is_reference))
    pairs = [_drawn(stems, boxes, points, metric, colours, width) for width in (WIDTH, NARROW)]
    titles = (("Scores of the tracks", _box_words(boxes, recipe)), ("Quality against compute", ""))
    return [
        f'<figcaption>{title}</figcaption>{said}<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        for (title, said), wide, narrow in zip(titles, *pairs, strict=True)
        if wide
    ]


def _drawn(
    stems: Sequence[str],
    boxes: Sequence[Tracks],
    points: Sequence[Point],
    metric: str,
    colours: Mapping[str, str],
    width: int,
) -> tuple[str, str]:
    """Both charts as wide as a screen is; style sheets choose between them."""
    up, name = higher_is_better(metric), f"mean {metric}"
    return (
        box_plot(stems, boxes, unit(metric), colours=colours, width=width),
        quality_compute_plot(points, name, unit(metric), higher_is_better=up, colours=colours, width=width),
    )


def _box_words(boxes: Sequence[Tracks], recipe: Recipe) -> str:
    """What the marks of the box plot stand for, those that it has."""
    counts = [len(scores) for one in boxes for scores in one.scores]
    parts = ["dot: a track" if max(counts, default=0) <= DOTS else "dots: tracks beyond the whiskers"]
    if max(counts, default=0) >= FEWEST:
        parts.append("box: the middle half of them")
        parts.append("whiskers: the last track within 1.5 times the box")
    table = {"mean": ", where the table has the mean", "window_mean": ", where the table has the mean over windows"}
    parts.append(f"thick line: the median{table.get(recipe.over_tracks, ', as in the table')}")
    return f'<p class="quiet">{"; ".join(parts)}</p>'


def _tracks_grid(section: Section, recipe: Recipe) -> Grid:
    """A row for each track, a column for each method: the mean over its stems of the recipe's first metric."""
    metric = recipe.metrics[0]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for one in section.rows:
        row = one.row
        if row.recipe == recipe.name and row.metric == metric and row.value is not None:
            found.setdefault((row.track, row.method), {})[row.stem] = row.value
    methods = list(dict.fromkeys(one.row.method for one in section.rows))
    lines = []
    for track in section.tracks:
        cells = []
        for method in methods:
            scores = found.get((track, method), {})
            parts = split_overlapping(list(scores))[0]
            value = float(np.mean([scores[stem] for stem in parts])) if parts else None
            cells.append(Cell(NOTHING) if value is None else Cell(f"{value:.2f}", value))
        lines.append((Cell(track), *cells))
    return Grid(
        "Tracks",
        ("track", *methods),
        tuple(lines),
        (f"{_pair_name(recipe, metric)}, mean over each method's own stems; a track's name opens its page",),
        (False,) * len(lines),
    )


def _definitions(recipes: Sequence[Recipe]) -> str:
    items = "".join(
        f"<dt>{escape(recipe.name)}: {escape(', '.join(recipe.metrics))}</dt><dd>{escape(recipe.source)}</dd>"
        for recipe in recipes
    )
    return f"<dl>{items}</dl>"


def _cell(cell: Cell) -> str:
    missing = cell.number is None and cell.text in (NOTHING, "?")
    sort = "" if missing else cell.number if cell.number is not None else cell.text
    value, bracket, interval = cell.text.partition(" [") if cell.number is not None else (cell.text, "", "")
    after = f' <span class="interval">[{escape(interval)}</span>' if bracket else ""
    return f'<td data-sort="{escape(str(sort))}">{escape(value)}{after}</td>'
