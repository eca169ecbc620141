"""The LightSAFT paper's central experiment: LaSAFT blocks against LightSAFT blocks in the same network.

`python -m benchmarks.saft_blocks` trains both on the same items for the same steps and scores them on the same songs;
channels, latent sources, key and embedding sizes are equal, and each block has its own bottleneck rule. Writes
saft_blocks.json, .md and .svg. The default takes about ten minutes on two cores: enough to see the cost of the blocks,
too little to rank their quality, which is what the intervals say.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from sepkit.audio import Audio
from sepkit.data.opening import open_dataset
from sepkit.data.track import Dataset
from sepkit.errors import SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.recipe import find_recipe
from sepkit.host import HostedSeparator
from sepkit.partial_files import replacing, write_text
from sepkit.training.loop import FitConfig, fit
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.loss import LossWeights, SpectrogramLoss
from sepkit_lightsaft.separator import LightSaftSeparator, new_network, separator_info
from sepkit_lightsaft.training_data import DataConfig, StemItems

Block = Literal["lasaft", "lightsaft"]
BLOCKS: tuple[Block, ...] = get_args(Block)
TITLES = {"lasaft": "LaSAFT", "lightsaft": "LightSAFT"}
RESULTS = Path(__file__).parent / "results"
RESAMPLES = 10_000  # of the bootstrap
PEAK_LEARNING_RATE = 4e-3


def network_config(block: Block, arguments: argparse.Namespace) -> LightSaftConfig:
    """The one network of the experiment, with either kind of block."""
    return LightSaftConfig(
        block=block,
        blocks=7,
        channels=arguments.channels,
        tfc_layers=3,
        latent_sources=arguments.latent_sources,
        key_dim=32,
        embedding_dim=32,
        bins=512,
        features="log_magnitude",
        output="masking",
    )


def trained(block: Block, arguments: argparse.Namespace, folder: Path) -> tuple[LightSaftSeparator, float]:
    """The separator after training, and the CPU seconds of one training step; a stopped training goes on."""
    config = network_config(block, arguments)
    items = StemItems(
        DataConfig(
            sources=tuple(arguments.train), frames=64, remix_probability=0.5, gain_db=(-5.0, 5.0), flip_sign=0.5,
            swap_channels=0.5, silence_tries=3, cache=str(folder.parent / "cache"),
        ),
        stems=config.stems,
        length_samples=63 * config.hop_samples,
        sample_rate=config.sample_rate,
        channels=config.audio_channels,
        seed=arguments.seed,
    )  # fmt: skip
    items.crops.prepare(_no_progress)
    network = new_network(config, arguments.seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loop = FitConfig(
        steps=arguments.steps, batch_size=8, learning_rate=PEAK_LEARNING_RATE, schedule="one_cycle", weight_decay=1e-3,
        clip_norm=5.0, ema_decay=0.0, seed=arguments.seed, save_every=100,
    )  # fmt: skip
    loss = SpectrogramLoss(config, LossWeights(cross_entropy=1.0, relative=4.0))
    with Meter(folder / "cpu_seconds.json") as meter:
        fit(network, loss, items, loop, folder)
    step_seconds = meter.seconds / arguments.steps
    separator = LightSaftSeparator(network, separator_info(config, licence="as the training data"), {"block": block})
    return separator, step_seconds


class Meter:
    """CPU seconds inside the block, added to those that a stopped run had left in `path`."""

    def __init__(self, path: Path):
        self.path = path
        self.seconds: float = json.loads(path.read_text()) if path.exists() else 0.0

    def __enter__(self) -> Meter:
        self.began = time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.process_time() - self.began
        write_text(self.path, json.dumps(self.seconds))


def _no_progress(done: int, total: int) -> None:
    """Decoding made songs takes moments."""


def scored(model: LightSaftSeparator, songs: Dataset) -> dict[str, Any]:
    """Per song the SDR of each stem (`sdr_mdx`) and their mean, and the CPU seconds per second of audio."""
    recipe = find_recipe("sdx23")
    rows, cpu_seconds, audio_seconds = [], 0.0, 0.0
    with HostedSeparator(model, device="cpu") as separator:
        for song in songs:
            view = song.view(model.info.stems)
            mixture = Audio(view.mixture, song.sample_rate)
            began = time.process_time()
            stems = separator.separate(mixture, quality="fast")
            cpu_seconds += time.process_time() - began
            audio_seconds += song.seconds
            references = {stem: view.load(stem).numpy() for stem in view.stems}
            found = {stem: stems[stem].samples.numpy() for stem in view.stems}
            measured = recipe.score(references, found, mixture.samples.numpy(), song.sample_rate)
            by_stem = {row.stem: row.value for row in measured if row.value is not None}
            rows.append({"song": song.name, **by_stem, "mean": float(np.mean(list(by_stem.values())))})
    return {"songs": rows, "cpu_seconds_per_second": cpu_seconds / audio_seconds}


def interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean over songs with its 95 % bootstrap interval (percentiles of resampled means)."""
    given = np.asarray(values)
    drawn = np.random.default_rng(seed).integers(0, len(given), (RESAMPLES, len(given)))
    low, high = np.percentile(given[drawn].mean(axis=1), [2.5, 97.5])
    return {"mean": float(given.mean()), "low": float(low), "high": float(high)}


def compared(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """SDR of each block with its interval, and of the difference, song by song, which is far less uncertain."""
    by_block = {block: [row["mean"] for row in result["songs"]] for block, result in results.items()}
    gains = [light - original for original, light in zip(by_block["lasaft"], by_block["lightsaft"], strict=True)]
    return {**{block: interval(values) for block, values in by_block.items()}, "difference": interval(gains)}


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    sdr, settings, machine = report["sdr"], report["settings"], report["machine"]
    lines = [
        "# LaSAFT blocks against LightSAFT blocks",
        "",
        "| block | parameters | CPU s per s of audio | CPU s per training step | SDR, dB (95 % interval) |",
        "|---|---|---|---|---|",
    ]
    for block, result in report["results"].items():
        lines.append(
            f"| {TITLES[block]} | {result['parameters']:,} | {result['cpu_seconds_per_second']:.3f} | "
            f"{result['cpu_seconds_per_step']:.2f} | {_shown(sdr[block])} |"
        )
    lines += [
        "",
        f"LightSAFT minus LaSAFT, song by song: {_shown(sdr['difference'])} dB.",
        "",
        f"Mean over {len(report['results']['lasaft']['songs'])} songs ({settings['test']}) of the mean over stems, "
        f"`sdr_mdx`. Same network (7 blocks, {settings['channels']} channels, {settings['latent_sources']} "
        f"latent sources, d_k 32, E 32), same items ({', '.join(settings['train'])}), {settings['steps']} steps of 8 "
        f"crops, seed {settings['seed']}. CPU time of the fused networks, all stems. {machine['processor']}, "
        f"{machine['cores']} cores. Made by `python -m benchmarks.saft_blocks`.",
        "",
    ]
    return "\n".join(lines)


def _shown(value: dict[str, float]) -> str:
    return f"{value['mean']:.2f} ({value['low']:.2f} to {value['high']:.2f})"


def plot(report: dict[str, Any], path: Path) -> None:
    """SDR over compute, one point per block, its area in proportion to the parameters; needs matplotlib."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    most = max(result["parameters"] for result in report["results"].values())
    for block, result in report["results"].items():
        x, sdr = result["cpu_seconds_per_second"], report["sdr"][block]
        axes.errorbar(
            x, sdr["mean"], [[sdr["mean"] - sdr["low"]], [sdr["high"] - sdr["mean"]]], color="grey", capsize=3
        )
        axes.scatter(x, sdr["mean"], s=400 * result["parameters"] / most, zorder=2)
        label = f"{TITLES[block]}, {result['parameters'] / 1e6:.2f} M"
        axes.annotate(label, (x, sdr["mean"]), xytext=(14, 8), textcoords="offset points")
    axes.set_xlabel("CPU seconds per second of audio, all stems")
    axes.set_ylabel("SDR, dB")
    axes.set_xlim(0, 1.6 * max(result["cpu_seconds_per_second"] for result in report["results"].values()))
    figure.savefig(path)


def main() -> int:
    """Train, score, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.saft_blocks", description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="training steps of each network")
    parser.add_argument("--train", nargs="+", default=["synthetic:24"], help="dataset specs; their train split")
    parser.add_argument("--test", default="synthetic:12", help="dataset spec; its test split")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--latent-sources", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/saft_blocks"), help="folder of the two trainings")
    parser.add_argument("--out", type=Path, default=RESULTS / "saft_blocks", help="path without suffix")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    try:
        songs = open_dataset(arguments.test, "test")
        for block in BLOCKS:
            name = f"{block}-{arguments.channels}x{arguments.latent_sources}-{arguments.steps}-{arguments.seed}"
            print(f"{TITLES[block]}: training …", flush=True)
            model, step_seconds = trained(block, arguments, arguments.runs / name)
            results[block] = {
                "parameters": model.parameters,
                "cpu_seconds_per_step": step_seconds,
                **scored(model, songs),
            }
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = {
        "results": results,
        "sdr": compared(results),
        "settings": {name: value for name, value in vars(arguments).items() if name not in ("runs", "out")},
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-lightsaft",)),
    }
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    try:
        with replacing(arguments.out.with_suffix(".svg"), overwrite=True) as partial:
            plot(report, partial)
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'sepkit[eval]')", file=sys.stderr)
    print(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
