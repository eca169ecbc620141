"""What a finished run leaves for its release: its log, a learning curve, and settings without a machine's paths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SMOOTHED_STEPS = 50


def read_log(run: str | Path) -> list[dict[str, Any]]:
    """The rows of a run's log.jsonl; of steps that were taken again after an interruption, the last take counts."""
    rows = [json.loads(line) for line in (Path(run) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    kept: list[dict[str, Any]] = []
    first = None  # the earliest step that comes later in the file
    for row in reversed(rows):
        if "scores" in row:
            kept.append(row)
        elif first is None or row["step"] < first:
            kept.append(row)
            first = row["step"]
    return kept[::-1]


def draw_curve(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], metric: str, path: Path, changes: Sequence[int] = ()
) -> None:
    """Draw rows of `read_log`, by name of the run: training loss, and `metric` in validation stem by stem, over steps.

    `changes` are steps at which settings changed, marked by dotted lines. Raises ImportError without matplotlib.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, rows in runs.items():
        steps, losses = smoothed(rows)
        left.plot(steps, losses, label=name)
        scored = [row for row in rows if "scores" in row]
        for score in scored[0]["scores"] if scored else ():
            stem = score.removeprefix(f"{metric}/")
            if stem != score:
                values = [row["scores"][score] for row in scored]
                label = f"{name}: {stem}" if name else stem
                right.plot([row["step"] for row in scored], values, marker="o", label=label)
    left.set(xlabel="step", ylabel=f"training loss (mean of {SMOOTHED_STEPS})", title="training")
    right.set(xlabel="step", ylabel=f"{metric} (dB)", title="validation song, whole")
    right.legend()
    if len(runs) > 1:
        left.legend()
    for step in changes:
        left.axvline(step, color="grey", linestyle=":")
        right.axvline(step, color="grey", linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def smoothed(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    """Steps and the loss around them, the mean of SMOOTHED_STEPS, every tenth; of a short run, all its losses."""
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    width = SMOOTHED_STEPS if len(losses) > 2 * SMOOTHED_STEPS else 1
    starts = range(0, len(losses) - width + 1, 10 if width > 1 else 1)
    return (
        [losses[i + width // 2][0] for i in starts],
        [sum(loss for _, loss in losses[i : i + width]) / width for i in starts],
    )


def without_places(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint recorded of its training, with folders by their last name: where they lay is of no concern."""
    config = extra["training"]["config"]
    data = {**config["data"], "cache": None, "sources": [without_place(spec) for spec in config["data"]["sources"]]}
    config = {**config, "data": data, "validation": [without_place(spec) for spec in config["validation"]]}
    if config.get("initial"):
        config["initial"] = "/".join(Path(config["initial"]).parts[-2:])
    return {**extra, "training": {**extra["training"], "config": config}}


def without_place(spec: str) -> str:
    """A dataset's spec with its folder by the last name: `folder:/disk/songs` -> `folder:songs`."""
    kind, _, path = spec.partition(":")
    return f"{kind}:{Path(path).name}" if path else kind
