"""`sepkit list`: every installed method, without importing any."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..licences import allows_commercial, terms
from ..registry import SeparatorSummary, list_separators
from .terminal import print_json, print_note, stdout


def list_methods(
    licence: Annotated[
        bool, typer.Option("--license", "--licence", help="Show whether the weights may be used commercially.")
    ] = False,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only methods whose weights' licence allows commercial use.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per method.")] = False,
) -> None:
    """List the installed separation methods."""
    summaries = list_separators()
    if commercial:
        summaries = _commercial(summaries)
    if json:
        for summary in summaries:
            print_json({**summary.model_dump(mode="json"), "commercial": allows_commercial(summary.licence)})
        return
    if not summaries and not commercial:
        print("No separation method is installed: pip install sepkit-lightsaft")
        return
    table = Table(box=None, pad_edge=False)
    for column in (
        "name",
        "stems",
        "format",
        "parameters",
        "licence",
        "from",
        *(("commercial use",) if licence else ()),
    ):
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    for summary in summaries:
        use = (commercial_use(summary),) if licence else ()
        table.add_row(*map(escape, (*_cells(summary), *use)))
    stdout().print(table)
    for summary in summaries:
        if summary.error is not None:
            stdout().print(f"[red]{escape(summary.name)} is broken:[/] {escape(summary.error)}", soft_wrap=True)


def _cells(summary: SeparatorSummary) -> tuple[str, ...]:
    if summary.error is not None:
        stems = "broken, see below"
    elif summary.stems is None:
        stems = "? (ships no checkpoint)"
    else:
        stems = ", ".join(summary.stems) + ("" if summary.trained else " (untrained)")
    return (
        summary.name,
        stems,
        format_name(summary.sample_rate, summary.channels),
        "?" if summary.parameters is None else f"{summary.parameters:,}",
        summary.licence or "?",
        f"{summary.distribution} {summary.version}".strip(),
    )


def commercial_use(summary: SeparatorSummary) -> str:
    """Whether a method's weights may be used commercially, in a word or two."""
    if summary.licence is None:
        return "no: licence unknown"
    if allows_commercial(summary.licence):
        return "yes"
    return "no" if terms(summary.licence) is not None else "no: no licence that sepkit knows"


def _commercial(summaries: list[SeparatorSummary]) -> list[SeparatorSummary]:
    allowed = [summary for summary in summaries if allows_commercial(summary.licence)]
    left_out = [f"{one.name} ({one.licence or 'licence unknown'})" for one in summaries if one not in allowed]
    if left_out:
        print_note(f"Left out, because commercial use is not known to be allowed: {', '.join(left_out)}.")
    return allowed


def format_name(sample_rate: int | None, channels: int | None) -> str:
    """An audio format in words: `44.1 kHz stereo`."""
    if sample_rate is None or channels is None:
        return "?"
    return f"{sample_rate / 1000:g} kHz {({1: 'mono', 2: 'stereo'}).get(channels, f'{channels} channels')}"
