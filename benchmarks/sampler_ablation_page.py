"""The page and the heat-map of `benchmarks.sampler_ablation`, made from its report alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

Result = Mapping[str, Any]


def by_seed(result: Result) -> list[float]:
    """The median over songs for each seed, as the paper has it; songs without a score are left out."""
    seeds = ([value for value in songs.values() if value is not None] for songs in result["scores"].values())
    return [median(values) for values in seeds if values]


def score(result: Result) -> float | None:
    """The mean over seeds of the median over songs, in dB."""
    medians = by_seed(result)
    return fmean(medians) if medians else None


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    settings, machine, results = report["settings"], report["machine"], report["results"]
    lines = ["# Mixture-conditioned diffusion: steps, eta, cutoff", ""]
    if settings["quick"]:
        lines += ["Made with --quick: random weights. These numbers mean nothing.", ""]
    lines += ["| T | eta | cutoff | SDR | over seeds ± | published |", "|---|---|---|---|---|---|"]
    best = max((value for result in results if (value := score(result)) is not None), default=None)
    for result in results:
        value, medians = score(result), by_seed(result)
        shown = "–" if value is None else f"**{value:.2f}**" if value == best else f"{value:.2f}"
        spread = f"{stdev(medians):.2f}" if len(medians) > 1 else "–"
        published = "–" if result["published"] is None else f"{result['published']:.2f}"
        cells = (result["steps"], f"{result['eta']:g}", _cutoff(result), shown, spread, published)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    songs = len(next(iter(results[0]["scores"].values())))
    lines += ["", *_agreement(results)]
    lines += [
        f"SDR is `sdr_mdx` of {settings['target']} in dB on {settings['test']} ({songs} songs): median over songs, "
        f"mean over {settings['seeds']} seeds where eta is above 0. The published column is the paper's, of a network "
        "of 99 million parameters, trained on 400 hours of private songs, on MUSDB18-HQ: compare the shape and not "
        f"the numbers. {machine['processor']}, {machine['cores']} cores. Made by "
        "`python -m benchmarks.sampler_ablation`.",
        "",
    ]
    return "\n".join(lines)


def _agreement(results: Sequence[Result]) -> list[str]:
    """How like the paper's order of settings ours is, where both have at least three."""
    from scipy.stats import spearmanr

    found = [(score(r), r["published"]) for r in results]
    pairs = [(ours, theirs) for ours, theirs in found if ours is not None and theirs is not None]
    if len(pairs) < 3:
        return []
    rank = spearmanr([ours for ours, _ in pairs], [theirs for _, theirs in pairs]).statistic
    return [f"Rank correlation with the published column over {len(pairs)} settings: {rank:.2f}.", ""]


def plot(report: Mapping[str, Any], path: Path) -> None:
    """A panel for each T, a row for each eta, a column for each cutoff; raises ImportError without matplotlib."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    results = [(result, value) for result in report["results"] if (value := score(result)) is not None]
    steps, etas, cutoffs = (sorted({result[name] for result, _ in results}) for name in ("steps", "eta", "cutoff_hz"))
    figure = Figure(figsize=(3.2 * max(len(steps), 1) + 1, 0.7 * len(etas) + 1.6), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(1, max(len(steps), 1), sharey=True, squeeze=False)[0]
    scores = [value for _, value in results] or [0.0]
    image = None
    for panel, count in zip(panels, steps, strict=False):
        values = [[float("nan")] * len(cutoffs) for _ in etas]
        for result, value in results:
            if result["steps"] == count:
                row, column = etas.index(result["eta"]), cutoffs.index(result["cutoff_hz"])
                values[row][column] = value
                panel.text(column, row, f"{value:.2f}", ha="center", va="center", bbox=_label())
        image = panel.imshow(values, vmin=min(scores), vmax=max(scores), aspect="auto", cmap="viridis")
        panel.set(title=f"T = {count}", xlabel="cutoff, Hz")
        panel.set_xticks(range(len(cutoffs)), ["none" if cutoff == 0 else f"{cutoff:g}" for cutoff in cutoffs])
        panel.set_yticks(range(len(etas)), [f"{eta:g}" for eta in etas])
    panels[0].set_ylabel("eta")
    if image is not None:
        figure.colorbar(image, ax=list(panels), label="SDR, dB")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sepkit"}):  # text as text, and the same file every time
        figure.savefig(path, format="svg", metadata={"Date": None})


def _label() -> dict[str, Any]:
    return {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}


def _cutoff(result: Result) -> str:
    if result["eta"] == 0:
        return "–"
    return "none" if result["cutoff_hz"] == 0 else f"{result['cutoff_hz']:g} Hz"
