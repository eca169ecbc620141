"""Turn a training run into the shipped checkpoint of the msdm methods: weights, model card, learning curve.

    python release.py RUN [--finish means] [--sigma-min 0.1] [--scores RUNS/scores.jsonl ...]

RUN is a folder of `python -m sepkit_msdm_posterior.train`. The card quotes scores only from `benchmarks.run` rows given
with --scores, so every number in it was measured by a command that the reader can run. How `msdm_projected` samples may
be chosen after training, on the validation songs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from sepkit.checkpoint import load_checkpoint, save_checkpoint
from sepkit.training.card import score_table
from sepkit.training.curve import draw_curve, read_log, without_places
from sepkit_msdm_posterior.config import BAND, Finish, MsdmConfig
from sepkit_msdm_posterior.separator import CONFIG_VERSION, NAME
from sepkit_msdm_posterior.validation import METRIC

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/msdm_posterior/src/sepkit_msdm_posterior/checkpoints" / NAME
CURVE = ROOT / "docs/methods/msdm_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")
LICENCE = "CC0-1.0"  # of the weights, as the card says
SHOWN = {"si_sdri_4s": "SI-SDRi", "si_sdri_4s_active": "SI-SDRi, active"}


def release(run: Path, folder: Path, card: str, finish: str | None = None, sigma_min: float | None = None) -> Path:
    """Write the best network of a run as a checkpoint folder that tells no place of the machine it comes from."""
    found = load_checkpoint(run / "best", separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    separation, changes = found.config.separation, {} if sigma_min is None else {"sigma_min": sigma_min}
    config = found.config.model_copy(
        update={"finish": finish or found.config.finish, "separation": separation.model_copy(update=changes)}
    )
    return save_checkpoint(
        folder,
        separator=NAME,
        config=config,
        config_version=CONFIG_VERSION,
        info=found.info.model_copy(update={"licence": LICENCE}),
        state=found.state,
        card=card.replace("{{parameters}}", f"{found.parameters:,}").replace("{{steps}}", steps_of(found.extra)),
        half=True,
        extra=without_places(found.extra),
        parameters=found.parameters,
    )


def steps_of(extra: Mapping[str, Any]) -> str:
    """The step of the weights, as the run recorded it."""
    return f"{extra['training']['step']:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--finish", choices=get_args(Finish), help="as trained unless given")
    parser.add_argument("--sigma-min", type=float, help="as trained unless given")
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--curve", type=Path, default=CURVE)
    arguments = parser.parse_args()
    draw_curve({"": read_log(arguments.run)}, METRIC, arguments.curve)
    tables = "\n\n".join(score_table(path, BAND, SHOWN) for path in arguments.scores) or "Not scored yet."
    card = TEXT.read_text(encoding="utf-8").replace("{{scores}}", tables)
    folder = release(arguments.run, arguments.out, card, arguments.finish, arguments.sigma_min)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
