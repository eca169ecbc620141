"""Turn two training runs into the shipped checkpoint: a vocals network, an accompaniment network, model card, curve.

    python release.py VOCALS_RUN ACCOMPANIMENT_RUN [--scores RUNS/scores.jsonl ...]

The runs are folders of `python -m sepkit_waveform_diffusion.train`. The first network separates; the second serves
`wiener="two_models"`. The card quotes scores only from `benchmarks.run` rows given with --scores, so every number in it
was measured by a command that the reader can run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from sepkit.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from sepkit.errors import OptionError
from sepkit.training.card import score_table
from sepkit.training.curve import draw_curve, read_log, without_places
from sepkit_waveform_diffusion.config import ColdConfig
from sepkit_waveform_diffusion.separator import CONFIG_VERSION, NAME, separator_info

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/waveform_diffusion/src/sepkit_waveform_diffusion/checkpoints" / NAME
CURVE = ROOT / "docs/methods/cold_diffusion_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")
TARGETS = ("vocals", "accompaniment")
LICENCE = "CC0-1.0"  # of the weights, as the card says


def loaded(run: Path, target: str) -> Checkpoint[ColdConfig]:
    """The best network of a run; raises OptionError where it restores something else."""
    found = load_checkpoint(run / "best", separator=NAME, config_type=ColdConfig, config_version=CONFIG_VERSION)
    if found.config.main.targets != (target,):
        raise OptionError(f"The run {run} restores {', '.join(found.config.main.targets)}; wanted one for {target}.")
    return found


def release(runs: Sequence[Path], folder: Path, card: str) -> Path:
    """Write both networks into one checkpoint folder."""
    found = [loaded(run, target) for run, target in zip(runs, TARGETS, strict=True)]
    vocals = found[0]
    config = ColdConfig(models=tuple(one.config.main for one in found), window_seconds=vocals.config.window_seconds)
    state: dict[str, Tensor] = {}
    for index, one in enumerate(found):
        state |= {f"{index}.{name.removeprefix('0.')}": values for name, values in one.state.items()}
    return save_checkpoint(
        folder,
        separator=NAME,
        config=config,
        config_version=CONFIG_VERSION,
        info=separator_info(config, licence=LICENCE, extra_training_data=vocals.info.extra_training_data),
        state=state,
        card=card.replace("{{parameters}}", " + ".join(f"{one.parameters:,}" for one in found)),
        half=True,
        extra={target: without_places(one.extra) for target, one in zip(TARGETS, found, strict=True)},
        parameters=sum(one.parameters for one in found),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocals", type=Path)
    parser.add_argument("accompaniment", type=Path)
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--curve", type=Path, default=CURVE)
    arguments = parser.parse_args()
    runs = (arguments.vocals, arguments.accompaniment)
    draw_curve({target: read_log(run) for target, run in zip(TARGETS, runs, strict=True)}, "sdr_mdx", arguments.curve)
    tables = "\n\n".join(score_table(path, TARGETS) for path in arguments.scores) or "Not scored yet."
    folder = release(runs, arguments.out, TEXT.read_text(encoding="utf-8").replace("{{scores}}", tables))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
