"""Turn a training run into the shipped checkpoint of the msdm methods: weights, model card, learning curve.

    python release.py RUN [--scores RUNS/scores.jsonl ...]

RUN is a folder of `python -m sepkit_msdm_posterior.train`. The card quotes scores only from `benchmarks.run` rows given
with --scores, so every number in it was measured by a command that the reader can run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sepkit.checkpoint import load_checkpoint, save_checkpoint
from sepkit.training.card import score_table
from sepkit.training.curve import draw_curve, read_log, without_places
from sepkit_msdm_posterior.config import BAND, MsdmConfig
from sepkit_msdm_posterior.separator import CONFIG_VERSION, NAME
from sepkit_msdm_posterior.validation import METRIC

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/msdm_posterior/src/sepkit_msdm_posterior/checkpoints" / NAME
CURVE = ROOT / "docs/methods/msdm_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")
LICENCE = "CC0-1.0"  # of the weights, as the card says
SHOWN = {"si_sdri_4s": "SI-SDRi", "si_sdri_4s_active": "SI-SDRi, active"}


def release(run: Path, folder: Path, card: str) -> Path:
    """Write the best network of a run as a checkpoint folder that tells no place of the machine it comes from."""
    found = load_checkpoint(run / "best", separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    return save_checkpoint(
        folder,
        separator=NAME,
        config=found.config,
        config_version=CONFIG_VERSION,
        info=found.info.model_copy(update={"licence": LICENCE}),
        state=found.state,
        card=card.replace("{{parameters}}", f"{found.parameters:,}"),
        half=True,
        extra=without_places(found.extra),
        parameters=found.parameters,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--curve", type=Path, default=CURVE)
    arguments = parser.parse_args()
    draw_curve({"": read_log(arguments.run)}, METRIC, arguments.curve)
    tables = "\n\n".join(score_table(path, BAND, SHOWN) for path in arguments.scores) or "Not scored yet."
    folder = release(arguments.run, arguments.out, TEXT.read_text(encoding="utf-8").replace("{{scores}}", tables))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
