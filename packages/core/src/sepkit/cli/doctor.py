"""`sepkit doctor`: what is installed and works here, and the reason for whatever does not."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.markup import escape

from ..config import Frozen
from ..errors import SepkitError
from ..formats import FORMATS
from ..registry import GROUP, list_separators, load_build
from . import exit_codes
from .terminal import print_json, stdout

PACKAGES = (
    "sepkit",
    "torch",
    "numpy",
    "scipy",
    "einops",
    "norbert",
    "pydantic",
    "safetensors",
    "soundfile",
    "soxr",
    "typer",
    "rich",
)
EXTRAS = {
    "eval": ("museval", "matplotlib", "pandas", "librosa", "yaml"),
    "train": ("accelerate", "tensorboard"),
    "render": ("mido", "pyworld"),
    "av": ("av",),
    "data": ("av", "yaml"),
    "codecs": ("encodec",),
    "hub": ("huggingface_hub",),
    "web": ("gradio",),
    "ray": ("ray", "fsspec"),
}
"""What each extra brings, by the names that are imported; all extras of pyproject.toml but `all`."""


class Finding(Frozen):
    """One thing that was looked at; `working` None: not here, and not needed."""

    group: str
    name: str
    working: bool | None
    state: str


def examine(
    json: Annotated[bool, typer.Option("--json", help="One JSON line per finding.")] = False,
) -> None:
    """Report versions, devices, codecs and plugins, each with its state; exits with 1 when one is broken."""
    group = None
    broken = 0
    for finding in _findings():
        broken += finding.working is False
        if json:
            print_json(finding.model_dump())
            continue
        if finding.group != group:
            group = finding.group
            stdout().print(f"[bold]{group}[/]")
        mark = {True: "[green]ok[/]  ", False: "[bold red]BAD[/] ", None: "[dim]--[/]  "}[finding.working]
        stdout().print(f"  {mark}{escape(finding.name):<16} {escape(finding.state)}", soft_wrap=True)
    if broken:
        raise typer.Exit(exit_codes.FAILED)


def _findings() -> Iterable[Finding]:
    yield Finding(group="system", name="python", working=True, state=f"{platform.python_version()} at {sys.executable}")
    yield Finding(group="system", name="platform", working=True, state=f"{platform.platform()}, {os.cpu_count()} CPUs")
    yield from map(_package, PACKAGES)
    yield from map(_extra, EXTRAS)
    yield from _devices()
    yield from map(_codec, FORMATS)
    yield from _plugins()


def _package(name: str) -> Finding:
    try:
        importlib.import_module(name)
        return Finding(group="packages", name=name, working=True, state=version(name))
    except PackageNotFoundError:
        return Finding(group="packages", name=name, working=True, state="imports, version unknown")
    except Exception as error:  # a broken binary raises OSError, a missing one ImportError, a bad one anything
        return Finding(group="packages", name=name, working=False, state=f"{type(error).__name__}: {error}")


def _extra(name: str) -> Finding:
    """Only whether it is there: some of these refuse to import for reasons of their own, and take seconds."""
    missing = [package for package in EXTRAS[name] if importlib.util.find_spec(package) is None]
    state = f"without {', '.join(missing)}: pip install 'sepkit[{name}]'" if missing else ", ".join(EXTRAS[name])
    return Finding(group="extras", name=name, working=None if missing else True, state=state)


def _devices() -> Iterable[Finding]:
    from ..devices import choose_device

    for name in ("cpu", "cuda", "mps"):
        try:
            state, working = choose_device(name).reason, True
        except SepkitError as error:
            state, working = str(error), None
        yield Finding(group="devices", name=name, working=working, state=_threads() if name == "cpu" else state)
    chosen = choose_device("auto")
    yield Finding(group="devices", name="auto", working=True, state=f"{chosen.device} ({chosen.reason})")


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} threads"


def _codec(name: str) -> Finding:
    """Write a tenth of a second of sound and read it back."""
    import numpy as np
    import soundfile

    kind = FORMATS[name]
    sample_rate = kind.rates[-1] if kind.rates else 44_100
    tone = 0.5 * np.sin(np.arange(sample_rate // 10) * 0.05)[:, None].repeat(2, axis=1)
    try:
        file = io.BytesIO()
        soundfile.write(file, tone, sample_rate, format=kind.container, subtype=kind.codec)
        file.seek(0)
        read, rate = soundfile.read(file)
        working = rate == sample_rate and len(read) > 0 and float(np.abs(read).max()) > 0.25
        state = f"writes and reads back with libsndfile {soundfile.__libsndfile_version__}"
    except Exception as error:  # libsndfile without that encoder
        working, state = False, f"{type(error).__name__}: {error}"
    return Finding(group="codecs", name=name, working=working, state=state if working else f"does not work: {state}")


def _plugins() -> Iterable[Finding]:
    for summary in list_separators():
        state = _attempt(lambda name=summary.name: load_build(name), summary.error)  # type: ignore[misc]
        from_ = f"{summary.distribution} {summary.version}".strip()
        weights = "ships no checkpoint" if summary.config_path is None else "checkpoint readable"
        if summary.trained is False:
            weights = "ships untrained weights"
        yield Finding(
            group=f"plugins ({GROUP})",
            name=summary.name,
            working=state is None,
            state=f"{from_}: {weights}" if state is None else f"{from_}: {state}",
        )


def _attempt(action: Callable[[], object], known: str | None) -> str | None:
    """What is wrong: the known reason, else the error of the action; None when it succeeds."""
    if known is not None:
        return known
    try:
        action()
    except SepkitError as error:
        return str(error)
    return None
