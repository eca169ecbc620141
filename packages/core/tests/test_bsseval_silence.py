"""BSS Eval where sources are silent, and which estimate belongs to which reference."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from scipy.signal import lfilter

from sepkit.errors import AudioError
from sepkit.evaluation import bsseval
from sepkit.evaluation.bsseval import sdr_windows
from sepkit.evaluation.bsseval.permutation import best_order

WINDOW = 3000
bss_eval = partial(bsseval.bss_eval, filters_len=48)  # rules do not depend on the length of the filters
evaluate = partial(bsseval.evaluate, filters_len=48)


def scene(sources: int = 2, channels: int = 2, samples: int = 9000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    r = lfilter([0.1], [1, -0.7], rng.standard_normal((sources, samples, channels)), axis=1)
    return r, r + 0.05 * r.sum(0) + 0.003 * rng.standard_normal(r.shape)


def silenced(what: str) -> tuple[np.ndarray, np.ndarray]:
    r, e = scene()
    if what == "reference":
        r[0, WINDOW : 2 * WINDOW] = 0
    if what == "estimate":
        e[0, WINDOW : 2 * WINDOW] = 0
    if what == "antiphase":
        r[0, WINDOW : 2 * WINDOW, 1] = -r[0, WINDOW : 2 * WINDOW, 0]
    return r, e


@pytest.mark.parametrize("framewise", [False, True])
@pytest.mark.parametrize("what", ["reference", "estimate", "antiphase"])
def test_musevals_rule_takes_all_sources_of_a_window(what: str, framewise: bool):
    found = bss_eval(*silenced(what), window=WINDOW, hop=WINDOW, framewise_filters=framewise)
    for values in found[:4]:
        assert np.isnan(values).tolist() == [[False, True, False]] * 2
    sdr = sdr_windows(*silenced(what), window=WINDOW, hop=WINDOW, silent="museval")
    assert np.array_equal(sdr, found.sdr, equal_nan=True)


@pytest.mark.parametrize("framewise", [False, True])
@pytest.mark.parametrize("what", ["reference", "estimate"])
def test_the_other_rule_takes_the_silent_source_only(what: str, framewise: bool):
    found = evaluate(*silenced(what), window=WINDOW, hop=WINDOW, framewise_filters=framewise)
    for values in (found.sdr, found.isr, found.sir, found.sar):
        assert np.isnan(values).tolist() == [[False, True, False], [False, False, False]]
    if not framewise:
        strict = bss_eval(*silenced(what), window=WINDOW, hop=WINDOW)
        for name in ("sdr", "isr", "sir", "sar"):
            assert np.array_equal(getattr(found, name)[:, [0, 2]], getattr(strict, name)[:, [0, 2]])


def test_antiphase_is_sound_to_the_other_rule():
    found = evaluate(*silenced("antiphase"), window=WINDOW, hop=WINDOW)
    assert np.all(np.isfinite(found.sar))


@pytest.mark.parametrize("framewise", [False, True])
def test_a_reference_silent_over_the_track_leaves_the_others_as_without_it(framewise: bool):
    r, e = scene(3)
    r[1] = 0
    found = evaluate(r, e, window=WINDOW, hop=WINDOW, framewise_filters=framewise)
    without = evaluate(r[[0, 2]], e[[0, 2]], window=WINDOW, hop=WINDOW, framewise_filters=framewise)
    for name in ("sdr", "isr", "sir", "sar"):
        assert np.all(np.isnan(getattr(found, name)[1]))
        assert getattr(found, name)[[0, 2]] == pytest.approx(getattr(without, name), abs=1e-9)


def test_all_references_but_one_silent_is_one_source():
    r, e = scene(2)
    r[1] = 0
    found = evaluate(r, e, window=WINDOW, hop=WINDOW)
    assert np.all(found.sir[0] == np.inf)
    assert np.all(np.isfinite(found.sar[0]))


def test_a_silent_estimate_of_a_track_is_undefined_alone():
    r, e = scene(2)
    plain = evaluate(r, e, window=WINDOW, hop=WINDOW)
    e[1] = 0
    found = evaluate(r, e, window=WINDOW, hop=WINDOW)
    assert np.all(np.isnan(found.sdr[1]))
    assert found.sar[0] == pytest.approx(plain.sar[0], abs=1e-9)
    assert np.all(np.isnan(evaluate(0 * r, e, window=WINDOW, hop=WINDOW).sdr))


@pytest.mark.parametrize("rule", ["museval", "raise"])
@pytest.mark.parametrize("which", [0, 1])
def test_silence_over_the_track_is_an_error_to_museval(rule: str, which: int):
    signals = scene()
    signals[which][1] = 0
    for call in (bsseval.bss_eval, sdr_windows):
        with pytest.raises(ValueError, match=r"Source 1 of the (references|estimates) is silent over the whole track"):
            call(*signals, window=WINDOW, hop=WINDOW, silent=rule)


def test_raise_names_source_and_window():
    with pytest.raises(AudioError, match="Source 0 of the references is silent from sample 3000 to 6000"):
        bss_eval(*silenced("reference"), window=WINDOW, hop=WINDOW, silent="raise")


@pytest.mark.parametrize("framewise", [False, True])
def test_a_planted_order_is_found(framewise: bool):
    r, e = scene(3, 1)
    order = [2, 0, 1]  # estimate order[i] belongs to reference i
    shuffled = np.empty_like(e)
    shuffled[order] = e
    found = bss_eval(r, shuffled, window=WINDOW, hop=WINDOW, compute_permutation=True, framewise_filters=framewise)
    plain = bss_eval(r, e, window=WINDOW, hop=WINDOW, framewise_filters=framewise)
    assert found.permutation.tolist() == [[i] * (3 if framewise else 1) for i in order]
    assert found.sar == pytest.approx(plain.sar, abs=1e-8)
    assert found.sir == pytest.approx(plain.sir, abs=1e-8)


def test_eight_sources_in_any_order():
    r, e = scene(8, 1, 4000)
    order = np.random.default_rng(3).permutation(8)
    shuffled = np.empty_like(e)
    shuffled[order] = e
    found = bss_eval(r, shuffled, window=2000, hop=2000, filters_len=32, compute_permutation=True)
    assert found.permutation[:, 0].tolist() == order.tolist()


def test_one_silent_window_leaves_museval_with_the_given_order():
    r, e = silenced("reference")
    arguments = {"window": WINDOW, "hop": WINDOW, "compute_permutation": True}
    assert bss_eval(r, e[::-1], **arguments).permutation.tolist() == [[0], [1]]
    assert evaluate(r, e[::-1], **arguments).permutation.tolist() == [[1], [0]]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_the_one_that_trying_all_finds_first(seed: int):
    rng = np.random.default_rng(seed)
    sir = rng.integers(0, 3, (4, 4, 2)).astype(float)  # many ties
    orders = list(itertools.permutations(range(4)))
    best = orders[int(np.argmax([sir[np.arange(4), list(order)].mean() for order in orders]))]
    assert tuple(best_order(sir, skip_undefined=False)) == best
