"""The page and the chart of `benchmarks.eval_speed`, made from its rows alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAMES = {
    "sepkit": "sepkit",
    "sepkit_sdr": "sepkit, SDR only",
    "museval": "museval",
    "fast_bss_eval": "fast_bss_eval (torch, float64, exact)",
}
TARGETS = {"cpu_ratio": 25.0, "wall_ratio": 40.0}
"""Against museval, four stereo stems, two free cores."""


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    machine, versions, settings = report["machine"], report["versions"], report["settings"]
    pairs = [row for row in report["rows"] if row["kind"] == "pair"]
    others = [row for row in report["rows"] if row["kind"] != "pair"]
    packages = ("numpy", "scipy", "museval", "fast-bss-eval")
    lines = ["# Speed of BSS Eval", "", *_pairs(pairs), "", *_growth(others), ""]
    if settings["quick"]:
        lines += ["**A quick run: it shows that the benchmark works and says nothing of speed.**", ""]
    lines += [
        "Seeded synthetic scenes at 44.1 kHz on a 16-bit grid with dither, the same float64 arrays for all engines, "
        "filters of 512 taps, windows of 1 s without overlap (fast_bss_eval: the whole signal, one channel, which is "
        "all it does). A fresh process per row; engines of a pair by turns in one, medians over turns with the range. "
        "Memory is the peak above the inputs. "
        f"{machine['processor']}, {machine['cores']} cores, "
        + ", ".join(f"{name} {versions.get(name) or 'not installed'}" for name in packages)
        + f"; load average at the start {report['load_average']:.1f}, threads "
        f"{settings['threads'] or 'as the libraries choose'}. Made by `python -m benchmarks.eval_speed`.",
        "",
    ]
    return "\n".join(lines)


def _pairs(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| sepkit against | scene | CPU s | CPU ratio | wall s | wall ratio | largest difference, dB |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        ours, theirs = row["engines"].split("/")
        if "reason" in row:
            lines.append(f"| {NAMES[theirs]} | {_scene(row)} | not measured: {row['reason']} | | | | |")
            continue
        cpu, wall = row["cpu_seconds"], row["wall_seconds"]
        distances = [f"{name} {value:.0e}" for name, value in sorted(row["largest_difference_db"].items())]
        lines.append(
            f"| {NAMES[theirs]} | {_scene(row)} | {cpu[ours]:.2f} / {cpu[theirs]:.2f} | {_ratio(row['cpu_ratio'])} | "
            f"{wall[ours]:.2f} / {wall[theirs]:.2f} | {_ratio(row['wall_ratio'])} | {', '.join(distances)} |"
        )
    return [*lines, "", f"Targets against museval: CPU {TARGETS['cpu_ratio']:g}, wall {TARGETS['wall_ratio']:g}."]


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| engine | scene | CPU s | wall s | peak MB above the inputs |", "|---|---|---|---|---|"]
    for row in rows:
        name = row["engines"]
        if "reason" in row:
            lines.append(f"| {NAMES[name]} | {_scene(row)} | not measured: {row['reason']} | | |")
            continue
        cpu, wall = row["cpu_seconds"][name], row["wall_seconds"][name]
        lines.append(f"| {NAMES[name]} | {_scene(row)} | {cpu:.2f} | {wall:.2f} | {row['peak_megabytes']:.0f} |")
    return lines


def _scene(row: dict[str, Any]) -> str:
    kind = {1: "mono", 2: "stereo"}.get(row["channels"], f"{row['channels']} channels")
    return f"{row['sources']} × {kind}, {row['seconds']:g} s"


def _ratio(value: dict[str, float]) -> str:
    return f"**{value['median']:.1f}** ({value['low']:.1f} to {value['high']:.1f})"


def plot(report: dict[str, Any], path: Path) -> None:
    """CPU seconds and peak memory over the length of four stereo stems, one line per engine; needs matplotlib."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    left, right = figure.subplots(1, 2)
    rows = [row for row in report["rows"] if row["kind"] != "pair" and "reason" not in row]
    most = max((row["sources"] * row["channels"] for row in rows if row["seconds"] == rows[-1]["seconds"]), default=0)
    longest = max((row["seconds"] for row in rows), default=0.0)
    shape = next(((r["sources"], r["channels"]) for r in rows if r["seconds"] == longest), (most, 1))
    for engine in NAMES:
        line = [r for r in rows if r["engines"] == engine and (r["sources"], r["channels"]) == shape]
        if line:
            seconds = [row["seconds"] for row in line]
            left.plot(seconds, [row["cpu_seconds"][engine] for row in line], "o-", label=NAMES[engine])
            right.plot(seconds, [row["peak_megabytes"] for row in line], "o-")
    for axes, label in ((left, "CPU seconds"), (right, "peak MB above the inputs")):
        axes.set(xscale="log", yscale="symlog" if axes is right else "log", xlabel="seconds of audio", ylabel=label)
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    figure.suptitle(f"BSS Eval, {shape[0]} stems of {shape[1]} channels")
    figure.savefig(path)
