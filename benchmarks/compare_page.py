"""The page and the figure of `benchmarks.compare`, made from its report alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sepkit.evaluation.statistics.intervals import LEAST_TRACKS, bootstrap_interval
from sepkit.evaluation.statistics.paired import paired_difference

MEAN = "mean of the stems"
NO_DECIBELS = ("mrstft", "bleedless", "fullness")  # a distance, and points of 100
Songs = Sequence[Mapping[str, Any]]


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a table for each test set and stem."""
    results = report["results"]
    first = next(iter(results.values()))["songs"]
    machine = report["machine"]
    lines = [f"# {report['title']}", ""]
    for test in dict.fromkeys(song["test"] for song in first):
        for stem in stems_of(first):
            lines += [f"## {test}, {stem}", "", *_table(report, test, stem), ""]
    for label in report["along"]:
        lines += [f"## Along the steps of {label}", "", *_along(results[label]["songs"], report["metrics"]), ""]
    for table in report.get("published", []):
        lines += _published(table)
    lines += ["| variant | method | options |", "|---|---|---|"]
    for label, result in results.items():
        options = ", ".join(f"{name}={value}" for name, value in result["options"].items())
        lines.append(f"| {label} | {result['method']} | {options or '–'} |")
    units = {metric: "" if metric in NO_DECIBELS else ", dB" for metric in report["metrics"]}
    names = "; ".join(f"{name} is `{metric}`{units[metric]}" for metric, name in report["metrics"].items())
    lines += [
        "",
        f"{names}: means over songs, differences song by song against the "
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
    chosen = [f"--recipe {name}" for name in report["recipes"]] + [
        f"--published {table['id']}" for table in report["published"]
    ]
    chosen += [f"--{name} {report[name]:g}" for name in ("limit", "excerpt", "mono") if report[name]]
    if chosen:
        lines.append("    " + " ".join(chosen))
    words = [f"--along {shlex.quote(label)}" for label in report["along"]] + [f"--test {test}" for test in tests]
    return " \\\n".join([*lines, "    " + " ".join([*words, "--out RESULT"])])


def _table(report: Mapping[str, Any], test: str, stem: str) -> list[str]:
    """A line for each variant; differences to the first where both have the stem."""
    metrics = report["metrics"]
    lines = [
        f"| variant | {' | '.join(metrics.values())} | "
        f"{' | '.join(f'{name} against the first' for name in metrics.values())} | CPU s per s | songs |",
        "|---|" + "---:|" * (2 * len(metrics) + 2),
    ]
    reference: Songs | None = None
    for label, result in report["results"].items():
        songs = [song for song in result["songs"] if song["test"] == test and stem in (MEAN, *song["steps"][-1])]
        if not songs:
            continue
        values = [mean(last(songs, stem, metric)) for metric in metrics]
        against = ["–" if reference is None else difference(songs, reference, stem, metric) for metric in metrics]
        reference = songs if reference is None else reference
        cost = sum(song["cpu_seconds"] for song in songs) / sum(song["seconds"] for song in songs)
        lines.append(f"| {label} | {' | '.join(values + against)} | {cost:.2f} | {len(songs)} |")
    return lines


def _published(table: Mapping[str, Any]) -> list[str]:
    """A table of the ledger, with what stands against comparing it."""
    lines = [f"## Published: {table['title']} [{table['id']}]", ""]
    lines += [f"| model | {' | '.join(table['columns'])} |", "|---|" + "---:|" * len(table["columns"])]
    for model, values in table["rows"].items():
        lines.append(f"| {model} | {' | '.join('–' if x is None else f'{x:g}' for x in values)} |")
    lines += ["", "Other songs, other networks: these rows stand here for orientation.", ""]
    return lines + [f"- {caveat}" for caveat in table["caveats"]] + [""]


def _along(songs: Songs, metrics: Mapping[str, str]) -> list[str]:
    """Means over all songs after each step, for the first stem."""
    stem = stems_of(songs)[0]
    lines = [f"| step | {' | '.join(f'{stem} {name}' for name in metrics.values())} |"]
    lines.append("|---|" + "---:|" * len(metrics))
    for step, values in enumerate(curves(songs, stem, metrics), start=1):
        lines.append(f"| {step} | {' | '.join(f'{x:.2f}' for x in values)} |")
    return lines


def curves(songs: Songs, stem: str, metrics: Iterable[str]) -> list[list[float]]:
    """For each step the mean of each metric over the songs that have one."""
    count = max(len(song["steps"]) for song in songs)
    found = []
    for step in range(count):
        at = [song["steps"][step] for song in songs if step < len(song["steps"])]
        columns = [[x for x in (value(y, stem, metric) for y in at) if x is not None] for metric in metrics]
        found.append([float(np.mean(column)) if column else float("nan") for column in columns])
    return found


def stems_of(songs: Songs) -> list[str]:
    """Stems that some song has, in order; before more than two of them, their mean."""
    found = list(dict.fromkeys(stem for song in songs for stem in song["steps"][-1]))
    return [MEAN, *found] if len(found) > 2 else found


def value(scores: Mapping[str, Mapping[str, float | None]], stem: str, metric: str) -> float | None:
    """A score of one stem, or the mean over the stems that have one."""
    if stem != MEAN:
        return scores.get(stem, {}).get(metric)
    known = [x for x in (own.get(metric) for own in scores.values()) if x is not None]
    return float(np.mean(known)) if known else None


def last(songs: Songs, stem: str, metric: str) -> list[float]:
    """Each song's value at the end, without those that have none."""
    found = [value(song["steps"][-1], stem, metric) for song in songs]
    return [x for x in found if x is not None]


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
    theirs = {song["song"]: value(song["steps"][-1], stem, metric) for song in reference}
    pairs = [(value(song["steps"][-1], stem, metric), theirs.get(song["song"])) for song in songs]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not both:
        return "–"
    a, b = zip(*both, strict=True)
    if len(both) < LEAST_TRACKS:
        return f"{np.mean(a) - np.mean(b):+.2f}"
    found = paired_difference(a, b).difference
    return f"{found.estimate:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def plot(report: Mapping[str, Any], path: Path) -> None:
    """Each metric of the first stem by variant, a mark for each song; beside them every curve along steps."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    results, along, metrics = report["results"], report["along"], report["metrics"]
    stem = stems_of(next(iter(results.values()))["songs"])[0]
    figure = Figure(figsize=(3.6 * (len(metrics) + len(along)), 0.4 * len(results) + 2.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, len(metrics) + len(along), squeeze=False)[0]
    for axis, (metric, name) in zip(axes, metrics.items(), strict=False):
        for place, result in enumerate(results.values()):
            values = last(result["songs"], stem, metric)
            axis.plot(values, [place] * len(values), ".", color="0.6")
            if values:
                axis.plot([np.mean(values)], [place], "o", color="C0")
        axis.set_yticks(range(len(results)), list(results) if axis is axes[0] else [""] * len(results))
        axis.invert_yaxis()
        axis.set(xlabel=f"{name}", title=stem)
    for axis, label in zip(axes[len(metrics) :], along, strict=True):
        found = np.asarray(curves(results[label]["songs"], stem, metrics))
        for column, name in enumerate(metrics.values()):
            axis.plot(range(1, len(found) + 1), found[:, column], marker=".", label=name)
        axis.set(xlabel="step", ylabel="dB", title=f"{label}: {stem}")
        axis.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
