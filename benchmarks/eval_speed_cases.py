"""What `benchmarks.eval_speed` times, each measurement in a process of its own, on a scene that was written before.

A scene holds references and estimates (2 s t c, float64): coloured noise on a 16-bit grid with dither, as recordings
are, so that every engine has well-posed filters to find. Engines are optional packages, but for ours.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = dict[str, Array]
Engine = Callable[[Array, Array, float], Values]
"""References and estimates s t c and the window (hop) in samples -> measures s n."""

SAMPLE_RATE = 44_100
INSTALL = "pip install -r requirements-peers.txt -c constraints.txt"
BLOCK_SECONDS = 10.0
MEASURES = ("sdr", "isr", "sir", "sar")


def scene(sources: int, channels: int, seconds: float, seed: int = 0) -> Array:
    """References and estimates (2 s t c); estimates are filtered, hear other sources and have noise of their own."""
    from scipy.signal import lfilter

    length = round(seconds * SAMPLE_RATE)
    both = np.empty((2, sources, length, channels))
    step = round(BLOCK_SECONDS * SAMPLE_RATE)
    for start in range(0, length, step):
        rng = np.random.default_rng((seed, start))
        stop = min(start + step, length)
        r = rng.standard_normal((sources, stop - start, channels))
        for s in range(sources):
            r[s] = lfilter([0.05], [1, -0.9 + 0.4 * s / sources], r[s], axis=0)
        r += 0.4 * r[:, :, ::-1]
        e = lfilter([1, 0.05, -0.03, 0.01], [1], r, axis=1) + 0.04 * r.sum(0) + 0.002 * rng.standard_normal(r.shape)
        dither = rng.triangular(-1, 0, 1, (2, *r.shape))
        both[:, :, start:stop] = np.round(np.clip(np.stack([r, e]), -1, 1) * 32767 + dither) / 32768
    return both


def sepkit(r: Array, e: Array, window: float) -> Values:
    from sepkit.evaluation.bsseval import bss_eval

    found = bss_eval(r, e, window=window, hop=window)
    return {name: getattr(found, name) for name in MEASURES}


def sepkit_sdr(r: Array, e: Array, window: float) -> Values:
    from sepkit.evaluation.bsseval import sdr_windows

    return {"sdr": sdr_windows(r, e, window=window, hop=window)}


def museval(r: Array, e: Array, window: float) -> Values:
    import museval as package

    values = package.metrics.bss_eval(
        r, e, window=window, hop=window, compute_permutation=False, bsseval_sources_version=False
    )
    return dict(zip(MEASURES, values, strict=False))


def fast_bss_eval(r: Array, e: Array, window: float) -> Values:
    """The whole signal, one channel, float64 in torch and the exact solution: its `sources` SIR and SAR are ours."""
    import fast_bss_eval as package  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import torch

    del window
    signals = [torch.from_numpy(np.ascontiguousarray(x[:, :, 0])) for x in (r, e)]
    _, sir, sar = package.bss_eval_sources(*signals, compute_permutation=False)
    return {"sir": sir.numpy()[:, None], "sar": sar.numpy()[:, None]}


ENGINES: dict[str, Engine] = {
    "sepkit": sepkit,
    "sepkit_sdr": sepkit_sdr,
    "museval": museval,
    "fast_bss_eval": fast_bss_eval,
}


def timed(engine: Engine, both: Array, window: float) -> tuple[dict[str, float], Values]:
    """CPU seconds of all threads and wall seconds of one run, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    values = engine(both[0], both[1], window)
    return {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}, values


def largest_differences(a: Values, b: Values) -> dict[str, float]:
    """Per measure that both have, the largest distance in dB; infinite where only one is defined."""
    found = {}
    for name in a.keys() & b.keys():
        same = bool(np.array_equal(np.isfinite(a[name]), np.isfinite(b[name])))
        finite = np.isfinite(a[name]) & np.isfinite(b[name])
        found[name] = float(np.abs(a[name] - b[name])[finite].max(initial=0.0)) if same else float("inf")
    return found


def measured(path: Path, names: list[str], window_seconds: float, runs: int) -> dict[str, Any]:
    """Runs of engines by turns, each warmed up on a short piece, and the peak memory of all above the inputs.

    With one name, the peak is that engine's. The inputs are read without copies, so they are what was there before.
    """
    both = np.load(path)
    window = window_seconds * SAMPLE_RATE
    short = np.ascontiguousarray(both[:, :, : SAMPLE_RATE // 2])
    for name in names:
        ENGINES[name](short[0], short[1], window)
    before_kilobytes = peak_kilobytes()
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    values: dict[str, Values] = {}
    for _ in range(runs):
        for name in names:
            facts, values[name] = timed(ENGINES[name], both, window)
            times[name].append(facts)
    found: dict[str, Any] = {"runs": times, "peak_megabytes": (peak_kilobytes() - before_kilobytes) / 1000}
    if len(names) == 2:
        found["largest_difference_db"] = largest_differences(values[names[0]], values[names[1]])
    return found


def peak_kilobytes() -> float:
    """The most memory this process ever had. Linux's ru_maxrss starts at that of the process which started it."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1])
    except OSError:
        pass
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> int:
    """`python -m benchmarks.eval_speed_cases SCENE ENGINE[/ENGINE] WINDOW_SECONDS RUNS`: one JSON line."""
    path, names, window_seconds, runs = Path(sys.argv[1]), sys.argv[2].split("/"), float(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    try:
        found = measured(path, names, window_seconds, runs)
    except ImportError as error:
        found = {"reason": f"{error} ({INSTALL})"}
    except Exception as error:  # a peer may fail in any way, and then its row says how
        found = {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
