"""Laws of what a test plays: loudness as the standard calibrates it, anchors, levels, passages that sound."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isclose
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos

from sepkit import Audio
from sepkit.errors import AudioError, DatasetError
from sepkit.evaluation.listening.levels import CEILING_DBFS, MAX_BOOST_DB, common_gain, matched_gains, peak_dbfs
from sepkit.evaluation.listening.loudness import integrated_loudness, k_weighting
from sepkit.evaluation.listening.material import SourceTrack
from sepkit.evaluation.listening.passages import choose_passages, passages_of
from sepkit.evaluation.listening.sounds import faded, interference, low_passed, poor_example, tone_burst

RATE = 48_000


def sine(frequency_hz: float, seconds: float, level_dbfs: float = 0.0, channels: int = 1, rate: int = RATE):
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(10 ** (level_dbfs / 20) * tone, (channels, 1))


@pytest.mark.parametrize(
    ("rate", "tolerance"), [(48_000, 0.001), (44_100, 0.005), (96_000, 0.02), (22_050, 0.05), (8_000, 0.05)]
)
def test_a_full_scale_sine_of_997_hz_in_one_channel_has_minus_3_01_lufs(rate, tolerance):
    assert integrated_loudness(sine(997, 3, rate=rate), rate) == pytest.approx(-3.01, abs=tolerance)


def test_the_filters_are_those_that_bs_1770_tabulates_at_48_khz():
    shelf, high_pass = k_weighting(48_000)
    table = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    np.testing.assert_allclose(shelf, table, atol=1e-8)
    np.testing.assert_allclose(high_pass, [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621], atol=1e-8)


def test_other_rates_have_the_same_response():
    frequencies = np.array([30.0, 100.0, 1000.0, 5000.0, 10_000.0])
    at_48, at_44 = (np.abs(freqz_sos(k_weighting(rate), frequencies, fs=rate)[1]) for rate in (48_000, 44_100))
    np.testing.assert_allclose(20 * np.log10(at_44 / at_48), 0.0, atol=0.02)


def test_gates_leave_out_pauses_and_quiet_parts():
    """Cases 1, 3 and 4 of EBU Tech 3341: stereo tones of 1 kHz, whose levels the gates must sort out."""
    case = [sine(1000, seconds, level, 2, 8000) for level, seconds in ((-36, 10), (-23, 60), (-36, 10))]
    assert integrated_loudness(np.concatenate(case, axis=1), 8000) == pytest.approx(-23.0, abs=0.1)
    case = [sine(1000, 10, -72, 2, 8000), *case, sine(1000, 10, -72, 2, 8000)]
    assert integrated_loudness(np.concatenate(case, axis=1), 8000) == pytest.approx(-23.0, abs=0.1)
    assert integrated_loudness(sine(1000, 20, -23, channels=2), RATE) == pytest.approx(-23.0, abs=0.1)


def test_loudness_agrees_with_pyloudnorm():
    meter = pytest.importorskip("pyloudnorm").Meter(44_100, filter_class="DeMan")
    noise = np.random.default_rng(0).standard_normal((2, 5 * 44_100)) * np.linspace(0, 0.2, 5 * 44_100)
    assert integrated_loudness(noise, 44_100) == pytest.approx(meter.integrated_loudness(noise.T), abs=0.05)


def test_silence_has_no_loudness_and_too_little_sound_is_refused():
    assert integrated_loudness(np.zeros((2, RATE)), RATE) == -inf
    assert integrated_loudness(sine(1000, 1, -90), RATE) == -inf
    with pytest.raises(AudioError, match=r"0\.300 s"):
        integrated_loudness(sine(1000, 0.3), RATE)


@settings(max_examples=15, deadline=None)
@given(
    gains_db=st.lists(st.floats(-18, 12), min_size=1, max_size=4),
    crest=st.floats(1.0, 8.0),
    seed=st.integers(0, 1000),
)
def test_matched_stimuli_are_equally_loud_and_none_clips(gains_db, crest, seed):
    dice = np.random.default_rng(seed)
    stimuli = []
    for gain in gains_db:
        noise = 0.05 * dice.standard_normal((2, 16_000))
        noise[:, 8000] *= crest
        stimuli.append(noise * 10 ** (gain / 20))
    levels = matched_gains(stimuli, 8000)
    played = [x * 10 ** (gain / 20) for x, gain in zip(stimuli, levels.gains_db, strict=True)]
    loudness = [integrated_loudness(x, 8000) for x in played]
    if max(gains_db) - min(gains_db) < MAX_BOOST_DB - 1:
        assert max(loudness) - min(loudness) < 0.1
    assert max(map(peak_dbfs, played)) <= CEILING_DBFS + 1e-9
    assert levels.target_lufs is not None
    assert levels.target_lufs <= -23 + 1e-9


def test_an_almost_empty_estimate_is_not_blown_up_and_silence_stays_silent():
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 16_000))
    levels = matched_gains([noise, noise * 0.02, 0 * noise], 8000)
    assert levels.gains_db[1] - levels.gains_db[0] == pytest.approx(MAX_BOOST_DB)
    assert levels.gains_db[2] == levels.gains_db[0]
    assert matched_gains([0 * noise], 8000).gains_db == [0.0]


def test_the_common_gain_only_ever_lowers_and_keeps_differences():
    quiet, loud = sine(100, 1, -20), sine(100, 1, 6)
    assert common_gain([quiet]).gains_db == [0.0]
    gains = common_gain([quiet, loud]).gains_db
    assert gains[0] == gains[1] == pytest.approx(CEILING_DBFS - 6, abs=1e-3)


def test_fades_reach_silence_and_leave_the_middle_and_the_input_alone():
    samples = np.ones((2, 4800))
    out = faded(samples, RATE)
    assert np.abs(out[:, [0, -1]]).max() < 1e-4
    assert np.abs(np.diff(out, axis=-1)).max() < 0.004
    np.testing.assert_array_equal(out[:, 480:-480], 1.0)
    np.testing.assert_array_equal(samples, 1.0)


@pytest.mark.parametrize("cutoff_hz", [3500.0, 7000.0])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_an_anchor_keeps_what_lies_below_and_loses_what_lies_above_without_delay(cutoff_hz, rate):
    impulse = np.zeros((1, 8192))
    impulse[0, 4096] = 1.0
    response = np.fft.rfft(np.roll(low_passed(impulse, rate, cutoff_hz)[0], -4096))
    frequencies = np.fft.rfftfreq(8192, 1 / rate)
    level = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(level[frequencies <= cutoff_hz]).max() < 0.1
    assert level[frequencies >= cutoff_hz + 500].max() < -60
    assert np.abs(response.imag).max() < 1e-9  # symmetric about the impulse: no delay


def test_interference_is_as_loud_as_the_target_and_is_the_mixtures():
    dice = np.random.default_rng(1)
    target, band = 0.1 * dice.standard_normal((2, 44_100)), 0.01 * dice.standard_normal((2, 44_100))
    added = interference(target, target + band, 44_100) - target
    assert integrated_loudness(added, 44_100) == pytest.approx(integrated_loudness(target, 44_100), abs=0.01)
    np.testing.assert_allclose(added / added[0, 0], band / band[0, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(interference(target, target, 44_100), target)
    assert np.abs(np.fft.rfft(poor_example(target, target + band, 44_100)[0]))[6000:].max() < 1.0


def test_the_tone_burst_is_as_loud_as_asked_and_has_gaps():
    burst = tone_burst(44_100, 2, -20.0)
    assert integrated_loudness(burst, 44_100) == pytest.approx(-20.0, abs=0.01)
    assert burst.shape == (2, 5 * 44_100)
    assert not burst[:, 22_050:44_100].any()


def track(folder: Path, name: str, sounds: np.ndarray, rate: int = 8000) -> SourceTrack:
    """A song whose stem sounds in the tenths of a second that `sounds` marks."""
    noise = np.random.default_rng(0).standard_normal((1, len(sounds) * rate // 10)) * np.repeat(sounds, rate // 10)
    path = folder / f"{name}.wav"
    Audio(torch.from_numpy(0.1 * noise.astype(np.float32)), rate).write(path)
    return SourceTrack(name, path, None, {}, rate, 1)


def test_passages_lie_where_the_stem_sounds_and_do_not_overlap(tmp_path):
    sounds = np.zeros(300)
    sounds[100:180] = 1.0
    for seed in range(4):
        found = passages_of(track(tmp_path, f"a{seed}", sounds), 2.0, seed)
        assert found
        for passage in found:
            assert passage.sounding >= 0.8
            assert 9.5 <= passage.start_seconds <= 16.5
        starts = sorted(passage.start_seconds for passage in found)
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(starts))


def test_the_best_passages_serve_where_none_is_full_and_an_empty_stem_has_none(tmp_path):
    half = np.zeros(100)
    half[40:50] = 1.0
    assert passages_of(track(tmp_path, "half", half), 2.0, 0)[0].sounding == pytest.approx(0.5)
    assert passages_of(track(tmp_path, "empty", np.zeros(100)), 2.0, 0) == []
    assert passages_of(track(tmp_path, "short", np.ones(10)), 2.0, 0) == []


def test_every_track_is_used_before_any_is_used_twice_and_training_has_one_of_its_own(tmp_path):
    tracks = [track(tmp_path, f"t{index}", np.ones(100)) for index in range(4)]
    chosen, training = choose_passages(tracks, 3, 2.0, seed=1)
    assert len({passage.track.name for passage in [*chosen, training]}) == 4
    more, training = choose_passages(tracks[:2], 3, 2.0, seed=1)
    assert len({(passage.track.name, passage.start_samples) for passage in [*more, training]}) == 4
    assert choose_passages(tracks[::-1], 3, 2.0, seed=1)[0] == chosen
    assert choose_passages(tracks, 3, 2.0, seed=2)[0] != chosen


def test_too_few_passages_are_counted_in_the_error(tmp_path):
    only = [track(tmp_path, "only", np.ones(20))]
    _, training = choose_passages(only, 1, 2.0, seed=0)
    assert isclose(training.start_seconds, 0.0)
    with pytest.raises(DatasetError, match=r"5 excerpts of 2 s .* 1 track\(s\) have 1 passages"):
        choose_passages(only, 5, 2.0, seed=0)
