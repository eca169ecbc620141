"""A model card's table: means over tracks of the rows it is given, and a dash for what was not measured."""

from __future__ import annotations

import json
from pathlib import Path

from sepkit.training.card import score_table


def test_the_table_has_means_over_tracks_and_dashes(tmp_path: Path) -> None:
    rows = [
        {"method": "a", "track": "1", "stem": "vocals", "metric": "sdr_mdx", "value": 1.0},
        {"method": "a", "track": "2", "stem": "vocals", "metric": "sdr_mdx", "value": 2.5},
        {"method": "b", "track": "1", "stem": "vocals", "metric": "sdr_mdx", "value": None},
        {"method": "b", "track": "1", "stem": "drums", "metric": "sir_bss4_median", "value": 9.0},
        {"method": "b", "track": "1", "stem": "bass", "metric": "sdr_mdx", "value": 9.0},
    ]
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = score_table(path, ("vocals", "drums"), {"sdr_mdx": "SDR", "sir_bss4_median": "SIR"})
    assert table.splitlines() == [
        "| method | vocals SDR | vocals SIR | drums SDR | drums SIR |",
        "|---|---:|---:|---:|---:|",
        "| a | 1.75 | – | – | – |",
        "| b | – | – | – | 9.00 |",
    ]
