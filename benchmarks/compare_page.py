"""The page and the figure of `benchmarks.compare`, made from its report alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sepkit.evaluation.statistics.intervals import LEAST_TRACKS, bootstrap_interval
from sepkit.evaluation.statistics.paired import paired_difference

METRICS = {"sdr_mdx": "SDR", "sir_bss4_median": "SIR", "sar_bss4_median": "SAR"}
Songs = Sequence[Mapping[str, Any]]


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a table for each test set and stem."""
    results = report["results"]
    first = next(iter(results.values()))["songs"]
    machine = report["machine"]
    lines = [f"# {report['title']}", ""]
    for test in dict.fromkeys(song["test"] for song in first):
        for stem in stems_of(first):
            lines += [f"## {test}, {stem}", "", *_table(results, test, stem), ""]
    for label in report["along"]:
        lines += [f"## Along the steps of {label}", "", *_along(results[label]["songs"]), ""]
    lines += ["| variant | method | options |", "|---|---|---|"]
    for label, result in results.items():
        options = ", ".join(f"{name}={value}" for name, value in result["options"].items())
        lines.append(f"| {label} | {result['method']} | {options or '–'} |")
    lines += [
        "",
        "SDR is `sdr_mdx`, SIR and SAR are `musdb18`'s, in dB: means over songs, differences song by song against the "
        "first variant, both with 95 % bootstrap intervals where there are 3 songs or more. "
        f"{machine['processor']}, {machine['cores']} cores. Made by:",
        "",
        "```sh",
        command(report),
        "```",
        "",
    ]
    return "\n".join(lines)


def command(report: Mapping[str, Any]) -> str:
    """The command that makes the report again, a line for each variant; folders go by their last names."""
    results = report["results"]
    lines = ["python -m benchmarks.compare"]
    for label, result in results.items():
        options = (f"{name}={x}" if isinstance(x, str) else f"{name}={json.dumps(x)}"
                   for name, x in result["options"].items())  # fmt: skip
        lines.append(f"    --variant {shlex.join([label, result['method'], *options])}")
    first = next(iter(results.values()))["songs"]
    tests = dict.fromkeys(song["test"] for song in first)
    words = [f"--along {shlex.quote(label)}" for label in report["along"]] + [f"--test {test}" for test in tests]
    return " \\\n".join([*lines, "    " + " ".join([*words, "--out RESULT"])])


def _table(results: Mapping[str, Any], test: str, stem: str) -> list[str]:
    """A line for each variant; differences to the first where both have the stem."""
    heads = " | ".join(METRICS.values())
    lines = [
        f"| variant | {heads} | {' | '.join(f'{name} against the first' for name in METRICS.values())} | "
        "CPU s per s | songs |",
        "|---|" + "---:|" * (2 * len(METRICS) + 2),
    ]
    reference: Songs | None = None
    for label, result in results.items():
        songs = [song for song in result["songs"] if song["test"] == test and stem in song["steps"][-1]]
        if not songs:
            continue
        values = [mean(last(songs, stem, metric)) for metric in METRICS]
        against = ["–" if reference is None else difference(songs, reference, stem, metric) for metric in METRICS]
        reference = songs if reference is None else reference
        cost = sum(song["cpu_seconds"] for song in songs) / sum(song["seconds"] for song in songs)
        lines.append(f"| {label} | {' | '.join(values + against)} | {cost:.2f} | {len(songs)} |")
    return lines


def _along(songs: Songs) -> list[str]:
    """Means over all songs after each step, for the first stem."""
    stem = stems_of(songs)[0]
    lines = [f"| step | {' | '.join(f'{stem} {name}' for name in METRICS.values())} |"]
    lines.append("|---|" + "---:|" * len(METRICS))
    for step, values in enumerate(curves(songs, stem), start=1):
        lines.append(f"| {step} | {' | '.join(f'{x:.2f}' for x in values)} |")
    return lines


def curves(songs: Songs, stem: str) -> list[list[float]]:
    """For each step the mean of each metric over the songs that have one."""
    count = max(len(song["steps"]) for song in songs)
    found = []
    for step in range(count):
        at = [song["steps"][step][stem] for song in songs if step < len(song["steps"])]
        columns = [[x[metric] for x in at if x.get(metric) is not None] for metric in METRICS]
        found.append([float(np.mean(column)) if column else float("nan") for column in columns])
    return found


def stems_of(songs: Songs) -> list[str]:
    """Stems that some song has, in order."""
    return list(dict.fromkeys(stem for song in songs for stem in song["steps"][-1]))


def last(songs: Songs, stem: str, metric: str) -> list[float]:
    """Each song's value at the end, without those that have none."""
    found = [song["steps"][-1].get(stem, {}).get(metric) for song in songs]
    return [value for value in found if value is not None]


def mean(values: Sequence[float]) -> str:
    """A mean with its interval, where there are songs enough."""
    if not values:
        return "–"
    if len(values) < LEAST_TRACKS:
        return f"{np.mean(values):.2f}"
    found = bootstrap_interval(values)
    return f"{found.estimate:.2f} ({found.low:.2f} to {found.high:.2f})"


def difference(songs: Songs, reference: Songs, stem: str, metric: str) -> str:
    """The mean difference on the songs that both have a value for, with its interval."""
    theirs = {song["song"]: song["steps"][-1].get(stem, {}).get(metric) for song in reference}
    pairs = [(song["steps"][-1].get(stem, {}).get(metric), theirs.get(song["song"])) for song in songs]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not both:
        return "–"
    a, b = zip(*both, strict=True)
    if len(both) < LEAST_TRACKS:
        return f"{np.mean(a) - np.mean(b):+.2f}"
    found = paired_difference(a, b).difference
    return f"{found.estimate:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def plot(report: Mapping[str, Any], path: Path) -> None:
    """SDR, SIR and SAR of the first stem by variant, one mark for each song; beside them every curve along steps."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    results, along = report["results"], report["along"]
    stem = stems_of(next(iter(results.values()))["songs"])[0]
    figure = Figure(figsize=(3.6 * (len(METRICS) + len(along)), 0.4 * len(results) + 2.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, len(METRICS) + len(along), squeeze=False)[0]
    for axis, (metric, name) in zip(axes, METRICS.items(), strict=False):
        for place, result in enumerate(results.values()):
            values = last(result["songs"], stem, metric)
            axis.plot(values, [place] * len(values), ".", color="0.6")
            if values:
                axis.plot([np.mean(values)], [place], "o", color="C0")
        axis.set_yticks(range(len(results)), list(results) if axis is axes[0] else [""] * len(results))
        axis.invert_yaxis()
        axis.set(xlabel=f"{name}, dB", title=stem)
    for axis, label in zip(axes[len(METRICS) :], along, strict=True):
        found = np.asarray(curves(results[label]["songs"], stem))
        for column, name in enumerate(METRICS.values()):
            axis.plot(range(1, len(found) + 1), found[:, column], marker=".", label=name)
        axis.set(xlabel="step", ylabel="dB", title=f"{label}: {stem}")
        axis.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
