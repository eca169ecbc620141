"""BSS Eval beside the museval package itself, on clips where its rules bite; skipped where it cannot be imported."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from sepkit.evaluation.bsseval import bss_eval

WINDOW = 2000


@pytest.fixture(scope="module")
def museval() -> Any:
    if any(shutil.which(program) is None for program in ("ffmpeg", "ffprobe")):
        pytest.skip("museval imports only where ffmpeg and ffprobe are installed")
    return pytest.importorskip("museval")


def scene(sources: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    r = lfilter([0.1], [1, -0.7], rng.standard_normal((sources, 5300, channels)), axis=1)
    return r, r + 0.05 * r.sum(0) + 0.003 * rng.standard_normal(r.shape)


def with_silence() -> tuple[np.ndarray, np.ndarray]:
    r, e = scene(2, 2)
    r[0, 2000:4000, 1] = -r[0, 2000:4000, 0]
    return r, e


def with_dead_channel() -> tuple[np.ndarray, np.ndarray]:
    r, e = scene(2, 2)
    r[1, :, 0] = 0
    return r, e


def with_quiet_source() -> tuple[np.ndarray, np.ndarray]:
    r, e = scene(2, 2)
    r[1] *= 1e-4
    return r, e


@pytest.mark.parametrize("framewise", [False, True])
@pytest.mark.parametrize("material", [with_silence, with_dead_channel, with_quiet_source])
def test_numbers_and_pattern(museval: Any, material: Any, framewise: bool) -> None:
    r, e = material()
    compare(museval, r, e, window=WINDOW, hop=1500.5, framewise_filters=framewise)


@pytest.mark.parametrize("framewise", [False, True])
def test_permutation(museval: Any, framewise: bool) -> None:
    r, e = scene(3, 1)
    compare(museval, r, e[[1, 2, 0]], window=WINDOW, hop=WINDOW, framewise_filters=framewise, compute_permutation=True)


@pytest.mark.parametrize("filters_len", [1, 7, 100])
def test_length_of_the_filters(museval: Any, filters_len: int) -> None:
    compare(museval, *scene(2, 2), window=WINDOW, hop=WINDOW, filters_len=filters_len)


def compare(museval: Any, r: np.ndarray, e: np.ndarray, filters_len: int = 128, **arguments: Any) -> None:
    ours = bss_eval(r, e, filters_len=filters_len, **arguments)
    with np.errstate(all="ignore"):
        theirs = museval.metrics.bss_eval(r, e, filters_len=filters_len, bsseval_sources_version=False, **arguments)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.array_equal(np.isnan(a), np.isnan(b))
        assert np.array_equal(np.isinf(a), np.isinf(b))
        assert np.abs(a - b)[np.isfinite(a)].max(initial=0) < 1e-6
