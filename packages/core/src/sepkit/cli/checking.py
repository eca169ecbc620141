"""`sepkit check`: the conformance kit on any installed method."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from ..registry import get_separator
from . import exit_codes
from .method_options import parse_options
from .terminal import print_json, stdout


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An installed method, see sepkit list.")],
    checkpoint: Annotated[
        str | None, typer.Option(metavar="DIR|hf://OWNER/NAME", help="Weights instead of the shipped ones.")
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Random weights: checks the code alone.")] = False,
    device: Annotated[str, typer.Option("-d", "--device", help="auto, cpu, cuda, cuda:1, mps.")] = "cpu",
    option: Annotated[
        list[str] | None, typer.Option("-O", "--option", metavar="KEY=VALUE", help="An option of the method.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per case.")] = False,
) -> None:
    """Run the conformance kit on a method; exits with 1 when a case fails."""
    options = {"checkpoint": checkpoint, "untrained": untrained, "device": device, **parse_options(option or [])}
    # Built once here, so that a method that cannot even be built is one error and not a failure of every case.
    close = getattr(get_separator(name, **options), "close", None)
    if close is not None:
        close()
    from ..testing.conformance import CaseResult, run_conformance

    def show(result: CaseResult) -> None:
        if json:
            print_json({"method": name, **asdict(result)})
            return
        mark = (
            "[bold red]FAILED[/]"
            if not result.passed
            else "[green]passed[/]"
            if result.applicable
            else "[dim]--    [/]"
        )
        reason = f": {result.reason}" if result.reason else ""
        stdout().print(f"{mark}  {escape(f'{result.case}{reason}')}", soft_wrap=True)

    results = run_conformance(name, on_result=show, **options)
    failed = sum(not result.passed for result in results)
    if not json:
        print(f"{name}: {len(results) - failed} of {len(results)} cases passed.")
    if failed or not results:
        raise typer.Exit(exit_codes.FAILED)
