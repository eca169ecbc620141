"""A sound file separated into sound files, in memory that does not grow with its length, all of them or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from einops import rearrange

from .audio import Stems
from .errors import AudioError, OptionError, OutputExistsError, UnknownNameError, nearest
from .formats import Bits, check_writable, format_of
from .inputs import check_stems
from .partial_files import partial_path, refuse_existing
from .quality import Budget, parse_quality
from .readers import Reader
from .separator import Consistency, Progress, Quality, Separator
from .soundfiles import open_reader, open_writer
from .uncertainty import save_uncertainty, separate_samples
from .writers import Writer

RESIDUAL = "residual"


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file: where its outputs lie, how many samples were clipped, and how they were made."""

    source: Path
    paths: dict[str, Path]
    clipped_samples: dict[str, int]
    provenance: dict[str, Any]
    sample_rate: int  # Hz
    channels: int
    length_samples: int


def complement_name(stem: str) -> str:
    """What everything but one stem is called: `accompaniment` for vocals, else `no_<stem>`."""
    return "accompaniment" if stem == "vocals" else f"no_{stem}"


def separate_file(
    separator: Separator,
    source: str | Path,
    outputs: Mapping[str, str | Path],
    *,
    two_stems: str | None = None,
    bits: Bits | None = None,
    overwrite: bool = False,
    quality: Quality = "balanced",
    seed: int = 0,
    consistency: Consistency = "none",
    progress: Progress | None = None,
    provenance_path: str | Path | None = None,
    uncertainty_path: str | Path | None = None,
    samples: int | None = None,
) -> FileResult:
    """Separate `source` into the files of `outputs` (stem name -> path, whose suffix is the format) block by block.

    Beside stems, `outputs` may name `residual`: what the named stems leave of the mixture. With `two_stems` a stem's
    name it holds that stem, its complement (`complement_name`: the mixture minus the stem) or both. What a format
    can't hold, names that are taken, unknown stems and options are raised before separating; on any error or
    interruption no file appears. `provenance_path` adds the provenance as JSON. A separator that cannot stream is
    called once with the whole file, and so is one whose `uncertainty_path` asks for the mean and the spread of
    `samples` draws (`uncertainty.separate_samples`).
    """
    paths = {name: Path(path) for name, path in outputs.items()}
    stems, rest_name = _asked(separator, paths, two_stems)
    everything = [*paths.values(), *(Path(path) for path in (provenance_path, uncertainty_path) if path is not None)]
    _check_paths(everything, Path(source), overwrite)
    with open_reader(source) as reader, ExitStack() as stack:
        length_samples = reader.length_samples
        for path in paths.values():
            check_writable(format_of(path).name, reader.sample_rate, reader.channels, length_samples, bits)
        if length_samples is None and isinstance(parse_quality(quality), Budget):
            length_samples = sum(len(block) for block in reader.blocks())  # a budget needs it, and reading is cheap
        options: dict[str, Any] = {
            "stems": stems,
            "seed": seed,
            "quality": quality,
            "consistency": consistency,
            "progress": progress,
        }
        pieces = (
            _pieces(separator, reader, length_samples, options)
            if uncertainty_path is None
            else [separate_samples(separator, reader.path, samples=samples, **options)]
        )
        partial = stack.enter_context(committed_together(everything, overwrite))
        writers = {
            name: open_writer(partial[path], reader.sample_rate, reader.channels, bits=bits)
            for name, path in paths.items()
        }
        last = _write(pieces, writers, rest_name)
        provenance = dict(last.provenance)
        clipped = {name: writer.clipped_samples for name, writer in writers.items()}
        written = next(iter(writers.values())).length_samples
        provenance["source"] = Path(source).name
        provenance["files"] = {
            name: {"file": path.name, "clipped_samples": clipped[name]} for name, path in paths.items()
        }
        if provenance_path is not None:
            text = json.dumps(provenance, indent=2, ensure_ascii=False) + "\n"
            partial[Path(provenance_path)].write_text(text, encoding="utf-8")
        if uncertainty_path is not None:
            save_uncertainty(last.uncertainty, partial[Path(uncertainty_path)])
    return FileResult(Path(source), paths, clipped, provenance, reader.sample_rate, reader.channels, written)


def _asked(separator: Separator, paths: Mapping[str, Path], two_stems: str | None) -> tuple[tuple[str, ...], str]:
    """The stems to ask the separator for, and the output name of what they leave."""
    if not paths:
        raise OptionError("No outputs were named. Give at least one: {stem: path}.")
    known = separator.info.stems
    if two_stems is None:
        stems = tuple(name for name in paths if name != RESIDUAL)
        if not stems:
            raise OptionError("Only the residual was named. Name at least one stem whose residual it is.")
        return check_stems(stems, known, separator.info.name), RESIDUAL
    complement = complement_name(two_stems)
    stems = check_stems(two_stems, known, separator.info.name)
    for name in paths:
        if name not in (two_stems, complement):
            names = nearest(name, (*stems, complement))
            raise UnknownNameError(f"With two_stems={two_stems!r} no output is called {name!r}: {names}")
    return stems, complement


def _check_paths(paths: list[Path], source: Path, overwrite: bool) -> None:
    for path in paths:
        if paths.count(path) > 1:
            raise OptionError(f"{path} was given for more than one output. Give each its own name.")
        if path.resolve() == source.resolve():
            raise OutputExistsError(f"{path} is the file that is being separated. Choose another output name.")
        refuse_existing(path, overwrite)


def _pieces(
    separator: Separator, reader: Reader, length_samples: int | None, options: dict[str, Any]
) -> Iterable[Stems]:
    stream = getattr(separator, "separate_stream", None)
    if stream is None:
        return (separator.separate(path, **options) for path in (reader.path,))
    blocks = (rearrange(block, "t c -> c t") for block in reader.blocks())
    return cast(Iterable[Stems], stream(blocks, reader.sample_rate, reader.channels, length_samples, **options))


def _write(pieces: Iterable[Stems], writers: Mapping[str, Writer], rest_name: str) -> Stems:
    """Write every stretch to every file; returns the last, whose provenance is the complete one."""
    last: Stems | None = None
    with ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        for piece in pieces:
            for name, writer in writers.items():
                audio = piece.residual if name == rest_name else piece[name]
                assert audio is not None
                writer.write(rearrange(audio.samples, "c t -> t c").numpy())
            last = piece
    assert last is not None
    return last


@contextmanager
def committed_together(paths: list[Path], overwrite: bool) -> Iterator[dict[Path, Path]]:
    """A hidden name for each path; all get their final names once everything is written, or none does.

    Each writer completes its own file before, so what can still fail here is only the renaming. Folders that were made
    for what then failed are removed if nothing else has come into them.
    """
    partial: dict[Path, Path] = {}
    made: list[Path] = []  # the deepest of a path first
    try:
        for path in paths:
            made += [folder for folder in path.parents if not folder.exists()]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AudioError(f"The folder of {path} cannot be made ({error.strerror}). Choose another.") from error
            partial[path] = partial_path(path)
        yield partial
        for path in paths:
            refuse_existing(path, overwrite)
        for path in paths:
            os.replace(partial[path], path)
    except BaseException:
        for hidden in partial.values():
            hidden.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()
        raise
