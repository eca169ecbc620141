"""The page and the figure of `benchmarks.cold_ablation`, made from its report alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cold_ablation_variants import BASE
from .saft_blocks import interval

DEVIATION = (
    "The *deviation term* is sigma_t z of the usual reverse process, x_(t-1) = mean + sigma_t z with fresh noise z in "
    "every step but the last; the paper leaves it out. Here sigma_t is what ancestral sampling has (eta = 1), and z is "
    "Gaussian noise as loud as the mixture, or the mixture itself, which stands in for noise in this method."
)


def final(songs: Sequence[Mapping[str, Any]], what: str) -> list[float]:
    """The last value of each song, without those that have none."""
    return [song[what][-1] for song in songs if song[what] and song[what][-1] is not None]


def gains(songs: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """(song, SDR after the first step, what the further steps add) for each song."""
    return [(song["song"], song["sdr"][0], song["sdr"][-1] - song["sdr"][0]) for song in songs]


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    settings, machine = report["settings"], report["machine"]
    base = report["results"][BASE]["songs"]
    beginning = "from random weights"
    if settings.get("initial"):
        beginning = (
            f"all from the weights {settings['initial']}, trained to give the vocals' complement at beta_20, which "
            "favours the variants that are like it"
        )
    lines = ["# Cold diffusion: the design claims", ""]
    if settings["quick"]:
        lines += ["Made with --quick: tiny networks after a few steps. These numbers mean nothing.", ""]
    lines += [*_variants(report), "", DEVIATION, "", *_steps(base), "", *_songs(base), ""]
    lines += [
        f"SDR is `sdr_mdx`, SIR and SAR are `musdb18`'s, in dB, on {settings['test']} ({len(base)} songs), means over "
        f"songs with 95 % bootstrap intervals. Every network was trained for {settings['budget']} steps on "
        f"{', '.join(settings['source'])}, {beginning}. {machine['processor']}, {machine['cores']} cores. Made by "
        "`python -m benchmarks.cold_ablation`.",
        "",
    ]
    return "\n".join(lines)


def _variants(report: Mapping[str, Any]) -> list[str]:
    """A line for each variant; the difference to the first, song by song, where both restore the same stem."""
    results = report["results"]
    reference = results[BASE]
    lines = [
        "| variant | question | SDR | against the first | SIR | SAR | songs worse than their first step |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        songs = result["songs"]
        comparable = name != BASE and result["target"] == reference["target"]
        pairs = zip(songs, reference["songs"], strict=True)
        against = shown([a["sdr"][-1] - b["sdr"][-1] for a, b in pairs]) if comparable else "–"
        worse = sum(gain < 0 for *_, gain in gains(songs))
        sir, sar = mean(final(songs, "sir")), mean(final(songs, "sar"))
        lines.append(
            f"| {name} | {result['question']} | {shown(final(songs, 'sdr'))} | {against} | {sir} | {sar} | "
            f"{worse} of {len(songs)} |"
        )
    return lines


def _steps(songs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each step does, over songs."""
    lines = [
        f"Along the steps of {BASE}. The energy changed is that of the difference to the estimate before, the first of "
        "which is the mixture, over the mixture's; estimates are at their own level:",
        "",
        "| step | energy changed | of all changes | SDR | SIR | SAR |",
        "|---|---|---|---|---|---|",
    ]
    changed = np.mean([song["changed"] for song in songs], axis=0)
    for step, energy in enumerate(changed):
        part = energy / changed.sum() if changed.sum() else 0.0
        cells = [mean(at_step(songs, what, step)) for what in ("sdr", "sir", "sar")]
        lines.append(f"| {step + 1} | {energy:.4f} | {part:.0%} | {' | '.join(cells)} |")
    return lines


def at_step(songs: Sequence[Mapping[str, Any]], what: str, step: int) -> list[float]:
    """A value of every song after that step, where there is one."""
    return [song[what][step] for song in songs if step < len(song[what]) and song[what][step] is not None]


def _songs(songs: Sequence[Mapping[str, Any]]) -> list[str]:
    """First step against gain, song by song, and how the two go together."""
    found = gains(songs)
    lines = ["| song | SDR after the first step | gained by the others |", "|---|---|---|"]
    lines += [f"| {name} | {first:.2f} | {gain:+.2f} |" for name, first, gain in found]
    firsts, added = [first for _, first, _ in found], [gain for *_, gain in found]
    worse = [name for name, _, gain in found if gain < 0]
    lines += ["", f"Songs that further steps made worse: {', '.join(worse) or 'none'}."]
    if len(found) > 2 and np.std(firsts) > 0 and np.std(added) > 0:
        lines[-1] += f" Correlation of first step and gain: {np.corrcoef(firsts, added)[0, 1]:.2f}."
    return lines


def shown(values: Sequence[float]) -> str:
    """A mean with its interval."""
    if not values:
        return "–"
    found = interval(values)
    return f"{found['mean']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def mean(values: Sequence[float]) -> str:
    """A mean, or a dash."""
    return f"{np.mean(values):.2f}" if values else "–"


def plot(report: Mapping[str, Any], path: Path) -> None:
    """Four panels: energy changed, SIR and SAR along the steps, first step against gain, and all variants."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    songs, results = report["results"][BASE]["songs"], report["results"]
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasSVG(figure)
    (energy, along), (points, every) = figure.subplots(2, 2)
    steps = range(1, len(songs[0]["changed"]) + 1)
    energy.bar(steps, np.mean([song["changed"] for song in songs], axis=0))
    energy.set(xlabel="step", ylabel="energy changed / energy of the mixture", title=BASE)
    for what in ("sir", "sar", "sdr"):
        curve = [np.mean(values) if (values := at_step(songs, what, step - 1)) else np.nan for step in steps]
        along.plot(steps, curve, marker="o", label=what.upper())
    along.set(xlabel="step", ylabel="dB", title=BASE)
    along.legend()
    found = gains(songs)
    points.axhline(0, color="0.8", zorder=0)
    points.scatter([first for _, first, _ in found], [gain for *_, gain in found])
    points.set(xlabel="SDR after the first step, dB", ylabel="gained by the others, dB", title="songs")
    every.set(title="all variants", xlabel="SDR, dB")
    for place, result in enumerate(results.values()):
        at = interval(final(result["songs"], "sdr"))
        bounds = [[at["mean"] - at["low"]], [at["high"] - at["mean"]]]
        every.errorbar(at["mean"], place, xerr=bounds, fmt="o", color=f"C{int(result['target'] != 'vocals')}")
    every.set_yticks(range(len(results)), list(results))
    every.invert_yaxis()
    figure.savefig(path)
