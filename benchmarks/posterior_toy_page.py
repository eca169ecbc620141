"""The page and the curves of `benchmarks.posterior_toy`, made from its report alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .posterior_toys import EXACT, MEAN, MIXTURE

Row = Mapping[str, Any]

SHOWN_AS_EXACT = 1e-12  # a sum that misses by less misses by rounding
SCRIPTS = {"dirac": "Dirac", "gaussian": "Gaussian"}


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    settings, machine = report["settings"], report["machine"]
    lines = ["# Posteriors where the truth is known", ""]
    if settings["quick"]:
        lines += ["Made with --quick: too little data. These numbers mean nothing.", ""]
    lines += [
        "Four stems of independent Gaussian coefficients, variances log-normal and known to the prior: the posterior "
        "given their sum is known too. A sampler that works reaches the line of an exact sample. It can also land "
        "above: with few steps samples lie closer to the posterior's mean than they should. Nothing can beat that mean "
        "but by luck: a few loud coefficients decide an SDR, so it is uncertain by some tenths of a dB.",
        "",
        *_table(report["known"], report["results"]),
        "",
        "## A prior that does not know the variances",
        "",
        f"Blocks of {settings['block']} coefficients share a variance that the prior knows up to a log-normal factor, "
        "so the denoiser is not linear and no weight is exact. `gain` takes the error of an estimate from the share of "
        "its state that it keeps, `power` from its own square; both can be averaged over neighbours.",
        "",
        *_table(report["known_unknown"], report["weights"]),
        "",
        "## The published latent script, fault by fault",
        "",
        "On latents of unit variance that add up, with an ideal noise-predicting network, so what is left are the "
        f"sampler's own faults. {report['scripts'][0]['steps']} steps, 2 passes, churn 20. `corrected` also has sigmas "
        "from 5 and rho 7.",
        "",
        "| posterior | script | SDR | SI-SDRi | error of the sum |",
        "|---|---|---|---|---|",
    ]
    for row in report["scripts"]:
        lines.append(f"| {SCRIPTS[row['posterior']]} | {row['script']} | {_scores(row)} |")
    lines += [
        "",
        f"Means over {settings['songs']} songs of {settings['coefficients']} coefficients (half as many in the second "
        "table) and 4 stems, in dB; sigmas 1 to 1e-4, rho 7, where nothing else is said. "
        f"{machine['processor']}, {machine['cores']} cores. Made by `python -m benchmarks.posterior_toy`.",
        "",
    ]
    return "\n".join(lines)


def _table(known: Mapping[str, Row], rows: Iterable[Row]) -> list[str]:
    lines = ["| posterior | steps | churn | passes | calls | SDR | SI-SDRi | error of the sum |", "|---|" + "---|" * 7]
    lines += [f"| {name} | – | – | – | – | {_scores(row)} |" for name, row in known.items()]
    for row in rows:
        setting = f"{row['label']} | {row['steps']} | {row['churn']:g} | {row['passes']} | {row['calls']}"
        scores = "refused: diverges | – | –" if "refused" in row else _scores(row)
        lines.append(f"| {setting} | {scores} |")
    return lines


def _scores(row: Row) -> str:
    residual = "exact" if row["residual"] < SHOWN_AS_EXACT else f"{row['residual']:.1g}"
    return f"{row['sdr']:.2f} | {row['si_sdri']:.2f} | {residual}"


def plot(report: Mapping[str, Any], path: Path) -> None:
    """SDR over network calls, a line for each posterior, from the mixture's SDR up; ImportError without matplotlib."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    rows = [row for row in report["curves"] if "refused" not in row]
    for label in dict.fromkeys(row["label"] for row in rows):
        points = [(row["calls"], row["sdr"]) for row in rows if row["label"] == label]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label)
    lines = {name: row["sdr"] for name, row in report["known"].items()}
    calls = sorted({row["calls"] for row in rows})
    for name, place, ha, va in [(MEAN, calls[-1], "right", "bottom"), (EXACT, calls[0], "left", "top")]:
        axes.axhline(lines[name], color="0.5", linestyle=":", linewidth=1)
        axes.text(place, lines[name], name, ha=ha, va=va, color="0.4")
    axes.set_ylim(lines[MIXTURE], lines[MEAN] + 2)  # below the mixture, an estimate is worse than none
    axes.set_xscale("log")
    axes.set_xticks(calls, [str(count) for count in calls])
    axes.minorticks_off()
    axes.set(xlabel="network calls", ylabel="SDR, dB")
    axes.legend(frameon=False, loc="lower right")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sepkit"}):  # text as text, and the same file every time
        figure.savefig(path, format="svg", metadata={"Date": None})
