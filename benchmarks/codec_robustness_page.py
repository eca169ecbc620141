"""The page and the plot of `benchmarks.codec_robustness`, made from its report alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

Codec = Mapping[str, Any]
SHOWN = {"si_sdr": "SI-SDR, dB", "sdr_mdx": "SDR, dB", "mrstft": "mrstft (lower is better)"}
PLACES = {
    ("latents", "gaussian"): "Gaussian, in latents",
    ("latents", "interference"): "accompaniment, in latents",
    ("audio", "gaussian"): "Gaussian, in the sound",
    ("audio", "interference"): "accompaniment, in the sound",
}
STEPS = (10, 20, 50)  # of a sampler, whose last one the page is about


def score(codec: Codec, metric: str, place: str, kind: str, level_db: float | None) -> float:
    """The mean over songs."""
    wanted = {"place": place, "kind": kind, "level_db": level_db}
    rows = (row for song in codec["results"].values() for row in song if wanted.items() <= row.items())
    return fmean(row[metric] for row in rows)


def ceiling(codec: Codec, metric: str) -> float:
    """Encode and decode with no noise at all."""
    return score(codec, metric, "none", "none", None)


def levels(report: Mapping[str, Any]) -> list[float]:
    """The levels that were measured, quietest noise first."""
    song = next(iter(report["codecs"][0]["results"].values()))
    return sorted({row["level_db"] for row in song if row["level_db"] is not None}, reverse=True)


def last_level_db(steps: int) -> float:
    """Signal over noise in the state before the last of T steps, at t = 1/T: alpha / sigma there, in dB."""
    return -20 * math.log10(math.tan(math.pi / (2 * steps)))


def between(values: Sequence[tuple[float, float]], place: float) -> float:
    """The value at a place by straight lines between neighbours; beyond the ends, the end's."""
    ordered = sorted(values)
    for (x0, y0), (x1, y1) in pairwise(ordered):
        if x0 <= place <= x1:
            return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
    return ordered[0][1] if place < ordered[0][0] else ordered[-1][1]


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    settings, machine = report["settings"], report["machine"]
    songs = len(report["codecs"][0]["results"])
    lines = ["# What noise does to codecs", ""]
    if settings["quick"]:
        lines += ["Made with --quick: a second of one song. These numbers mean little.", ""]
    lines += _codecs(report["codecs"])
    for metric, title in SHOWN.items():
        lines += ["", f"## {title}", "", *_table(report, metric)]
    lines += ["", "## The last step of a diffusion", "", *_last_steps(report)]
    lines += [
        "",
        f"Vocals of {settings['test']} ({songs} songs, {settings['seconds']:g} s each), at the level that they have in "
        "a mixture of RMS 1; means over songs. Levels are the signal's energy over the noise's, in dB: in latents, of "
        "features divided by their usual sizes, in the sound, of samples. Each codec is held against the vocals at its "
        f"own sample rate. Seed {settings['seed']}. {machine['processor']}, {machine['cores']} cores. Made by "
        "`python -m benchmarks.codec_robustness`.",
        "",
    ]
    return "\n".join(lines)


def _codecs(codecs: Sequence[Codec]) -> list[str]:
    lines = [
        "| codec | Hz | numbers a second | additive | SI-SDR | SDR | mrstft |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for codec in codecs:
        numbers = codec["features"] * codec["frame_rate"]
        cells = [_number(ceiling(codec, metric)) for metric in SHOWN]
        additive = "yes" if codec["additive"] else "no"
        lines.append(
            f"| {codec['label']} | {codec['sample_rate']} | {numbers:.0f} | {additive} | {' | '.join(cells)} |"
        )
    return lines


def _table(report: Mapping[str, Any], metric: str) -> list[str]:
    found = levels(report)
    lines = ["| noise | codec | none | " + " | ".join(f"{level:g} dB" for level in found) + " |"]
    lines.append("|---|---|" + "---:|" * (len(found) + 1))
    for (place, kind), title in PLACES.items():
        for codec in report["codecs"]:
            values = [ceiling(codec, metric), *(score(codec, metric, place, kind, level) for level in found)]
            lines.append(f"| {title} | {codec['label']} | {' | '.join(map(_number, values))} |")
    return lines


def _last_steps(report: Mapping[str, Any]) -> list[str]:
    """What it would cost if the last step were not taken, or its estimate were off by as much as it takes away."""
    lines = [
        "The last of T steps begins at t = 1/T, where the state's signal is alpha / sigma = 1 / tan(π / 2T) times as "
        "large as its noise. That is what an estimate in the last step can still be wrong by, and what it costs after "
        "decoding (SI-SDR with Gaussian noise of that level in the latents, between the levels measured):",
        "",
        "| codec | " + " | ".join(f"T = {steps}: {last_level_db(steps):.1f} dB" for steps in STEPS) + " | no noise |",
        "|---|" + "---:|" * (len(STEPS) + 1),
    ]
    for codec in report["codecs"]:
        known = [(level, score(codec, "si_sdr", "latents", "gaussian", level)) for level in levels(report)]
        cells = [between(known, last_level_db(steps)) for steps in STEPS]
        lines.append(f"| {codec['label']} | {' | '.join(map(_number, [*cells, ceiling(codec, 'si_sdr')]))} |")
    return lines


def plot(report: Mapping[str, Any], path: Path) -> None:
    """A column for each noise, a row for SI-SDR and mrstft, a line for each codec; ImportError without matplotlib."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    found, metrics = levels(report), ("si_sdr", "mrstft")
    figure = Figure(figsize=(2.6 * len(PLACES), 5.2), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(len(metrics), len(PLACES), sharex=True, sharey="row", squeeze=False)
    for row, metric in zip(panels, metrics, strict=True):
        row[0].set_ylabel(SHOWN[metric])
        for panel, ((place, kind), title) in zip(row, PLACES.items(), strict=True):
            if metric == metrics[0]:
                panel.set_title(title, fontsize="medium")
                panel.set_ylim(-12, 42)
            for i, codec in enumerate(report["codecs"]):
                values = [score(codec, metric, place, kind, level) for level in found]
                panel.plot(found, values, color=f"C{i}", marker="o", markersize=3, label=codec["label"])
                panel.axhline(ceiling(codec, metric), color=f"C{i}", linewidth=0.8, linestyle=":")
    panels[-1][0].invert_xaxis()
    figure.supxlabel("signal over noise, dB; dotted: no noise", fontsize="medium")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sepkit"}):  # text as text, and the same file every time
        figure.savefig(path, format="svg", metadata={"Date": None})


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
