"""Laws of intervals, tests and ranks: coverage, closed forms, enumeration, order invariance, refusal within noise."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, rankdata, wilcoxon

from sepkit.errors import OptionError
from sepkit.evaluation.recipe import aggregate
from sepkit.evaluation.statistics import (
    bootstrap_interval,
    difference_interval,
    holm,
    mean_interval,
    paired_difference,
    rank,
    sign_flip_p,
    smallest_p,
    stem_intervals,
    wilcoxon_p,
)
from sepkit.evaluation.statistics.intervals import expanded_tail
from sepkit.evaluation.statistics.resampling import draws_of, over_tracks, resampled

VALUES = st.lists(st.floats(-50, 50).map(lambda value: round(value, 3)), min_size=1, max_size=12)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("statistic", "tracks"), [("mean", 6), ("mean", 12), ("mean", 40), ("median", 15)])
def test_an_interval_of_95_percent_covers_the_truth_about_95_times_in_100(statistic: str, tracks: int):
    samples = normal(600, tracks, seed=1)
    found = [bootstrap_interval(x, statistic, resamples=1500) for x in samples]
    assert 0.92 <= np.mean([interval.low <= 0.0 <= interval.high for interval in found]) <= 0.98


def test_a_paired_interval_covers_the_difference_however_much_the_tracks_differ():
    hard = 20 * normal(400, 20, 1, seed=2)  # what the methods share
    first, second = hard + normal(400, 20, 1, seed=3) + 1.5, hard + normal(400, 20, 1, seed=4)
    ones = np.ones((20, 1))
    found = [difference_interval(a, b, ones, "mean", resamples=1500) for a, b in zip(first, second, strict=True)]
    assert 0.92 <= np.mean([interval.low <= 1.5 <= interval.high for interval in found]) <= 0.98
    assert np.median([interval.high - interval.low for interval in found]) < 2.0  # an unpaired one is some 25 wide


def test_percentiles_are_scipys_at_the_widened_level_and_those_of_t_for_a_mean():
    x = normal(25, seed=5)
    ours = bootstrap_interval(x, resamples=40_000)
    level = 1 - 2 * expanded_tail(0.95, len(x))
    theirs = bootstrap((x,), np.mean, method="percentile", confidence_level=level, n_resamples=40_000, rng=1)
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)
    half = 2.0639 * x.std(ddof=1) / 5  # t of 24 degrees of freedom
    assert width / 2 == pytest.approx(half, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(values=VALUES, statistic=st.sampled_from(["mean", "median", "window_mean"]), seed=st.integers(0, 3))
def test_order_does_not_matter_and_the_estimate_is_the_tables(values: list[float], statistic: str, seed: int):
    windows = [1 + index % 5 for index in range(len(values))]
    order = np.random.default_rng(seed).permutation(len(values))
    one = bootstrap_interval(values, statistic, weights=windows, resamples=200, seed=seed)
    other = bootstrap_interval(
        np.array(values)[order], statistic, weights=np.array(windows)[order], resamples=200, seed=seed
    )
    assert one == other
    assert one.estimate == pytest.approx(aggregate(values, windows, statistic), abs=1e-9)
    if len(values) < 3:
        assert (one.low, one.high) == (None, None)
        assert f"{len(values)} track(s)" in one.reason
    else:
        assert min(values) - 1e-9 <= one.low <= one.high <= max(values) + 1e-9


def test_seeds_repeat_and_differ_and_equal_tracks_have_no_width():
    x = normal(10)
    assert bootstrap_interval(x, seed=7) == bootstrap_interval(x, seed=7)
    assert bootstrap_interval(x, seed=7) != bootstrap_interval(x, seed=8)
    for statistic in ("mean", "median", "window_mean"):
        equal = bootstrap_interval([2.5] * 4, statistic, weights=[1, 2, 3, 4])
        assert (equal.low, equal.estimate, equal.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("statistic", ["mean", "median", "window_mean"])
def test_a_resample_has_the_statistic_of_its_tracks(statistic: str):
    values, weights = normal(9, 2), 1.0 + np.arange(18.0).reshape(9, 2)
    values[3, 1] = np.nan
    draws = draws_of(9, 50, 0)
    assert (draws.counts.sum(axis=0) == 9).all()
    drawn = resampled(values, weights, statistic, draws)
    for r in range(50):
        rows = np.repeat(np.arange(9), draws.counts[:, r])
        assert drawn[:, r] == pytest.approx(over_tracks(values[rows], weights[rows], statistic), abs=1e-12)


def test_stems_of_a_track_are_drawn_together():
    song = normal(30, 1)
    same = np.repeat(song, 4, axis=1)  # four stems that say the same: no more is known than from one
    ones = np.ones((30, 4))
    one, whole = bootstrap_interval(song[:, 0]), mean_interval(same, ones, "mean")
    assert whole.high - whole.low == pytest.approx(one.high - one.low, rel=0.1)
    missing = same.copy()
    missing[4, 2] = np.nan
    for table in (same, missing):
        single, mean = stem_intervals(table, ones, "median")
        assert mean == mean_interval(table, ones, "median")
        assert single[2].tracks == 30 - np.isnan(table[:, 2]).sum()
        assert single[0].low == pytest.approx(mean_interval(table[:, :1], ones[:, :1], "median").low)


def test_what_has_no_statistic_is_refused():
    for values, more in (
        ([], {}),
        ([1.0, np.nan], {}),
        ([1.0, np.inf], {}),
        ([[1.0]], {}),
        ([1.0, 2.0], {"weights": [1.0]}),
        ([1.0, 2.0], {"weights": [1.0, 0.0]}),
        ([1.0, 2.0, 3.0], {"level": 1.0}),
    ):
        with pytest.raises(OptionError):
            bootstrap_interval(values, **more)
    with pytest.raises(OptionError, match="did you mean 'median'"):
        bootstrap_interval([1.0], "medain")
    with pytest.raises(OptionError, match=r"2 track scores and the second 3"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


def test_sign_flips_are_counted_out():
    d = np.array([0.3, -0.1, 0.7, 0.4, 0.25])
    sums = [abs(np.dot(signs, d)) for signs in product((1, -1), repeat=5)]
    by_hand = np.mean(np.array(sums) >= abs(d.sum()) - 1e-12)
    assert sign_flip_p(d[:, None])[0] == by_hand == 4 / 32
    assert sign_flip_p(np.abs(d)[:, None])[0] == smallest_p(5) == 2 / 32
    for order in permutations(range(5)):
        assert sign_flip_p(d[list(order), None])[0] == by_hand
    padded = np.concatenate([d, [0.0, np.nan, 0.0]])  # tracks that say nothing
    assert sign_flip_p(padded[:, None])[0] == by_hand


def test_random_sign_flips_agree_with_t_and_with_exact_ones_and_repeat():
    d = np.concatenate([normal(15, seed=8) + 0.5, [1e-9, 1e-9]])  # two more that hardly count
    exact = sign_flip_p(d[:15, None])[0]
    random = sign_flip_p(d[:, None], flips=20_000, seed=3)[0]
    assert random == pytest.approx(exact, abs=0.01)
    assert random == sign_flip_p(d[::-1, None], flips=20_000, seed=3)[0]
    assert random != sign_flip_p(d[:, None], flips=20_000, seed=4)[0]
    assert sign_flip_p(np.ones((40, 1)), flips=999)[0] == 1 / 1000


def test_columns_do_not_influence_each_other():
    d = normal(20, 3, seed=9)
    d[4:, 1] = 0.0
    d[2:7, 2] = np.nan
    for p in (sign_flip_p, wilcoxon_p):
        assert p(d) == pytest.approx([p(d[:, [column]])[0] for column in range(3)])


def test_signed_ranks_are_scipys_and_those_counted_out():
    d = np.array([0.3, -0.1, 0.7, 0.4, 0.25, 0.9])
    ranks = rankdata(np.abs(d))
    observed = abs((np.sign(d) * ranks).sum())
    by_hand = np.mean([abs(np.dot(signs, ranks)) >= observed for signs in product((1, -1), repeat=6)])
    assert wilcoxon_p(d[:, None])[0] == pytest.approx(by_hand) == pytest.approx(wilcoxon(d).pvalue)
    assert list(wilcoxon_p(np.array([[0.0, np.nan], [0.0, np.nan]]))) == [1.0, 1.0]
    assert wilcoxon_p(np.abs(d[:3, None]))[0] == 0.25


def test_tests_of_no_difference_reject_one_time_in_twenty():
    d = normal(12, 2000, seed=10)
    for p in (sign_flip_p(d), wilcoxon_p(d)):
        assert 0.03 <= np.mean(p <= 0.05) <= 0.065


def test_holm_by_hand():
    # sorted: 0.01 * 4 = 0.04, 0.02 * 3 = 0.06, 0.03 * 2 = 0.06, 0.5 * 1 = 0.5
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.04, 0.02]) == pytest.approx([0.04, 0.04])  # none may be below one before it
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]).size == 0
    for wrong in ([-0.1], [1.1], [np.nan]):
        with pytest.raises(OptionError):
            holm(wrong)


def test_a_paired_difference_is_that_of_the_numbers_in_the_table():
    a, b = normal(21, seed=11) + 1, normal(21, seed=12)
    windows = np.arange(1.0, 22.0)
    for statistic in ("mean", "median", "window_mean"):
        found = paired_difference(a, b, statistic, weights=windows)
        wanted = aggregate(list(a), list(windows), statistic) - aggregate(list(b), list(windows), statistic)
        assert found.difference.estimate == pytest.approx(wanted)
        swapped = paired_difference(b[::-1], a[::-1], statistic, weights=windows[::-1])
        assert swapped.difference.estimate == pytest.approx(-wanted)
        assert (swapped.wilcoxon_p, swapped.tracks) == (pytest.approx(found.wilcoxon_p), 21)
    same = paired_difference(a, a)
    assert (same.differing, same.wilcoxon_p, same.sign_flip_p, same.smallest_p) == (0, 1.0, 1.0, 1.0)


def test_ranks_order_what_is_clear_and_refuse_within_noise():
    song = 5 * normal(30, seed=13)
    scores = {
        "best": song + 3 + 0.5 * normal(30, seed=14),
        "twin": song + 0.5 * normal(30, seed=15),
        "other twin": song + 0.02 + 0.5 * normal(30, seed=16),
        "worst": song - 3 + 0.5 * normal(30, seed=17),
    }
    weights = dict.fromkeys(scores, np.ones(30))
    for statistic in ("mean", "median", "window_mean"):
        ranking = rank(scores, statistic, weights=weights)
        places = {name: str(place) for name, place in ranking.places.items()}
        assert places == {"best": "1", "twin": "2–3", "other twin": "2–3", "worst": "4"}
        assert ranking.methods[0] == "best"
        assert ranking.compare("twin", "other twin").verdict == "within noise"
        assert ranking.compare("worst", "best").verdict == ranking.compare("worst", "best").explanation == "worse"
        assert ranking.compare("best", "worst").difference > 5
        reverse = rank(scores, statistic, weights=weights, higher_is_better=False)
        assert {name: str(place) for name, place in reverse.places.items()} == {
            "best": "4",
            "twin": "2–3",
            "other twin": "2–3",
            "worst": "1",
        }
        assert reverse.methods == ranking.methods[::-1]
    with pytest.raises(OptionError, match="twin"):
        ranking.compare("best", "none")


def test_a_tie_of_all_is_rarely_broken():
    broken = 0
    for seed in range(60):
        scores = {str(index): column for index, column in enumerate(normal(15, 5, seed=seed).T)}
        broken += any(place.first != 1 or place.last != 5 for place in rank(scores).places.values())
    assert broken <= 8  # 5 % of 60 is 3; one in 500 such tests would see more than 8


def test_too_few_tracks_are_underpowered_and_never_equal():
    ranking = rank({"a": [9.0, 9.1, 9.2], "b": [1.0, 1.3, 1.1]})
    [comparison] = ranking.comparisons
    assert comparison.explanation == "underpowered: 3 tracks cannot show a difference at 5 %"
    assert str(ranking.places["a"]) == str(ranking.places["b"]) == "1–2"
    assert any("underpowered" in note for note in ranking.notes())
    assert not any("equal" in note for note in ranking.notes())
    many = rank({name: float(index) + 0.01 * normal(8, seed=index) for index, name in enumerate("abcdefg")})
    assert {c.verdict for c in many.comparisons} == {"underpowered"}  # 2 ** -7 times 21 pairs
    assert "8 tracks cannot show a difference at 5 % among 21 pairs" in many.comparisons[0].explanation
    assert {c.verdict for c in rank({"a": normal(8), "b": normal(8) - 1}).comparisons} == {"better"}


def test_a_method_that_is_the_same_differs_nowhere():
    [comparison] = rank({"a": [1.0, 2.0], "b": [1.0, 2.0]}).comparisons
    assert (comparison.verdict, comparison.explanation) == ("no difference", "the same on all 2 track(s)")
    few = np.arange(8.0)
    [comparison] = rank({"a": few, "b": np.where(few < 2, few - 1, few)}).comparisons
    assert "2 differing of 8 tracks cannot show" in comparison.explanation


def test_only_common_tracks_and_stems_are_compared():
    a, b = normal(20, 2, seed=20) + 2, normal(20, 2, seed=21)
    a[:5] = np.nan
    b[5, 1] = b[19] = np.nan
    ranking = rank({"a": a, "b": b, "none": np.full((20, 2), np.nan)})
    common = ranking.compare("a", "b")
    assert common.tracks == 14
    kept = slice(5, 19)
    masked = np.where(np.isnan(b[kept]), np.nan, a[kept])
    assert common.difference == pytest.approx((np.nanmean(masked, axis=0) - np.nanmean(b[kept], axis=0)).mean())
    interval = difference_interval(a, b, np.ones((20, 2)), "mean")
    assert (interval.tracks, interval.estimate) == (14, pytest.approx(common.difference))
    assert ranking.compare("none", "a").verdict == "not comparable"
    assert ranking.methods[-1] == "none"
    alone = rank({"a": a, "b": b}).compare("a", "b")
    assert alone.corrected_p == common.corrected_p  # a pair without a common track is no test


def test_ranks_do_not_depend_on_the_order_of_methods_or_tracks():
    scores = {name: normal(18, 3, seed=index) + index for index, name in enumerate("abc")}
    order = np.random.default_rng(0).permutation(18)
    shuffled = {name: scores[name][order] for name in "cab"}
    one, other = rank(scores), rank(shuffled)
    assert one.places == other.places
    for first, second in zip(one.comparisons, other.comparisons, strict=True):
        assert (first.first, first.second) == (second.first, second.second)
        assert first.corrected_p == pytest.approx(second.corrected_p)


def test_many_methods_can_still_be_told_apart():
    scores = {f"{index:02}": index + 0.1 * normal(17, seed=index) for index in range(34)}  # 561 pairs
    assert [place.first for place in rank(scores).places.values()] == list(range(1, 35))


def test_shapes_that_differ_are_named():
    with pytest.raises(OptionError, match=r"a \(3, 1\), b \(4, 1\)"):
        rank({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0, 4.0]})
    assert rank({"a": [1.0]}).comparisons == ()
    assert rank({"a": [1.0]}).notes() == []


def test_what_is_no_level_statistic_or_count_is_refused():
    two = {"a": [5.0, 6.0], "b": [1.0, 1.5]}
    for level in (5, 0.0, 1.0, -0.05, float("nan")):
        with pytest.raises(OptionError, match="level"):
            rank(two, level=level)
    with pytest.raises(OptionError, match="did you mean 'mean'"):
        rank(two, "meen")  # type: ignore[arg-type]
    for call in (
        lambda: rank(two, "window_mean"),
        lambda: bootstrap_interval([1.0, 2.0, 3.0], "window_mean"),
        lambda: paired_difference([1.0, 2.0], [2.0, 1.0], "window_mean"),
    ):
        with pytest.raises(OptionError, match="weights"):
            call()
    for resamples in (0, -1):
        with pytest.raises(OptionError, match="resamples"):
            bootstrap_interval([1.0, 2.0, 3.0], resamples=resamples)
        with pytest.raises(OptionError, match="flips"):
            paired_difference([1.0, 2.0], [2.0, 3.5], flips=resamples)


def test_tied_ranks_are_counted_out_and_never_beat_the_smallest_p():
    d = np.array([1, 1, 2, 2, 3, -1, 4, -5, 6, 0, np.nan])
    kept = d[~np.isnan(d) & (d != 0)]
    ranks = rankdata(np.abs(kept))
    observed = abs((np.sign(kept) * ranks).sum())
    by_hand = np.mean([abs(np.dot(signs, ranks)) >= observed - 1e-9 for signs in product((1, -1), repeat=9)])
    assert wilcoxon_p(d[:, None])[0] == pytest.approx(by_hand)
    for tracks in range(1, 17):
        assert wilcoxon_p(np.ones((tracks, 1)))[0] == pytest.approx(smallest_p(tracks))
    many = np.round(normal(40, 1, seed=11) + 0.3, 1)
    assert wilcoxon_p(many)[0] == pytest.approx(wilcoxon(many[many != 0], method="asymptotic").pvalue)
    clear = normal(60, 2, seed=12)
    assert wilcoxon_p(clear) == pytest.approx(wilcoxon(clear, axis=0, method="asymptotic").pvalue)
    assert wilcoxon_p(clear[:50]) == pytest.approx(wilcoxon(clear[:50], axis=0, method="exact").pvalue)
