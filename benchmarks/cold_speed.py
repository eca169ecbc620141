"""What one step of cold diffusion costs, against the reference's way of running the same network.

`python -m benchmarks.cold_speed` takes some minutes on two quiet cores and writes cold_speed.json and cold_speed.md.
The claim that is checked: at the reference's size and with the same weights, the rebuilt network (`inference.fuse`)
takes at least 1.5 times less CPU time for a step than a plain loop over chunks that calls the network as it was trained
and works out the step embeddings each time; and both give the same stems.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.partial_files import write_text
from sepkit_waveform_diffusion.config import ColdConfig
from sepkit_waveform_diffusion.network import ColdNetwork, new_network
from sepkit_waveform_diffusion.presets import preset_model
from sepkit_waveform_diffusion.separator import ColdSeparator, separator_info
from sepkit_waveform_diffusion.signals import target_estimates

from .speed import ENVIRONMENT
from .speed_cases import noise, ratios, timed

TARGET_RATIO = 1.5
CHUNK_SECONDS = 20.0  # the reference's
RESULTS = Path(__file__).parent / "results"
Separate = Callable[[Tensor], Tensor]
"""Chunks b t of a mono mixture -> vocals b t."""


def plain(network: ColdNetwork, steps: int) -> Separate:
    """The reference's loop: chunk by chunk, the update in float64, the network as it was trained."""
    alpha_bars = network.model.betas.alpha_bars
    alphas = 1.0 - network.model.betas.betas
    count = len(alphas)
    reached = float(alpha_bars[count - steps - 1]) if steps < count else 1.0
    gain = (float(alpha_bars[-1]) / reached) ** 0.5  # our fix of the level, at which the stems are compared

    def of_chunk(mixture: Tensor) -> Tensor:
        x = mixture.double()
        for step in range(count, count - steps, -1):
            predicted = network(x.float()[None, None], torch.tensor([step]))[0, 0].double()
            alpha, alpha_bar = float(alphas[step - 1]), float(alpha_bars[step - 1])
            x = (x - (1.0 - alpha) / (1.0 - alpha_bar) ** 0.5 * predicted) / alpha**0.5
        return (x * gain).float()

    return lambda chunks: torch.stack([of_chunk(chunk) for chunk in chunks])


def rebuilt(network: ColdNetwork, steps: int) -> Separate:
    """What `get_separator` runs, on all chunks at once."""
    config = ColdConfig(models=(network.model,))
    model = ColdSeparator(config, [network], separator_info(config, licence="MIT"), {}, {"stop_after": steps})
    settings = model.settings("balanced")

    def separate(chunks: Tensor) -> Tensor:
        *_, estimate = target_estimates(model.networks[0], chunks[:, None], settings)
        return estimate[:, 0]

    return separate


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both by turns in this process, on the same chunks, after a warm-up."""
    torch.set_num_threads(arguments.threads)
    network = new_network(preset_model(arguments.preset, "beta_20", "vocals"), seed=0).eval()
    chunk_samples = round(min(CHUNK_SECONDS, arguments.seconds) * network.model.sample_rate)
    count = max(1, round(arguments.seconds * network.model.sample_rate / chunk_samples))
    mixture = noise(1 + count * chunk_samples / 44_100)[0, : count * chunk_samples]
    chunks = torch.stack(mixture.split(chunk_samples))  # type: ignore[no-untyped-call]
    cases = {"plain": plain(network, arguments.steps), "rebuilt": rebuilt(network, arguments.steps)}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    found: dict[str, Tensor] = {}
    with torch.inference_mode():
        for separate in cases.values():
            separate(chunks[:1, : network.model.sample_rate])
        for _ in range(arguments.runs):
            for name, separate in cases.items():
                facts, found[name] = timed(separate, chunks)
                times[name].append(facts)
    pairs = list(zip(times["plain"], times["rebuilt"], strict=True))
    seconds = count * chunk_samples / network.model.sample_rate * arguments.steps
    return {
        "runs": times,
        "cpu_seconds_per_step": {
            name: min(run["cpu_seconds"] for run in runs) / seconds for name, runs in times.items()
        },
        "cpu_ratio": ratios([a["cpu_seconds"] / b["cpu_seconds"] for a, b in pairs]),
        "wall_ratio": ratios([a["wall_seconds"] / b["wall_seconds"] for a, b in pairs]),
        "largest_difference": float((found["plain"] - found["rebuilt"]).abs().max() / found["plain"].abs().max()),
        "chunks": count,
        "parameters": sum(values.numel() for values in network.parameters()),
    }


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    pair, machine, settings = report["pair"], report["machine"], report["settings"]
    cpu, wall, cost = pair["cpu_ratio"], pair["wall_ratio"], pair["cpu_seconds_per_step"]
    return "\n".join(
        [
            "# Speed of cold diffusion",
            "",
            f"A step of the rebuilt WaveNet (`{settings['preset']}`, {pair['parameters']:,} parameters) takes "
            f"**{cpu['median']:.2f} times less CPU time** than one of the reference's plain loop with the same weights "
            f"({cpu['low']:.2f} to {cpu['high']:.2f} over {settings['runs']} pairs of runs by turns; "
            f"{wall['median']:.2f} times less wall time). Target: {TARGET_RATIO}. The outputs differ by at most "
            f"{pair['largest_difference']:.1e} of the loudest sample.",
            "",
            "| | CPU s per step and s of audio, mono at 22,050 Hz |",
            "|---|---|",
            f"| plain loop: chunk by chunk, step embeddings each time | {cost['plain']:.3f} |",
            f"| rebuilt, {pair['chunks']} chunks at once | {cost['rebuilt']:.3f} |",
            "",
            f"{settings['steps']} steps of {settings['seconds']:g} s of pink noise, {settings['threads']} threads, "
            f"float32, the best run of each. {machine['processor']}, {machine['cores']} cores, torch "
            f"{report['versions']['torch']}, load average at the start {report['load_average']:.1f}. Made by "
            "`python -m benchmarks.cold_speed`.",
            "",
        ]
    )


def main(given: list[str] | None = None) -> int:
    """Measure, print and write; 1 when the ratio misses the target or the outputs differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_speed", description=__doc__)
    parser.add_argument("--preset", default="diffwave", help="a WaveNet of the package's presets")
    parser.add_argument("--seconds", type=float, default=40.0, help="of audio, in chunks of 20 s")
    parser.add_argument("--steps", type=int, default=2, help="of the schedule's 20")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "cold_speed", help="path without suffix")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.child:
        print(json.dumps(measure(arguments)))
        return 0
    load_average = os.getloadavg()[0]
    report: dict[str, Any] = {
        "pair": measured_alone(arguments),
        "settings": {name: getattr(arguments, name) for name in ("preset", "seconds", "steps", "runs", "threads")}
        | ENVIRONMENT,
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-waveform-diffusion",)),
        "load_average": load_average,
    }
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    print(markdown(report))
    equal = report["pair"]["largest_difference"] < 1e-5
    return 0 if equal and report["pair"]["cpu_ratio"]["median"] >= TARGET_RATIO else 1


def measured_alone(arguments: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own, whose waiting threads sleep."""
    command = [sys.executable, "-m", "benchmarks.cold_speed", "--child", "--preset", arguments.preset]
    for name in ("seconds", "steps", "runs", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
