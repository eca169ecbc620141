"""`sepkit list`: every installed method, without importing any."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..registry import SeparatorSummary, list_separators
from .terminal import print_json, stdout


def list_methods(
    json: Annotated[bool, typer.Option("--json", help="One JSON line per method.")] = False,
) -> None:
    """List the installed separation methods."""
    summaries = list_separators()
    if json:
        for summary in summaries:
            print_json(summary.model_dump(mode="json"))
        return
    if not summaries:
        print("No separation method is installed: pip install sepkit-lightsaft")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "stems", "format", "parameters", "licence", "from"):
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    for summary in summaries:
        table.add_row(*map(escape, _cells(summary)))
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


def format_name(sample_rate: int | None, channels: int | None) -> str:
    """An audio format in words: `44.1 kHz stereo`."""
    if sample_rate is None or channels is None:
        return "?"
    return f"{sample_rate / 1000:g} kHz {({1: 'mono', 2: 'stereo'}).get(channels, f'{channels} channels')}"
