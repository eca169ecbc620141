"""`sepkit separate`: files and folders in, stems out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..config import validated
from ..errors import OptionError
from . import exit_codes
from .inputs import find_sources
from .method_options import parse_options
from .outputs import DEFAULT_TEMPLATE
from .request import SeparationRequest

DEFAULT_METHOD = "lightsaft"


class Format(StrEnum):
    """Formats of the outputs."""

    wav = "wav"
    flac = "flac"
    mp3 = "mp3"
    opus = "opus"
    ogg = "ogg"


class SampleType(StrEnum):
    """Sample types of lossless outputs."""

    int16 = "16"
    int24 = "24"
    float = "float"


class Engine(StrEnum):
    """Who runs the work."""

    local = "local"
    ray = "ray"


RayAddress = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="For --engine ray: a cluster, auto for a running one; else these cores."),
]


class Consistency(StrEnum):
    """Ways to make the stems sum to the mixture."""

    none = "none"
    uniform = "uniform"
    energy = "energy"
    wiener = "wiener"


def separate(
    inputs: Annotated[list[Path], typer.Argument(metavar="FILES|DIRS...", help="Sound files, and folders of them.")],
    model: Annotated[
        str, typer.Option("-m", "--model", "-n", "--name", help="The method, see sepkit list.")
    ] = DEFAULT_METHOD,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the results go.")] = Path("separated"),
    two_stems: Annotated[
        str | None, typer.Option(metavar="STEM", help="STEM, and the rest as accompaniment or no_STEM.")
    ] = None,
    stems: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Only these stems.")] = None,
    residual: Annotated[bool, typer.Option("--residual", help="Also what the stems leave of the mixture.")] = False,
    uncertainty: Annotated[
        int | None, typer.Option(metavar="N", help="Average N draws of a random method; also write their spread.")
    ] = None,
    format: Annotated[Format | None, typer.Option(help="Format of the outputs; wav by default.")] = None,
    mp3: Annotated[bool, typer.Option("--mp3", help="The same as --format mp3.")] = False,
    flac: Annotated[bool, typer.Option("--flac", help="The same as --format flac.")] = False,
    bits: Annotated[SampleType | None, typer.Option(help="Sample type; float for wav, 24 for flac by default.")] = None,
    int24: Annotated[bool, typer.Option("--int24", help="The same as --bits 24.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="The same as --bits float.")] = False,
    filename: Annotated[
        str, typer.Option(metavar="TEMPLATE", help="Names below the output folder; {folder} tells folders apart.")
    ] = DEFAULT_TEMPLATE,
    quality: Annotated[
        str, typer.Option(help="fast, balanced, best, steps, or a budget a track: 30s, 2min.")
    ] = "balanced",
    consistency: Annotated[Consistency, typer.Option(help="Make the stems sum to the mixture.")] = Consistency.none,
    seed: Annotated[int, typer.Option(help="For random methods: the same seed, the same stems.")] = 0,
    segment: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Window length; less needs less memory.")
    ] = None,
    overlap: Annotated[float | None, typer.Option(metavar="0..1", help="Overlap of windows as a fraction.")] = None,
    device: Annotated[str, typer.Option("-d", "--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    batch: Annotated[int | None, typer.Option(metavar="WINDOWS", help="Windows at once.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="DIR|hf://OWNER/NAME", help="Weights instead of the shipped ones.")
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Random weights, for tests.")] = False,
    option: Annotated[
        list[str] | None, typer.Option("-O", "--option", metavar="KEY=VALUE", help="An option of the method.")
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Refuse weights whose licence does not allow commercial use.")
    ] = False,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Search folders of folders.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave finished files as they are.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Files at once, each in its own process; 1 by default.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="ray: on all cores or machines; a rerun skips what is done.")
    ] = Engine.local,
    ray_address: RayAddress = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Let a sepkit serve do the work: http://host:7860.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per file on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only results and errors.")] = False,
) -> None:
    """Separate sound files into stems; goes on past a bad file, lists it at the end and exits with 1."""
    request = validated(
        SeparationRequest,
        {
            "model": model,
            "checkpoint": checkpoint,
            "untrained": untrained,
            "device": device,
            "precision": precision,
            "batch_windows": batch,
            "segment_seconds": segment,
            "overlap": overlap,
            "options": parse_options(option or []),
            "stems": _names(stems),
            "two_stems": two_stems,
            "residual": residual,
            "uncertainty": uncertainty,
            "quality": quality,
            "consistency": consistency.value,
            "seed": seed,
            "format": _one_of("format", format and format.value, {"mp3": mp3, "flac": flac}) or "wav",
            "bits": _bits(_one_of("bits", bits and bits.value, {"24": int24, "float": float32})),
            "overwrite": overwrite,
            "skip_existing": skip_existing,
            "commercial": commercial,
        },
        "sepkit separate",
    ).checked()
    from .batch import Batch  # not at the top: `sepkit list` needs none of it

    check_engine(engine, ray_address, server, [*inputs, out])
    search, shown = find_sources, {"json": json, "quiet": quiet}
    whole = Batch(request, out, filename, jobs=jobs or 1, **shown)
    if server is not None:
        from .remote import RemoteBatch

        whole = RemoteBatch(request, out, filename, jobs=jobs or 1, server=server, **shown)
    if engine is Engine.ray:
        from ..many_machines.batch import RayBatch
        from ..many_machines.sources import find_sources_anywhere as search

        whole = RayBatch(request, out, filename, address=ray_address, workers=jobs, **shown)
    if not whole.run(search(inputs, recursive=recursive, out=out)):
        raise typer.Exit(exit_codes.FAILED)


def check_engine(engine: Engine, ray_address: str | None, server: str | None, paths: Sequence[Path]) -> None:
    """Raise OptionError for what goes with Ray alone, or not with it."""
    if engine is Engine.ray:
        if server is not None:
            raise OptionError("--engine ray and --server exclude each other: keep one.")
        return
    if ray_address is not None:
        raise OptionError(f"--ray-address {ray_address} goes with --engine ray alone.")
    for path in paths:
        if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()) and not path.exists():
            raise OptionError(f"{path} is an address of a store: these go with --engine ray alone.")


def _names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """`--stems vocals,drums --stems bass` as one tuple; None when nothing was given."""
    names = tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())
    if given and not names:
        raise OptionError("--stems names no stem; write for example --stems vocals,drums.")
    return names or None


def _one_of(what: str, chosen: str | None, flags: dict[str, bool]) -> str | None:
    """The one value that an option and its short flags agree on."""
    values = {value for value in (chosen, *(name for name, given in flags.items() if given)) if value is not None}
    if len(values) > 1:
        raise OptionError(f"The {what} is given as {' and as '.join(sorted(values))}; keep one.")
    return values.pop() if values else None


def _bits(text: str | None) -> int | str | None:
    return int(text) if text in ("16", "24") else text
