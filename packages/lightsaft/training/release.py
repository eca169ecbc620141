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

from sepkit.checkpoint import load_checkpoint, save_checkpoint
from sepkit.training.curve import draw_curve, read_log, without_places
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.train import CONFIG_VERSION

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/lightsaft/src/sepkit_lightsaft/checkpoints/lightsaft"
CURVE = ROOT / "docs/methods/lightsaft_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")


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
    draw_curve({"": read_log(arguments.run)}, "sdr_mdx", CURVE, changes=arguments.loss_changed)
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
