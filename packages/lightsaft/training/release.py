"""Turn a training run into the shipped checkpoint: weights, model card, learning curve.

    python release.py RUN [--scores RUNS/scores.jsonl ...]

RUN is the folder of `python -m sepkit_lightsaft.train`. The card quotes scores only from `benchmarks.run` rows given
with --scores, so every number in it was measured by a command that the reader can run.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sepkit.checkpoint import load_checkpoint, save_checkpoint
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.train import CONFIG_VERSION

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/lightsaft/src/sepkit_lightsaft/checkpoints/lightsaft"
CURVE = ROOT / "docs/methods/lightsaft_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The run's log; of steps that were taken again after an interruption, the last take counts."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [
        row
        for i, row in enumerate(rows)
        if all(later["step"] > row["step"] for later in rows[i + 1 : i + 400] if "loss" in later) or "scores" in row
    ]


def without_places(extra: dict[str, Any]) -> dict[str, Any]:
    """What the run recorded, with folders by their last name: where they lay says nothing to others."""
    config = extra["training"]["config"]
    data = {**config["data"], "cache": None, "sources": [_last_name(spec) for spec in config["data"]["sources"]]}
    config = {**config, "data": data, "validation": [_last_name(spec) for spec in config["validation"]]}
    return {**extra, "training": {**extra["training"], "config": config}}


def _last_name(spec: str) -> str:
    kind, _, path = spec.partition(":")
    return f"{kind}:{Path(path).name}" if path else kind


def curve(rows: list[dict[str, Any]], changes: list[int], path: Path) -> None:
    """Loss on training mixes and SDR on the validation song, over steps; `changes`: steps at which the loss changed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    width = 50
    smooth = [sum(loss for _, loss in losses[i : i + width]) / width for i in range(0, len(losses) - width, 10)]
    left.plot([losses[i + width // 2][0] for i in range(0, len(losses) - width, 10)], smooth)
    left.set(xlabel="step", ylabel=f"training loss (mean of {width})", title="training")
    scored = [row for row in rows if "scores" in row]
    for name in scored[0]["scores"]:
        if name.startswith("sdr_mdx/"):
            right.plot(
                [row["step"] for row in scored], [row["scores"][name] for row in scored], marker="o", label=name[8:]
            )
    right.set(xlabel="step", ylabel="sdr_mdx (dB)", title="validation song, whole")
    right.legend()
    for step in changes:
        left.axvline(step, color="grey", linestyle=":")
        right.axvline(step, color="grey", linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def score_table(path: Path) -> str:
    """A Markdown table of `sdr_mdx` by track and method, from a benchmark's rows."""
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row.get("metric") == "sdr_mdx" and row.get("value") is not None:
            values[row["track"], row["method"]][row["stem"]] = row["value"]
    stems = ["vocals", "drums", "bass", "other"]
    lines = ["| track | method | " + " | ".join(stems) + " |", "|---|---|" + "---:|" * len(stems)]
    for (track, method), found in sorted(values.items()):
        cells = [f"{found[stem]:.2f}" if stem in found else "–" for stem in stems]
        lines.append(f"| {track} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--loss-changed", type=int, action="append", default=[], help="steps, marked in the curve")
    parser.add_argument("--scores", type=Path, action="append", default=[])
    arguments = parser.parse_args()
    found = load_checkpoint(
        arguments.run / "best", separator="lightsaft", config_type=LightSaftConfig, config_version=CONFIG_VERSION
    )
    curve(rows_of(arguments.run), arguments.loss_changed, CURVE)
    tables = "\n\n".join(score_table(path) for path in arguments.scores) or "Not scored yet."
    card = TEXT.read_text().replace("{{scores}}", tables).replace("{{parameters}}", f"{found.parameters:,}")
    save_checkpoint(
        SHIPPED,
        separator="lightsaft",
        config=found.config,
        config_version=CONFIG_VERSION,
        info=found.info,
        state=found.state,
        card=card,
        half=True,
        extra=without_places(found.extra),
        parameters=found.parameters,
    )
    size = sum(path.stat().st_size for path in SHIPPED.iterdir())
    print(f"{SHIPPED}: {size / 1e6:.2f} MB, {found.parameters:,} parameters, step {found.extra['training']['step']}")


if __name__ == "__main__":
    main()
