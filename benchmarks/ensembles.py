"""What combining methods gives: each alone, their average, fitted weights and a cascade, on made songs.

    python -m benchmarks.ensembles --fit 4 --test 2 --seconds 12

Weights are fitted on songs of the split `valid` and everything is scored on songs of the split `test`. The score is
`sdr_mdx` of the whole song (dB, mean over songs), computed from inner products of the members' estimates, so that
every row comes out of one pass through the members.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sepkit import get_separator
from sepkit.data.synthetic import synthetic_set
from sepkit.data.track import Dataset
from sepkit.ensemble import EnsembleSeparator
from sepkit.ensemble_fitting import Products, least_squares, products_of
from sepkit.partial_files import write_text

METHODS = ("lightsaft", "cold_diffusion")
STEMS = ("vocals", "accompaniment")
STRENGTHS = (0.25, 0.5)  # of the cascade


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensembles", description=__doc__.split("\n")[0])
    parser.add_argument("--fit", type=int, default=4, help="made songs to fit weights on")
    parser.add_argument("--test", type=int, default=2, help="made songs to score")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each song")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--out", type=Path, help="file for the table, beside printing it")
    arguments = parser.parse_args(given)
    parts = [*METHODS, *({"first": METHODS[0], "then": METHODS[1], "strength": strength} for strength in STRENGTHS)]
    members = dict.fromkeys(STEMS, parts)
    separator = get_separator("ensemble", members=members)
    assert isinstance(separator, EnsembleSeparator)
    with separator:
        found = {
            split: _products(separator, synthetic_set(count, seconds=arguments.seconds, split=split), arguments.quality)
            for split, count in (("valid", arguments.fit), ("test", arguments.test))
        }
    table = _table(found["valid"], found["test"])
    print(table)
    if arguments.out is not None:
        write_text(arguments.out, table + "\n")
    return 0


def _products(separator: EnsembleSeparator, songs: Dataset, quality: str) -> dict[str, list[Products]]:
    found: dict[str, list[Products]] = {stem: [] for stem in STEMS}
    for song in songs:
        print(f"separating {song.name}", file=sys.stderr, flush=True)
        for stem, products in products_of(separator, song, STEMS, quality=quality).items():
            found[stem].append(products)
    return found


def _table(known: dict[str, list[Products]], tested: dict[str, list[Products]]) -> str:
    """A Markdown table of all combinations, by stem."""
    lines = [f"| | {' | '.join(STEMS)} | weights for vocals |", "|---|---:|---:|---|"]
    for label, weights in _combinations(known).items():
        scores = [np.mean([one.sdr(weights[stem]) for one in tested[stem]]) for stem in STEMS]
        shown = " + ".join(
            f"{weight:.2f} {name}" for weight, name in zip(weights["vocals"], _names(), strict=True) if weight
        )
        lines.append(f"| {label} | {' | '.join(f'{score:.2f}' for score in scores)} | {shown} |")
    return "\n".join(lines)


def _names() -> list[str]:
    return [*METHODS, *(f"{METHODS[0]}>{METHODS[1]} ({strength})" for strength in STRENGTHS)]


def _combinations(known: dict[str, list[Products]]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Rows of the table: label -> stem -> weights."""
    count = len(_names())
    rows = {
        name: dict.fromkeys(STEMS, tuple(float(i == number) for i in range(count)))
        for number, name in enumerate(_names())
    }
    rows["average of the two"] = dict.fromkeys(STEMS, (0.5, 0.5, 0.0, 0.0))
    for label, used in (("the two, fitted", 2), ("all, fitted", count)):
        rows[label] = {stem: (*least_squares(known[stem], used), *(0.0,) * (count - used)) for stem in STEMS}
    return rows


if __name__ == "__main__":
    sys.exit(main())
