"""What a model card quotes: a table of scores, made from a benchmark's rows alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

SHOWN = {"sdr_mdx": "SDR", "sir_bss4_median": "SIR", "sar_bss4_median": "SAR"}


def score_table(path: str | Path, stems: Sequence[str], shown: Mapping[str, str] = SHOWN) -> str:
    """A Markdown table by method and stem, means over tracks, from the scores.jsonl of `benchmarks.run`.

    `shown` maps a row's metric to its heading. What was not measured is a dash.
    """
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("metric") in shown and row.get("stem") in stems and row.get("value") is not None:
            values[row["method"], row["stem"], row["metric"]].append(row["value"])
    columns = [(stem, metric) for stem in stems for metric in shown]
    lines = ["| method | " + " | ".join(f"{stem} {shown[metric]}" for stem, metric in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for method in dict.fromkeys(method for method, *_ in values):
        cells = [values.get((method, *column), []) for column in columns]
        numbers = [f"{sum(cell) / len(cell):.2f}" if cell else "–" for cell in cells]
        lines.append(f"| {method} | " + " | ".join(numbers) + " |")
    return "\n".join(lines)
