"""What a report page takes: bytes, seconds of excerpt, CPU time, memory, and what keeping equal files once saves.

`python -m benchmarks.report_size` makes a run of three invented songs of 30 s with six methods, writes its page with
several sizes allowed, and prints a table; some two minutes of CPU time. `--run RUN` takes a run that is there.
Estimates are the true stems with some of the mixture in them; one of the six returns the mixture for every stem.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sepkit.audio import Audio
from sepkit.data.synthetic import synthetic_set
from sepkit.evaluation.out_folder import stems_folder
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.evaluation.score import Score, ScoreLog
from sepkit.evaluation.worker import peak_memory_megabytes

LEAKS = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)  # of the mixture in each method's estimates; the first is the mixture itself
BUDGETS_MEGABYTES = (60.0, 120.0, 400.0)


class Page(NamedTuple):
    """One page as it came out: memory is what writing took above what the process held before."""

    allowed_megabytes: float
    megabytes: float
    seconds: tuple[float, ...]  # of each track's excerpt; 0 without players
    files: int
    stored: int
    cpu_seconds: float
    memory_megabytes: float


def made_run(folder: Path, songs: int, seconds: float) -> Path:
    """A run's folder with references, estimates and a score for each; nothing is separated."""
    rows = []
    for track in synthetic_set(songs, seconds=seconds):
        mixture = track.mixture.numpy()
        truths = {stem: track.load(stem).numpy() for stem in track.stems}
        for name, x in {**truths, "mixture": mixture}.items():
            path = folder / "references" / track.name / f"{name}.wav"
            Audio(torch.from_numpy(x), track.sample_rate).write(path, bits="float")
        for leak in LEAKS:
            method = "mixture" if leak == 1.0 else f"leak_{leak:g}"
            for stem, x in truths.items():
                y = ((1 - leak) * x + leak * mixture).astype(np.float32)
                own = stems_folder(method, tuple(truths), leak == 1.0)
                path = folder / "stems" / own / track.name / f"{stem}.wav"
                Audio(torch.from_numpy(y), track.sample_rate).write(path, bits="float")
                fields: dict[str, Any] = {"recipe": "sdx23", "metric": "sdr_mdx", "view": tuple(truths), "truth": stem}
                value = float(10 * np.log10(np.sum(x**2) / max(np.sum((x - y) ** 2), 1e-9)))
                rows.append(Score(method=method, track=track.name, stem=stem, value=value, dataset="made", **fields))
    with ScoreLog(folder / "scores.jsonl") as log:
        log.append(rows)
    return folder


def written(run: Path, allowed_megabytes: float) -> Page:
    """Write the page into a folder of passing and look at it; to be called in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        before, began = peak_memory_megabytes(), time.process_time()
        found = write_report([run], Path(folder) / "page.html", PageOptions(budget_megabytes=allowed_megabytes))
        cpu, memory = time.process_time() - began, peak_memory_megabytes() - before
        text = found.path.read_text(encoding="utf-8")
    content = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    tracks = json.loads(content[1])["tracks"] if content is not None else []
    files = sum(len(track["files"]) for track in tracks)
    seconds = tuple(track["length"] if track["audible"] else 0.0 for track in tracks)
    return Page(allowed_megabytes, found.bytes / 1e6, seconds, files, text.count('id="clip-'), cpu, memory)


def table(pages: Sequence[Page]) -> str:
    """Markdown, a line for each page."""
    lines = [
        "| allowed MB | MB | excerpt, s | files | stored | CPU s | memory MB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for page in pages:
        low, high = min(page.seconds), max(page.seconds)
        span = f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
        lines.append(
            f"| {page.allowed_megabytes:g} | {page.megabytes:.0f} | {span} | {page.files} | {page.stored} | "
            f"{page.cpu_seconds:.1f} | {page.memory_megabytes:.0f} |"
        )
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """Make the run, write its pages, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_size", description=__doc__)
    parser.add_argument("--run", type=Path, help="a run's folder; one is made by default")
    parser.add_argument("--songs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--megabytes", type=float, nargs="+", default=list(BUDGETS_MEGABYTES))
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or made_run(Path(folder), arguments.songs, arguments.seconds)
        # a fresh process for each page: the peak of memory never falls
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            pages = list(pool.map(written, [run] * len(arguments.megabytes), arguments.megabytes))
    print(table(pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
