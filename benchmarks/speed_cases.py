"""What `benchmarks.speed` times, each in a process of its own: networks with random weights on the same noise.

Random weights cost the same time as trained ones: the kernels are dense. Peers are optional packages.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

Separate = Callable[[Tensor], Tensor]
"""Mixture c t at 44.1 kHz -> stems s c t."""

SAMPLE_RATE = 44_100
INSTALL = "pip install -r requirements-peers.txt -c constraints.txt"


def lightsaft(preset: str, *, fused: bool, channels_last: bool = False, bf16: bool = False) -> Separate:
    """All stems of a preset: fused as it ships, or the plain network stem by stem as the reference runs.

    One window at a time, without overlap, which is what suits the plain network best; the STFT and its inverse count.
    """
    from sepkit_lightsaft.separator import build

    model = build(untrained=True, preset=preset, fused=fused)
    settings = model.settings("fast")
    window_samples = model.config.window_samples
    if channels_last:
        cast(Any, model.network).to(memory_format=torch.channels_last)  # torch's type stubs lack this form

    def separate(mixture: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(mixture, (0, -mixture.shape[1] % window_samples))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            stems = [
                model.separate_windows(window[None], [0], seed=0, settings=settings)[0]
                for window in padded.split(window_samples, dim=1)  # type: ignore[no-untyped-call]
            ]
        return torch.cat(stems, dim=2)[:, :, : mixture.shape[1]]

    return separate


def shipped() -> Separate:
    """The trained method as users call it, host included."""
    from sepkit import get_separator

    separator = get_separator("lightsaft", device="cpu")

    def separate(mixture: Tensor) -> Tensor:
        found = separator.separate(mixture, sample_rate=SAMPLE_RATE)
        return torch.stack([stem.samples for stem in found.values()])

    return separate


def peer(name: str) -> Separate:
    """A method of others with random weights and its authors' settings, the whole track at once as they run it."""
    from sepkit.registry import build_method

    model = cast(Any, build_method(name, untrained=True))
    settings = model.settings("balanced")

    def separate(mixture: Tensor) -> Tensor:
        return cast(Tensor, model.separate_windows(mixture[None], [0], seed=0, settings=settings)[0])

    return separate


CASES: dict[str, Callable[[], Separate]] = {
    "plain": lambda: lightsaft("lightsaft_mdx", fused=False),
    "fused": lambda: lightsaft("lightsaft_mdx", fused=True),
    "plain, channels-last": lambda: lightsaft("lightsaft_mdx", fused=False, channels_last=True),
    "fused, bf16": lambda: lightsaft("lightsaft_mdx", fused=True, bf16=True),
    "shipped": shipped,
    "htdemucs": lambda: peer("htdemucs"),
    "umxhq": lambda: peer("umxhq"),
}
DESCRIPTIONS = {
    "plain": "lightsaft_mdx, the plain network stem by stem",
    "fused": "lightsaft_mdx, fused and shared between stems",
    "plain, channels-last": "the plain network in channels-last memory",
    "fused, bf16": "the fused network under bf16 autocast",
    "shipped": '`get_separator("lightsaft")`, overlap and host included',
    "htdemucs": "HTDemucs (41 M parameters), random weights",
    "umxhq": "Open-Unmix HQ (4 networks, 36 M parameters), random weights",
}
PEERS = {"htdemucs", "umxhq"}


def noise(seconds: float) -> Tensor:
    """Stereo pink noise c t at a tenth of full scale, the same every time."""
    length_samples = round(seconds * SAMPLE_RATE)
    white = torch.randn(2, length_samples, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(white)
    spectrum /= torch.arange(1, spectrum.shape[1] + 1).sqrt()
    pink = torch.fft.irfft(spectrum, n=length_samples)
    return 0.1 * pink / pink.std()


def timed(separate: Separate, mixture: Tensor) -> tuple[dict[str, float], Tensor]:
    """CPU seconds of all threads and wall seconds of one run, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    stems = separate(mixture)
    return {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}, stems


def measure_alone(name: str, mixture: Tensor, runs: int) -> dict[str, Any]:
    """Runs of one case after a warm-up of a few seconds, with the peak memory above that of the imports."""
    before_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    separate = CASES[name]()
    separate(mixture[:, : 6 * SAMPLE_RATE])
    times = [timed(separate, mixture)[0] for _ in range(runs)]
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"runs": times, "peak_megabytes": (peak_kilobytes - before_kilobytes) / 1000}


def measure_pair(first: str, second: str, mixture: Tensor, runs: int) -> dict[str, Any]:
    """Two cases by turns in one process, so that whatever disturbs one disturbs the other; and how far they differ."""
    separators = {name: CASES[name]() for name in (first, second)}
    times: dict[str, list[dict[str, float]]] = {first: [], second: []}
    stems: dict[str, Tensor] = {}
    for separate in separators.values():
        separate(mixture[:, : 6 * SAMPLE_RATE])
    for _ in range(runs):
        for name, separate in separators.items():
            facts, stems[name] = timed(separate, mixture)
            times[name].append(facts)
    pairs = list(zip(times[first], times[second], strict=True))
    difference = (stems[first] - stems[second]).abs().max()
    return {
        "runs": times,
        "cpu_ratio": ratios([a["cpu_seconds"] / b["cpu_seconds"] for a, b in pairs]),
        "wall_ratio": ratios([a["wall_seconds"] / b["wall_seconds"] for a, b in pairs]),
        "largest_difference": float(difference / stems[first].abs().max()),  # relative to the loudest sample
    }


def ratios(values: list[float]) -> dict[str, float]:
    """Median and range over runs."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def main() -> int:
    """`python -m benchmarks.speed_cases NAME[/NAME] SECONDS RUNS THREADS`: one JSON line."""
    names, seconds, runs, threads = sys.argv[1].split("/"), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # random recurrent networks fall into denormal numbers, which trained ones don't
    mixture = noise(seconds)
    try:
        with torch.inference_mode():
            if len(names) == 2:
                found = measure_pair(names[0], names[1], mixture, runs)
            else:
                found = measure_alone(names[0], mixture, runs)
    except ImportError as error:
        found = {"reason": f"{error} ({INSTALL})" if names[0] in PEERS else f"{error}"}
    except Exception as error:  # a peer may fail in any way, and then its row says how
        found = {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
