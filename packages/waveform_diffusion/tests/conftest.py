"""What the tests of this package share: the reference's oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"
ORACLES = ("beta20", "beta8")


@pytest.fixture(params=ORACLES)
def oracle(request: pytest.FixtureRequest) -> dict[str, Any]:
    """`weights` and `config` of a reference network, its inputs and what it gave."""
    arrays = dict(np.load(DATA / f"{request.param}.npz"))
    nested: dict[str, Any] = {"weights": {}, "config": {}}
    for name, array in arrays.items():
        group, slash, rest = name.partition("/")
        if slash:
            nested[group][rest] = array
        else:
            nested[name] = array
    return nested
