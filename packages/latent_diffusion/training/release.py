"""Turn a training run into the shipped checkpoint of latent_diffusion: weights, model card, learning curve.

    python release.py RUN [--scores RUNS/scores.jsonl ...]

RUN is a folder of `python -m sepkit_latent_diffusion.train`. The card quotes scores only from `benchmarks.run` rows
given with --scores, and the codec's ceiling from its own validation, so every number in it was measured by a command
that the reader can run.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepkit.checkpoint import load_checkpoint, save_checkpoint
from sepkit.training.card import score_table
from sepkit.training.curve import draw_curve, read_log, without_places
from sepkit_latent_diffusion.codec.checkpoints import build_codec, count_parameters
from sepkit_latent_diffusion.config import LatentConfig
from sepkit_latent_diffusion.separator import CONFIG_VERSION, NAME

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "packages/latent_diffusion/src/sepkit_latent_diffusion/checkpoints" / NAME
CURVE = ROOT / "docs/methods/latent_diffusion_learning_curve.png"
TEXT = Path(__file__).with_name("card.md")
LICENCE = "CC0-1.0"  # of the weights, as the card says


def release(run: Path, folder: Path, card: str) -> Path:
    """Write the best networks of a run as a checkpoint folder that tells no place of the machine they come from."""
    found = load_checkpoint(run / "best", separator=NAME, config_type=LatentConfig, config_version=CONFIG_VERSION)
    codec = count_parameters(build_codec(found.config.codec))
    facts = {
        "{{parameters}}": f"{found.parameters:,}",
        "{{codec_parameters}}": f"{codec:,}",
        "{{ceiling}}": ceiling_table(found.extra.get("codec", {})),
    }
    for name, value in facts.items():
        card = card.replace(name, value)
    return save_checkpoint(
        folder,
        separator=NAME,
        config=found.config,
        config_version=CONFIG_VERSION,
        info=found.info.model_copy(update={"licence": LICENCE}),
        state=found.state,
        card=card,
        half=True,
        extra=placeless(found.extra),
        parameters=found.parameters,
    )


def ceiling_table(codec: Mapping[str, Any]) -> str:
    """What the codec's own validation heard, as a Markdown table; says so where it was never validated."""
    scores = codec.get("training", {}).get("validation", {})
    names = [name.removeprefix("sdr/") for name in scores if name.startswith("sdr/")]
    if not names:
        return "Not measured: the codec came without a record of its training."
    rows = [f"| {name} | {scores[f'sdr/{name}']:.2f} | {scores[f'spectrogram/{name}']:.2f} |" for name in names]
    return "\n".join(["| sound | SDR, dB | spectrogram distance |", "|---|---:|---:|", *rows])


def placeless(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of both trainings, with folders by their last names."""
    found = _placeless(extra)
    config = found["training"]["config"]
    for name in ("codec", "codec_weights"):
        if config.get(name):
            config[name] = "/".join(Path(config[name]).parts[-2:])
    codec = found.get("codec", {})
    return {**found, "codec": _placeless(codec) if codec.get("training") else {}}


def _placeless(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of one training, without its caches' places."""
    found = without_places(extra)
    config = found["training"]["config"]
    data = {**config["data"], "latent_cache": None}
    return {**found, "training": {**found["training"], "config": {**config, "data": data}}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--curve", type=Path, default=CURVE)
    arguments = parser.parse_args()
    draw_curve({"": read_log(arguments.run)}, "sdr_mdx", arguments.curve)
    stems = ("vocals", "accompaniment")
    tables = "\n\n".join(score_table(path, stems) for path in arguments.scores) or "Not scored yet."
    folder = release(arguments.run, arguments.out, TEXT.read_text(encoding="utf-8").replace("{{scores}}", tables))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
