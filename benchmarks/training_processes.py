"""What several processes change in a training: `python -m benchmarks.training_processes`.

Trains a small network without batch norm and one with it, on the same items, by one process and by several on this
machine's CPUs, and prints how far the losses lie apart. A few minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Case(NamedTuple):
    """A training program and the settings of a network that is trained in moments."""

    title: str
    module: str
    settings: Mapping[str, Any]


CASES = (
    Case(
        "DiffWave, without batch norm",
        "sepkit_waveform_diffusion.train",
        {
            "model": {
                "backbone": {
                    "kind": "wavenet", "channels": 8, "num_layers": 4, "num_cycles": 2, "embedding_proj": 16,
                }
            },
            "loss": {"l1": 1.0},
            "data.crop_samples": 4096,
        },
    ),
    Case(
        "LightSAFT, with batch norm",
        "sepkit_lightsaft.train",
        {
            "network": {
                "n_fft": 256, "hop_samples": 128, "window_frames": 32, "trim_samples": 0, "blocks": 3, "channels": 4,
                "tfc_layers": 1, "latent_sources": 2, "embedding_dim": 8, "key_dim": 4, "features": "log_magnitude",
                "output": "masking",
            },
            "data.frames": 32,
        },
    ),
)  # fmt: skip


def losses_of(case: Case, processes: int, steps: int, folder: Path) -> NDArray[np.float64]:
    """The loss of every step of a training by so many processes; raises RuntimeError with what it said if it fails."""
    settings = {
        **case.settings, "fit.steps": steps + 1, "fit.batch_size": 8, "fit.workers": 0, "fit.precision": "fp32",
        "fit.learning_rate": 1e-3,
    }  # fmt: skip
    line = [sys.executable]
    if processes > 1:
        line += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"]
        line += ["--dynamo_backend", "no", "--main_process_port", "0", "--num_processes", str(processes)]
    out = folder / f"{case.module}-{processes}"
    line += ["-m", case.module, "--config", "train_default", "--source", "synthetic:4", "--valid", "synthetic:1"]
    line += ["--out", str(out), "--cache", str(folder / "cache"), "--stop-after", str(steps)]
    for name, value in settings.items():
        line += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}\n{done.stderr}")
    return np.array([json.loads(row)["loss"] for row in (out / "log.jsonl").read_text().splitlines()])


def table(cases: Sequence[Case], processes: int, steps: int, folder: Path) -> str:
    """A Markdown table: mean losses, and how far the losses of a step lie apart."""
    rows = [
        f"| network | mean loss, one process | mean loss, {processes} processes | first step apart | most apart |",
        "|---|---:|---:|---:|---:|",
    ]
    for case in cases:
        alone, shared = (losses_of(case, count, steps, folder) for count in (1, processes))
        apart = np.abs(alone - shared)
        rows.append(f"| {case.title} | {alone.mean():.4f} | {shared.mean():.4f} | {apart[0]:.0e} | {apart.max():.0e} |")
    return "\n".join(rows)


def main() -> int:
    """Train and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_processes", description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(CASES, arguments.processes, arguments.steps, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
