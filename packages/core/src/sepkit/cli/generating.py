"""`sepkit generate` and `sepkit arrange`: music that was never recorded, alone or beside stems that were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from .method_options import parse_options
from .terminal import print_note

if TYPE_CHECKING:
    from ..audio import Stems
    from ..generator import Generator

DEFAULT_METHOD = "msdm_projected"
MIXTURE = "mixture"

Name = Annotated[str, typer.Argument(metavar="NAME", help="A method that can generate, see sepkit list.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="The folder for the stems, their sum and a page to hear them.")]
Seed = Annotated[int, typer.Option(help="The same seed, the same music.")]
QualityOption = Annotated[str, typer.Option(help="fast, balanced, best, or a number of steps.")]
Format = Annotated[str, typer.Option(help="wav, flac, mp3, opus or ogg.")]
Page = Annotated[bool, typer.Option(help="Write index.html: spectrograms and players.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Device = Annotated[str, typer.Option("-d", "--device", help="auto, cpu, cuda, cuda:1, mps.")]
Checkpoint = Annotated[
    str | None, typer.Option(metavar="DIR|hf://OWNER/NAME", help="Weights instead of the shipped ones.")
]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights, for tests.")]
Option = Annotated[
    list[str] | None, typer.Option("-O", "--option", metavar="KEY=VALUE", help="An option of the method.")
]


def generate(
    name: Name = DEFAULT_METHOD,
    seconds: Annotated[float, typer.Option(help="How long the music is to be.")] = 12.0,
    seed: Seed = 0,
    out: Out = Path("generated"),
    quality: QualityOption = "balanced",
    format: Format = "wav",
    page: Page = True,
    overwrite: Overwrite = False,
    device: Device = "auto",
    checkpoint: Checkpoint = None,
    untrained: Untrained = False,
    option: Option = None,
) -> None:
    """Make all stems of a piece of music out of nothing."""
    generator = _generator(name, device, checkpoint, untrained, option)
    progress = _progress()
    stems = generator.generate(seconds, seed=seed, quality=_quality(quality), progress=progress)
    _keep(stems, out, format, page=page, overwrite=overwrite)


def arrange(
    name: Name = DEFAULT_METHOD,
    given: Annotated[
        list[str] | None, typer.Option("-g", "--given", metavar="STEM=FILE", help="A stem that is there; repeatable.")
    ] = None,
    generate: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="The stems to make; all that are not given by default.")
    ] = None,
    seed: Seed = 0,
    out: Out = Path("arranged"),
    quality: QualityOption = "balanced",
    format: Format = "wav",
    page: Page = True,
    overwrite: Overwrite = False,
    device: Device = "auto",
    checkpoint: Checkpoint = None,
    untrained: Untrained = False,
    option: Option = None,
) -> None:
    """Make stems that go with the given ones, which come back as they are."""
    files = _given(given or [])
    generator = _generator(name, device, checkpoint, untrained, option)
    wanted = [stem.strip() for text in generate or [] for stem in text.split(",") if stem.strip()] or None
    stems = generator.arrange(files, wanted, seed=seed, quality=_quality(quality), progress=_progress())
    _keep(stems, out, format, page=page, overwrite=overwrite)


def _generator(
    name: str, device: str, checkpoint: str | None, untrained: bool, option: Sequence[str] | None
) -> Generator:
    from ..generator import get_generator

    options = parse_options(option or [])
    return get_generator(name, checkpoint=checkpoint, untrained=untrained, device=device, **options)


def _quality(text: str) -> str | int:
    from ..quality import Budget, parse_quality

    quality = parse_quality(text)
    if isinstance(quality, Budget):
        raise OptionError(f"--quality {text!r}: a budget is for separating; take fast, balanced, best or steps.")
    return quality


def _given(texts: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in texts:
        stem, equals, path = text.partition("=")
        if not equals or not stem.strip() or not path:
            raise OptionError(f"--given {text!r} is not STEM=FILE; write for example --given drums=drums.wav.")
        if stem.strip() in files:
            raise OptionError(f"--given {stem.strip()} is there twice; keep one.")
        files[stem.strip()] = Path(path)
    if not files:
        raise OptionError("No stem was given: write for example --given drums=drums.wav, or use sepkit generate.")
    return files


def _progress() -> Callable[[float, float], None]:
    reported = -1

    def report(done: float, whole: float) -> None:
        nonlocal reported
        tenth = int(10 * done / whole) if whole > 0 else 10
        if tenth > reported:
            reported = tenth
            print_note(f"{done:.1f} of {whole:.1f} s")

    return report


def _keep(stems: Stems, out: Path, format: str, *, page: bool, overwrite: bool) -> None:
    """Write stems, their sum, the record, and the page."""
    from ..audio import Stems as StemsOf
    from ..generator import mixed

    written: dict[str, Any] = {**stems, MIXTURE: mixed(stems)}
    paths = StemsOf(written, provenance=stems.provenance).save(out, format, overwrite=overwrite)
    shown = ", ".join(path.name for path in paths.values())
    if page:
        from ..evaluation.report import PageOptions, write_report

        found = write_report([out], out / "index.html", PageOptions(audio="flac"))
        shown += f", {found.path.name}"
    print(f"{out}: {shown}")
