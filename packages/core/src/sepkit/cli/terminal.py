"""What the commands print: results to stdout, everything about the run to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape


def debugging() -> bool:
    """Whether the user asked for tracebacks, by SEPKIT_DEBUG=1."""
    return os.environ.get("SEPKIT_DEBUG", "") not in ("", "0")


def stdout() -> Console:
    """A console on today's stdout, made anew because tests and notebooks replace the stream."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 240)  # a pipe has no width to fit


def stderr() -> Console:
    """A console on today's stderr."""
    return Console(stderr=True, highlight=False)


def print_error(message: str) -> None:
    """Print one readable line on stderr, never wrapped, so that it can be searched for."""
    stderr().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def print_note(message: str) -> None:
    """Print one line about the run on stderr."""
    stderr().print(escape(message), soft_wrap=True, style="dim")


def print_json(value: Any) -> None:
    """Print one value as one line of JSON on stdout, at once."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def show_warning(message: Any, *place: Any, **more: Any) -> None:
    """A warning as one line on stderr, without the place in the code that it came from; fits `warnings.showwarning`."""
    stderr().print(f"[yellow]warning:[/] {escape(str(message))}", soft_wrap=True)
