"""The speed and block benchmarks: honest pages, also where something could not be measured, and fair intervals."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from benchmarks import saft_blocks, speed, speed_cases


def report(pair: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "pair": pair,
        "rows": rows,
        "settings": {"seconds": 30.0, "runs": 5, "threads": 2},
        "machine": {"processor": "a processor", "cores": 2},
        "versions": {"torch": "2"},
        "load_average": 0.0,
    }


def test_every_case_is_described() -> None:
    assert set(speed_cases.DESCRIPTIONS) == set(speed_cases.CASES) >= set(speed.PAIR)


def test_the_page_says_why_a_peer_was_not_measured() -> None:
    found = {"reason": "No module named 'openunmix'"}
    page = speed.markdown(report({"reason": "no time"}, [speed.summarised("umxhq", found, 30.0)]))
    assert "could not be measured: no time" in page
    assert "| not measured: No module named 'openunmix' |" in page


def test_rows_are_medians_per_second_of_audio() -> None:
    runs = [{"cpu_seconds": cpu, "wall_seconds": cpu / 2} for cpu in (30.0, 60.0, 600.0)]
    row = speed.summarised("fused", {"runs": runs, "peak_megabytes": 100.0}, 30.0)
    assert (row["cpu_seconds_per_second"], row["wall_seconds_per_second"]) == (2.0, 1.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_case_that_cannot_run_is_a_reason_and_no_crash() -> None:
    found = speed.measure("no such case", Namespace(seconds=0.1, threads=1), runs=1)
    assert "no such case" in found["reason"]


def test_the_interval_of_equal_songs_is_a_point_and_a_difference_is_paired() -> None:
    assert saft_blocks.interval([3.0] * 5) == {"mean": 3.0, "low": 3.0, "high": 3.0}
    wide = saft_blocks.interval([0.0, 10.0, 20.0, 30.0])
    assert wide["low"] < wide["mean"] == 15.0 < wide["high"]
    songs = [0.0, 10.0, 20.0, 30.0]  # far apart, but one block is always 1 dB better
    results = {
        block: {"songs": [{"mean": value + gain} for value in songs]}
        for block, gain in (("lasaft", 0.0), ("lightsaft", 1.0))
    }
    assert saft_blocks.compared(results)["difference"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
