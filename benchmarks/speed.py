"""How fast LightSAFT separates all four stems, beside its plain network and other methods, on this computer.

`python -m benchmarks.speed` takes some minutes on two quiet cores and writes speed.json and speed.md. The claim that is
checked: the fused network takes at most half the CPU time of the plain one run stem by stem, same weights, same runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.partial_files import write_text

from .speed_cases import CASES, DESCRIPTIONS

PAIR = ("plain", "fused")
TARGET_RATIO = 2.0
RESULTS = Path(__file__).parent / "results"
# Threads that wait sleep: their spinning would count as CPU time, more of it the busier the computer is.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def measure(case: str, arguments: argparse.Namespace, runs: int) -> dict[str, Any]:
    """Time a case, or two with a slash between them, in a fresh process; a failure comes back as its `reason`."""
    command = [sys.executable, "-m", "benchmarks.speed_cases", case]
    command += [str(arguments.seconds), str(runs), str(arguments.threads)]
    environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"reason": f"the process ended with {done.returncode}: {(done.stderr.strip() or 'no message')[-200:]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def summarised(case: str, found: dict[str, Any], seconds: float) -> dict[str, Any]:
    """One row of the table: medians per second of audio, or the reason for none."""
    row: dict[str, Any] = {"case": case, "description": DESCRIPTIONS[case]}
    if "reason" in found:
        return {**row, "reason": found["reason"]}
    for kind in ("cpu_seconds", "wall_seconds"):
        row[f"{kind}_per_second"] = statistics.median(run[kind] for run in found["runs"]) / seconds
    return {**row, "peak_megabytes": found["peak_megabytes"], "runs": found["runs"]}


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    pair, machine, settings = report["pair"], report["machine"], report["settings"]
    lines = ["# Speed", ""]
    if "reason" in pair:
        lines += [f"The ratio could not be measured: {pair['reason']}.", ""]
    else:
        cpu, wall = pair["cpu_ratio"], pair["wall_ratio"]
        lines += [
            f"Fused LightSAFT (`lightsaft_mdx`) takes **{cpu['median']:.2f} times less CPU time** for all four stems "
            f"than the plain network run stem by stem ({cpu['low']:.2f} to {cpu['high']:.2f} over {settings['runs']} "
            f"pairs of runs by turns; {wall['median']:.2f} times less wall time). Target: {TARGET_RATIO}. The outputs "
            f"differ by at most {pair['largest_difference']:.1e} of the loudest sample.",
            "",
        ]
    lines += [
        "| | CPU s per s of audio | wall s per s of audio | peak MB above imports |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        if "reason" in row:
            lines.append(f"| {row['description']} | not measured: {row['reason']} | | |")
            continue
        cpu, wall = row["cpu_seconds_per_second"], row["wall_seconds_per_second"]
        lines.append(f"| {row['description']} | {cpu:.3f} | {wall:.3f} | {row['peak_megabytes']:.0f} |")
    lines += [
        "",
        f"{settings['seconds']:g} s of stereo pink noise at 44.1 kHz, {settings['threads']} threads, float32 unless "
        f"said, medians after a warm-up, a fresh process per row, waiting threads asleep. {machine['processor']}, "
        f"{machine['cores']} cores, torch {report['versions']['torch']}, load average at the start "
        f"{report['load_average']:.1f}. Made by `python -m benchmarks.speed`.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write; 1 when the pair could not be measured or misses the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=30.0, help="of audio")
    parser.add_argument("--runs", type=int, default=5, help="of each of the pair; other rows take three at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "speed", help="path without suffix")
    arguments = parser.parse_args()
    load_average = os.getloadavg()[0]
    print(f"{' and '.join(PAIR)} by turns …", flush=True)
    pair = measure("/".join(PAIR), arguments, arguments.runs)
    rows = []
    for case in arguments.cases:
        print(f"{DESCRIPTIONS[case]} …", flush=True)
        rows.append(summarised(case, measure(case, arguments, min(arguments.runs, 3)), arguments.seconds))
    report = {
        "pair": pair,
        "rows": rows,
        "settings": {name: getattr(arguments, name) for name in ("seconds", "runs", "threads")} | ENVIRONMENT,
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-lightsaft", "demucs", "openunmix")),
        "load_average": load_average,
    }
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    print(markdown(report))
    return 0 if "cpu_ratio" in pair and pair["cpu_ratio"]["median"] >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
