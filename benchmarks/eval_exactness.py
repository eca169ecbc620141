"""How far BSS Eval here is from museval on material that makes solvers differ: `python -m benchmarks.eval_exactness`.

Takes about a minute and writes eval_exactness.md. Values of museval above 160 dB are its own round-off and only have to
be above 160 dB here too; band-limited material shows where no two solvers can agree.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepkit.evaluation.bsseval import evaluate
from sepkit.evaluation.museval_engine import load_museval
from sepkit.partial_files import write_text

Array = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results"
MEASURES = ("sdr", "isr", "sir", "sar")
ROUND_OFF_DB = 160.0
RATE = 16_000
WINDOW = RATE // 2


class Case(NamedTuple):
    """Material and settings of one line of the table."""

    title: str
    references: Array
    estimates: Array
    window: float = WINDOW
    hop: float = WINDOW
    options: dict[str, Any] = {}  # noqa: RUF012  never changed


def scene(sources: int = 2, channels: int = 2, seconds: float = 1.5) -> tuple[Array, Array]:
    """References and estimates s t c on a 16-bit grid."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(3)
    r = rng.standard_normal((sources, round(seconds * RATE), channels))
    for s in range(sources):
        r[s] = lfilter([0.05], [1, -0.9 + 0.4 * s / sources], r[s], axis=0)
    r += 0.4 * r[:, :, ::-1]
    e = lfilter([1, 0.05, -0.03, 0.01], [1], r, axis=1) + 0.04 * r.sum(0) + 0.002 * rng.standard_normal(r.shape)
    return on_grid(r, 16), on_grid(e, 16)


def on_grid(x: Array, bits: int) -> Array:
    return np.asarray(np.round(x * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1))


def cases() -> Iterator[Case]:
    """Plain material, silences, singular and nearly singular references, odd windows, and empty bands."""
    r, e = scene()
    yield Case("two stereo sources", r, e)
    yield Case("the same, filters per window (v3)", r, e, options={"framewise_filters": True})
    yield Case("the same, order to be found", r, e[::-1].copy(), options={"compute_permutation": True})
    yield Case("four stereo sources", *scene(4))
    yield Case("windows overlap, fractional hop", r, e, 6000.5, 3333.3)
    yield Case("windows shorter than the filter", r[:, :4000], e[:, :4000], 300, 300)
    yield Case("track shorter than the filter", r[:, :300], e[:, :300])
    yield Case("antiphase window", changed(r, lambda x: np.negative(x[0, :WINDOW, 0], out=x[0, :WINDOW, 1])), e)
    yield Case("two equal channels (singular)", changed(r, lambda x: np.copyto(x[0, :, 1], x[0, :, 0])), e)
    yield Case("a channel of zeros", changed(r, lambda x: x[0, :, 1].fill(0)), e)
    yield Case("identical signals", r, r.copy())
    yield Case("estimates are the mixture", r, np.repeat(r.sum(0)[None], 2, 0))
    yield Case("all at -100 dB", 1e-5 * r, 1e-5 * e)
    yield Case("one reference at -100 dB", changed(r, lambda x: np.multiply(x[1], 1e-5, out=x[1])), e)
    yield Case("references alike to -80 dB", changed(r, lambda x: np.add(x[0], 1e-4 * x[1], out=x[1])), e)
    yield Case("with an offset", r + 0.1, e + 0.1)
    for bits in (14, 16, 18, 20, 24, 53):
        low, heard = (on_grid(low_passed(x), bits) for x in scene(seconds=3.0))
        yield Case(f"low-passed at 70 % of the band, {bits} bit", low, heard)


def changed(x: Array, change: Callable[[Array], Any]) -> Array:
    copy = x.copy()
    change(copy)
    return copy


def low_passed(x: Array) -> Array:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(20, 0.7, output="sos"), x, axis=1))


def line(case: Case, museval: Any) -> str:
    """The case's row: largest differences, condition, verdict and median SIR."""
    settings = {"window": case.window, "hop": case.hop, **case.options}
    ours = evaluate(case.references, case.estimates, silent="museval", **settings)
    with np.errstate(all="ignore"):
        theirs = museval.metrics.bss_eval(case.references, case.estimates, bsseval_sources_version=False, **settings)
    cells = [distance(getattr(ours, name), other) for name, other in zip(MEASURES, theirs, strict=False)]
    sir = np.nanmedian(ours.sir)
    verdict = "yes" if ours.meaningless else ""
    return f"| {case.title} | {' | '.join(cells)} | {ours.condition:.0e} | {verdict} | {sir:.1f} |"


def distance(ours: Array, theirs: Array) -> str:
    """The largest difference in dB as text; how round-off was met; or that undefined values lie elsewhere."""
    if not (np.array_equal(np.isnan(ours), np.isnan(theirs)) and np.array_equal(np.isinf(ours), np.isinf(theirs))):
        return "**pattern differs**"
    finite = np.isfinite(theirs)
    if not finite.any():
        return "same infinity"
    near = finite & (theirs < ROUND_OFF_DB)
    if near.any():
        return f"{np.abs(ours - theirs)[near].max():.0e}"
    return f"both > {ROUND_OFF_DB:.0f}" if ours[finite].min() > ROUND_OFF_DB else "**not round-off here**"


def main() -> int:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval_exactness", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for eval_exactness.md")
    arguments = parser.parse_args()
    museval = load_museval()
    lines = ["# Distance of BSS Eval from museval", ""]
    lines += ["Largest difference in dB over sources and windows; NaN and infinity lie at the same places.", ""]
    lines += ["| material | SDR | ISR | SIR | SAR | condition above | meaningless | median SIR here, dB |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines += [line(case, museval) for case in cases()]
    lines += ["", "Seeded synthetic scenes at 16 kHz. Made by `python -m benchmarks.eval_exactness`.", ""]
    write_text(arguments.out / "eval_exactness.md", "\n".join(lines))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
