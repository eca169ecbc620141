"""Laws of the metrics: closed forms, limits and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepkit.errors import AudioError, OptionError
from sepkit.evaluation.metrics import (
    bleed_fullness,
    l1_freq,
    log_wmse,
    mrstft,
    sdr_bss4,
    sdr_mdx,
    si_sdr,
    si_sdri_windows,
    windows,
)

RATE = 22_050


def noise(*shape: int, seed: int = 0, gain: float = 0.1) -> np.ndarray:
    return gain * np.random.default_rng(seed).standard_normal(shape)


def test_sdr_mdx_is_its_closed_form_over_all_channels_and_samples():
    s = np.array([[3.0, 0.0], [0.0, 4.0]])
    e = np.array([[3.0, 1.0], [0.0, 2.0]])
    assert sdr_mdx(s, e) == pytest.approx(10 * np.log10((25 + 1e-7) / (5 + 1e-7)), abs=1e-12)


@pytest.mark.parametrize("error_db", [-40.0, -10.0, 0.0, 20.0])
def test_error_of_a_known_level_gives_that_level(error_db: float):
    s = noise(2, 5000)
    e = s + 10 ** (error_db / 20) * np.roll(s, 1, axis=0)  # the error is the other channel: equal energy
    assert sdr_mdx(s, e) == pytest.approx(-error_db, abs=1e-3)  # the epsilon is seen at 40 dB


def test_silence_is_zero_and_the_mixture_of_two_equal_stems_is_zero_too():
    s, other = noise(2, 20_000, seed=1), noise(2, 20_000, seed=2)
    assert sdr_mdx(s, np.zeros_like(s)) == pytest.approx(0.0, abs=1e-6)
    assert sdr_mdx(s, s + other) == pytest.approx(0.0, abs=0.2)


def test_a_perfect_estimate_is_finite_and_above_any_other():
    s = noise(2, 1000)
    perfect = sdr_mdx(s, s)
    assert np.isfinite(perfect)
    assert perfect == pytest.approx(10 * np.log10((s**2).sum() / 1e-7), abs=1e-4)
    assert sdr_mdx(np.zeros((1, 10)), np.zeros((1, 10))) == 0.0


def test_batches_are_the_single_results_stacked():
    s, e = noise(3, 4, 2, 500, seed=3), noise(3, 4, 2, 500, seed=4)
    for metric in (sdr_mdx, si_sdr):
        batched = metric(s, e)
        assert batched.shape == (3, 4)
        assert batched[1, 2] == metric(s[1, 2], e[1, 2])


@given(gain=st.floats(0.01, 100), sign=st.sampled_from([-1.0, 1.0]))
def test_si_sdr_does_not_see_the_estimates_scale_or_sign(gain: float, sign: float):
    s = noise(2, 4000, seed=5)
    e = s + noise(2, 4000, seed=6, gain=0.05)
    assert si_sdr(s, sign * gain * e) == pytest.approx(float(si_sdr(s, e)), abs=1e-3)


def test_si_sdr_is_the_ratio_of_projection_to_rest():
    s, n = noise(1, 8000, seed=7), noise(1, 8000, seed=8)
    n -= (n * s).sum() / (s**2).sum() * s  # orthogonal to the reference
    expected = 10 * np.log10((s**2).sum() / (n**2).sum()) + 20
    assert si_sdr(s, 3.0 * (s + 0.1 * n)) == pytest.approx(expected, abs=1e-5)


def test_one_scale_for_all_channels_so_that_lost_panning_costs():
    s = np.stack([noise(4000, seed=9), noise(4000, seed=10)])
    assert si_sdr(s, s * np.array([[1.0], [0.5]])) < 20  # per channel it would be perfect


def test_the_mixture_as_estimate_improves_by_nothing():
    s = noise(3, 2, 10 * RATE, seed=11)
    scores = si_sdri_windows(s, np.stack([s.sum(0)] * 3), s.sum(0), RATE, window_seconds=4, hop_seconds=2)
    assert scores.improvement.shape == (3, 4)
    assert np.abs(scores.improvement).max() == 0.0


def test_windows_in_which_only_one_stem_sounds_are_left_out_and_silent_ones_are_marked():
    s = noise(2, 1, 12 * RATE, seed=12)
    s[1, :, 4 * RATE :] = 0.0
    scores = si_sdri_windows(s, s, s.sum(0), RATE, window_seconds=4, hop_seconds=4)
    assert scores.active.tolist() == [[True], [True]]
    three = np.concatenate([s, noise(1, 1, 12 * RATE, seed=13)])
    scores = si_sdri_windows(three, three, three.sum(0), RATE, window_seconds=4, hop_seconds=4)
    assert scores.active.tolist() == [[True] * 3, [True, False, False], [True] * 3]


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
def test_the_silence_threshold_is_the_reference_codes_rms_at_every_rate(rate: int):
    rms = 1.5e-5 * np.sqrt(4 * 22_050)  # norm / samples = 1.5e-5 at 22,050 Hz and 4 s
    for factor, kept in ((1.01, 1), (0.99, 0)):
        s = np.ones((2, 1, 4 * rate)) * factor * rms
        scores = si_sdri_windows(s, s, s.sum(0), rate, window_seconds=4, hop_seconds=2)
        assert scores.improvement.shape == (2, kept)


@given(length=st.integers(1, 500), window=st.integers(2, 90), overlap=st.integers(0, 60))
def test_windows_cover_every_sample_and_only_the_last_is_short(length: int, window: int, overlap: int):
    hop = max(1, window - overlap)
    found = list(windows(length, window, hop))
    assert sorted({t for start, stop in found for t in range(start, stop)}) == list(range(length))
    assert [stop - start for start, stop in found[:-1]] == [window] * (len(found) - 1)
    assert [start for start, _ in found] == [hop * i for i in range(len(found))]


def test_unequal_shapes_are_an_error_that_shows_both():
    with pytest.raises(AudioError, match=r"\(2, 10\).*\(2, 11\)"):
        sdr_mdx(np.zeros((2, 10)), np.zeros((2, 11)))


@pytest.mark.parametrize(
    ("length", "window", "hop"), [(1000, 300, 300), (1000, 300, 130), (250, 300, 300), (600, 300, 7)]
)
def test_the_window_sdr_is_the_closed_form_on_museval_windows(length: int, window: int, hop: int):
    s, e = noise(3, 2, length, seed=20), noise(3, 2, length, seed=21)
    found = sdr_bss4(s, e, window_samples=window, hop_samples=hop)
    starts = range(0, length - window + 1, hop) if window < length else [0]
    assert found.shape == (3, len(starts))
    for index, start in enumerate(starts):
        part = np.s_[..., start : start + window]
        expected = 10 * np.log10((s[part] ** 2).sum((1, 2)) / ((s[part] - e[part]) ** 2).sum((1, 2)))
        np.testing.assert_allclose(found[:, index], expected, atol=1e-12)


def test_silent_windows_are_undefined_for_all_stems_or_for_their_own_only():
    s, e = noise(2, 2, 400, seed=22), noise(2, 2, 400, seed=23)
    s[0, :, 100:200] = 0.0
    e[1, 1, 200:300] = -e[1, 0, 200:300]  # channels that cancel are silence to museval
    framing = {"window_samples": 100, "hop_samples": 100}
    assert np.isnan(sdr_bss4(s, e, **framing)).tolist() == [[False, True, True, False]] * 2
    e[1, :, 300:] = 0.0
    own = np.isnan(sdr_bss4(s, e, silent="nan", **framing))
    assert own.tolist() == [[False, True, False, False], [False, False, False, True]]
    perfect = sdr_bss4(s, s, **framing)
    assert np.isposinf(perfect[:, 0]).all()


ALL_METRICS = {
    "sdr_mdx": sdr_mdx,
    "si_sdr": si_sdr,
    "sdr_bss4": lambda s, e: sdr_bss4([s], [e], window_samples=1000, hop_samples=1000),
    "si_sdri": lambda s, e: si_sdri_windows([s], [e], s, 8000, window_seconds=0.5, hop_seconds=0.5),
    "l1_freq": l1_freq,
    "mrstft": mrstft,
    "bleed_fullness": lambda s, e: bleed_fullness(s, e, 8000),
    "log_wmse": lambda s, e: log_wmse(s, e, s, 8000),
}


@pytest.mark.parametrize("name", ALL_METRICS)
def test_one_rule_for_what_no_metric_takes(name: str):
    metric = ALL_METRICS[name]
    s = 0.1 * np.random.default_rng(0).standard_normal((2, 4000))
    spoilt = s.copy()
    metric(s, 0.9 * s)
    spoilt[1, 7] = np.nan
    endless = s.copy()
    endless[0, 3], endless[0, 4] = np.inf, -np.inf
    pcm = np.round(32767 * np.clip(s, -1, 1)).astype(np.int16)
    for bad, told in (
        (pcm, "divide 16-bit PCM by 32768"),
        (s + 0j, "complex"),
        (spoilt, "NaN"),
        (endless, "NaN"),
        (s[:, :0], "at least one"),
        (s[0], "c t"),
        (s.T, "transpose"),
    ):
        with pytest.raises(AudioError, match=told):
            metric(bad, bad)
    if name not in ("log_wmse", "si_sdri"):  # whose mixture is the reference here
        with pytest.raises(AudioError, match="estimate"):
            metric(s, spoilt)


def test_what_is_no_sample_rate_or_window_is_refused():
    s = 0.1 * np.random.default_rng(0).standard_normal((2, 4000))
    for rate in (0, -1, float("nan")):
        for metric in (
            lambda rate: bleed_fullness(s, s, rate),
            lambda rate: log_wmse(s, s, s, rate),
            lambda rate: si_sdri_windows([s], [s], s, rate, window_seconds=1, hop_seconds=1),
        ):
            with pytest.raises(OptionError, match="sample rate"):
                metric(rate)
    for window, hop in ((1.0, 2.0), (1.0, 0.0)):
        with pytest.raises(OptionError, match="hop"):
            si_sdri_windows([s], [s], s, 8000, window_seconds=window, hop_seconds=hop)
    with pytest.raises(AudioError, match="an estimate for each"):
        si_sdri_windows([s, s], [s], s, 8000, window_seconds=1, hop_seconds=1)
