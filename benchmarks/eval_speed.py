"""How fast and how exact BSS Eval is here, beside museval and fast_bss_eval, on this computer.

`python -m benchmarks.eval_speed` takes about a quarter of an hour on two quiet cores and writes eval_speed.json, .md
and .svg. Every measurement is a fresh process; engines that are compared run by turns in one, on the same arrays.
`--quick` takes seconds and only shows that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.partial_files import replacing, write_text

from .eval_speed_cases import scene
from .eval_speed_page import markdown, plot

RESULTS = Path(__file__).parent / "results"


class Case(NamedTuple):
    """One measurement: engines (two with a slash run by turns), the scene, and the window in seconds."""

    engines: str
    sources: int
    channels: int
    seconds: float
    window_seconds: float = 1.0
    runs: int = 3
    kind: str = "growth"


def cases(quick: bool, museval_seconds: float) -> list[Case]:
    """All measurements, sorted so that those of one scene follow each other."""
    if quick:
        pairs = [Case("sepkit/museval", 2, 1, 1.0, 0.5, 1, "pair")]
        return [*pairs, Case("sepkit", 2, 1, 1.0, 0.5, 1), Case("sepkit", 2, 1, 2.0, 0.5, 1)]
    found = [Case("sepkit/museval", 4, 2, seconds, runs=runs, kind="pair") for seconds, runs in ((30.0, 3), (60.0, 2))]
    found += [Case("sepkit/fast_bss_eval", 4, 1, 30.0, float("inf"), 3, "pair")]
    for seconds in (10.0, 30.0, 60.0, 120.0, 240.0):
        found += [Case("sepkit", 4, 2, seconds), Case("sepkit_sdr", 4, 2, seconds)]
        if seconds <= museval_seconds:
            found.append(Case("museval", 4, 2, seconds, runs=1))
    for sources in (1, 2, 6, 8):
        found.append(Case("sepkit", sources, 2, 10.0))
        if sources <= 2:
            found.append(Case("museval", sources, 2, 10.0, runs=1))
    found += [Case("sepkit", 4, 1, 10.0), Case("museval", 4, 1, 10.0, runs=1)]
    return sorted(found, key=lambda case: (case.kind != "pair", case.sources, case.channels, case.seconds))


def measured(all_cases: Iterable[Case], folder: Path, threads: int | None) -> list[dict[str, Any]]:
    """A row for each case; a scene is on disk only while its cases run."""
    rows, shown, path = [], None, folder / "scene.npy"
    for case in all_cases:
        shape = (case.sources, case.channels, case.seconds)
        if shape != shown:
            np.save(path, scene(*shape))
            shown = shape
        print(f"{case.engines}, {case.sources} x {case.channels} channels, {case.seconds:g} s …", flush=True)
        rows.append(row(case, run(case, path, threads)))
    return rows


def run(case: Case, path: Path, threads: int | None) -> dict[str, Any]:
    """Measure a case in a fresh process; a failure comes back as its `reason`."""
    command = [sys.executable, "-m", "benchmarks.eval_speed_cases", str(path), case.engines]
    command += [str(case.window_seconds), str(case.runs)]
    environment = dict(os.environ)
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"reason": f"the process ended with {done.returncode}: {(done.stderr.strip() or 'no message')[-200:]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def row(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    """The case with its medians; for a pair, how many times longer the second engine takes, turn by turn."""
    facts: dict[str, Any] = {**case._asdict(), "window_seconds": str(case.window_seconds), **found}
    if "reason" in found:
        return facts
    for kind in ("cpu_seconds", "wall_seconds"):
        times = {name: [one[kind] for one in runs] for name, runs in found["runs"].items()}
        facts[kind] = {name: statistics.median(values) for name, values in times.items()}
        if case.kind == "pair":
            ours, theirs = times.values()
            turns = [b / a for a, b in zip(ours, theirs, strict=True)]
            facts[kind.replace("seconds", "ratio")] = {
                "median": statistics.median(turns),
                "low": min(turns),
                "high": max(turns),
            }
    return facts


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval_speed", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for eval_speed.json, .md and .svg")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; says nothing of speed")
    parser.add_argument("--museval-seconds", type=float, default=60.0, help="longest track that museval is given")
    parser.add_argument("--threads", type=int, help="of the libraries below all engines; default: theirs")
    arguments = parser.parse_args()
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(cases(arguments.quick, arguments.museval_seconds), Path(folder), arguments.threads)
    report = {
        "rows": rows,
        "settings": {"quick": arguments.quick, "threads": arguments.threads},
        "machine": machine_facts(),
        "versions": package_versions(("fast-bss-eval",)),
        "load_average": load_average,
    }
    page = markdown(report)
    write_text(arguments.out / "eval_speed.json", json.dumps(report, indent=2) + "\n")
    write_text(arguments.out / "eval_speed.md", page)
    try:
        with replacing(arguments.out / "eval_speed.svg", overwrite=True) as partial:
            plot(report, partial)
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'sepkit[eval]')", file=sys.stderr)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
