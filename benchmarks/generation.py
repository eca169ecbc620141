"""Music made by a prior: all stems out of nothing, and every way to make some beside the others, on one page.

`python -m benchmarks.generation --out runs/generation` makes one piece, then takes a song and makes each of the 14
arrangements that leave some of its four stems as they were (`--song` names the dataset, whose first song is taken).
It checks that given stems came back bit for bit, and writes every piece, index.html with spectrograms and players, and
generation.json and .md: how loud and how bright the made stems are beside the song's own. What is there is not made
again. Exits with 1 where a given stem was changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from sepkit.audio import Audio, Stems
from sepkit.data.opening import open_dataset
from sepkit.errors import DatasetError, SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.generator import Generator, get_generator, mixed
from sepkit.partial_files import write_text

from .excerpts import excerpt

TOTAL = "all"
SILENT = 1e-9


def arrangements(stems: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every choice of given stems that leaves something to make: for four stems, 14."""
    for count in range(1, len(stems)):
        yield from combinations(stems, count)


def take_name(given: Sequence[str]) -> str:
    """The folder of an arrangement; of one without given stems, `all`."""
    return "beside_" + "_".join(given) if given else TOTAL


def made(generator: Generator, song: Mapping[str, Audio], given: Sequence[str], arguments: argparse.Namespace) -> Stems:
    """One piece: the given stems of the song, and all others made; none given: as long as the song."""
    options = {"seed": arguments.seed, "quality": arguments.quality}
    if not given:
        return generator.generate(arguments.seconds, **options)
    return generator.arrange({stem: song[stem] for stem in given}, **options)


def facts_of(stems: Stems, song: Mapping[str, Audio], given: Sequence[str]) -> dict[str, Any]:
    """Whether the given stems are those of the song, and level and brightness of all."""
    return {
        "given": list(given),
        "identical": all(torch.equal(stems[stem].samples, song[stem].samples) for stem in given),
        "stems": {stem: sound_of(audio) for stem, audio in stems.items()},
    }


def sound_of(audio: Audio) -> dict[str, float]:
    """RMS in dB of full scale, and the spectral centroid in Hz of what lies below 11 kHz."""
    x = audio.samples.double()
    power = torch.fft.rfft(x).abs().square().sum(0)
    hertz = torch.fft.rfftfreq(x.shape[1], 1 / audio.sample_rate, dtype=torch.float64)
    power = power * (hertz < 11_000)
    return {
        "rms_db": float(10 * torch.log10(x.square().mean() + SILENT)),
        "centroid_hz": float((hertz * power).sum() / (power.sum() + SILENT)),
    }


def song_of(spec: str, stems: Sequence[str], seconds: float) -> dict[str, Audio]:
    """An excerpt of the dataset's first song that has all the stems; DatasetError without one."""
    for track in open_dataset(spec, "test" if spec.startswith("synthetic") else None):
        if set(stems) <= set(track.stems):
            found = excerpt(track, stems, seconds)
            return {stem: Audio(found.load(stem), found.sample_rate) for stem in stems}
    raise DatasetError(f"{spec} has no song with all of {', '.join(stems)}.")


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--method", default="msdm_projected")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--untrained", action="store_true", help="random weights: only to see that it runs")
    parser.add_argument("--song", default="synthetic:band:1", help="dataset spec [synthetic:band:1]")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    arguments = parser.parse_args(None if given is None else list(given))
    if str(arguments.quality).isdigit():
        arguments.quality = int(arguments.quality)
    return arguments


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make and keep every piece, and tell what became of it."""
    generator = get_generator(arguments.method, checkpoint=arguments.checkpoint, untrained=arguments.untrained)
    stems = generator.info.stems
    song = song_of(arguments.song, stems, arguments.seconds)
    takes: dict[str, Any] = {}
    for given in [(), *arrangements(stems)]:
        name = take_name(given)
        known = arguments.out / f"{name}.json"
        if not known.exists():
            began = time.process_time()
            piece = made(generator, song, given, arguments)
            facts = {"cpu_seconds": time.process_time() - began, **facts_of(piece, song, given)}
            written: dict[str, Any] = {**piece, "mixture": mixed(piece)}
            Stems(written, provenance=piece.provenance).save(arguments.out / name, "flac", overwrite=True)
            write_text(known, json.dumps(facts, indent=2) + "\n")
            print(f"{name}: {facts['cpu_seconds']:.0f} s", flush=True)
        takes[name] = json.loads(known.read_text(encoding="utf-8"))
    return {
        "settings": {n: getattr(arguments, n) for n in ("method", "song", "seconds", "quality", "seed", "untrained")},
        "song": {stem: sound_of(audio) for stem, audio in song.items()},
        "takes": takes,
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-msdm-posterior",)),
    }


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: what was given, what was made, and how it sounds by two numbers."""
    settings, stems = report["settings"], list(report["song"])
    lines = ["# Generation", ""]
    if settings["untrained"]:
        lines += ["Made with --untrained: random weights. These numbers mean nothing.", ""]
    lines += [
        f"`{settings['method']}`, {settings['seconds']:g} s, quality {settings['quality']}, seed {settings['seed']}; "
        f"given stems are those of a song of `{settings['song']}`. Each cell is the level in dB of full scale and the "
        "spectral centroid in Hz; what was given stands in brackets.",
        "",
        f"| given | {' | '.join(stems)} | given stems bit-identical | CPU s |",
        "|---|" + "---:|" * len(stems) + "---|---:|",
        f"| the song itself | {' | '.join(_cell(report['song'][stem], known=True) for stem in stems)} | – | – |",
    ]
    for take in report["takes"].values():
        cells = [_cell(take["stems"][stem], known=stem in take["given"]) for stem in stems]
        identical = "–" if not take["given"] else "yes" if take["identical"] else "NO"
        given = ", ".join(take["given"]) or "nothing"
        lines.append(f"| {given} | {' | '.join(cells)} | {identical} | {take['cpu_seconds']:.0f} |")
    lines += ["", f"{report['machine']['processor']}, {report['machine']['cores']} cores. "
              "Made by `python -m benchmarks.generation`.", ""]  # fmt: skip
    return "\n".join(lines)


def _cell(sound: Mapping[str, float], *, known: bool) -> str:
    text = f"{sound['rms_db']:.0f} dB, {sound['centroid_hz']:.0f} Hz"
    return f"({text})" if known else text


def main(given: Sequence[str] | None = None) -> int:
    """Make, check, print and write."""
    arguments = parsed(given)
    try:
        report = report_of(arguments)
        options = PageOptions(title="Generation", excerpt_seconds=arguments.seconds)
        page = write_report([arguments.out / name for name in report["takes"]], arguments.out / "index.html", options)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_text(arguments.out / "generation.json", json.dumps(report, indent=2) + "\n")
    write_text(arguments.out / "generation.md", markdown(report))
    print(markdown(report))
    print(page.path)
    return 0 if all(take["identical"] for take in report["takes"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
