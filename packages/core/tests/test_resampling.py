"""Laws of resampling: exact lengths, no dependence on blocks, no delay, and a round trip that returns the sound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepkit.errors import AudioError
from sepkit.resampling import StreamResampler, resample, resampled_length

RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
PAIRS = [(44_100, rate) for rate in RATES] + [(rate, 44_100) for rate in RATES] + [(44_100, 44_101), (7_919, 10_007)]
QUICK = settings(max_examples=60, deadline=None)


def noise(length_samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, length_samples)).astype(np.float32)


def streamed(samples: np.ndarray, in_rate: int, out_rate: int, sizes: list[int]) -> np.ndarray:
    """Push blocks of the given sizes, again and again, until all is in."""
    stream = StreamResampler(in_rate, out_rate, len(samples))
    parts, start, turn = [np.zeros((len(samples), 0), np.float32)], 0, 0
    while start < samples.shape[1]:
        size = sizes[turn % len(sizes)]
        parts.append(stream.push(samples[:, start : start + size]))
        start, turn = start + size, turn + 1
    return np.concatenate([*parts, stream.finish()], axis=1)


@QUICK
@given(
    pair=st.sampled_from(PAIRS),
    length_samples=st.integers(0, 20_000),
    channels=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=6).filter(any),
)
def test_length_is_exact_and_blocks_do_not_matter(pair, length_samples, channels, sizes):
    samples = noise(length_samples, channels)
    whole = resample(samples, *pair)
    assert whole.shape == (channels, round(Fraction(length_samples * pair[1], pair[0])))
    if length_samples:
        assert streamed(samples, *pair, sizes).tobytes() == whole.tobytes()


@QUICK
@given(pair=st.sampled_from(PAIRS), length_samples=st.integers(0, 3_000), more=st.integers(-3, 500))
def test_any_length_near_the_natural_one_can_be_asked_for(pair, length_samples, more):
    samples = noise(length_samples)
    natural = resample(samples, *pair)
    wanted = max(0, natural.shape[1] + more)
    asked = resample(samples, *pair, wanted)
    assert asked.shape == (1, wanted)
    both = min(wanted, natural.shape[1])
    assert asked[:, :both].tobytes() == natural[:, :both].tobytes()


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("share_of_nyquist", "error_db"), [(0.5, -110), (0.91, -60)])
def test_a_round_trip_returns_the_sound(pair, share_of_nyquist, error_db):
    in_rate, out_rate = pair
    spectrum = np.fft.rfft(noise(in_rate)[0])
    spectrum[np.fft.rfftfreq(in_rate, 1 / in_rate) > share_of_nyquist * min(pair) / 2] = 0
    faded = np.fft.irfft(spectrum, in_rate) * np.hanning(in_rate)  # silent at the ends, like a song
    sound = (faded / np.abs(faded).max()).astype(np.float32)[np.newaxis]
    back = resample(resample(sound, in_rate, out_rate), out_rate, in_rate, in_rate)
    assert 20 * np.log10(np.abs(back - sound).max() + 1e-12) < error_db


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_is_above_the_lower_nyquist_frequency_is_removed(pair):
    t = np.arange(pair[0]) / pair[0]
    frequency_hz = (pair[0] / 2 + pair[1] / 2) / 2 if pair[0] - pair[1] > 10 else None
    if frequency_hz is None:
        pytest.skip("the two rates are nearly equal: nothing lies between their Nyquist frequencies")
    sine = (np.sin(2 * np.pi * frequency_hz * t) * np.hanning(pair[0])).astype(np.float32)[np.newaxis]
    assert 20 * np.log10(np.abs(resample(sine, *pair)).max() + 1e-12) < -120


@pytest.mark.parametrize("pair", PAIRS)
def test_sound_stays_where_it_is_in_time(pair):
    in_rate, out_rate = pair
    frequency_hz = min(pair) / 20
    window = np.hanning(in_rate)
    sine = (np.sin(2 * np.pi * frequency_hz * np.arange(in_rate) / in_rate) * window).astype(np.float32)
    t = np.arange(resampled_length(in_rate, *pair)) / out_rate
    expected = np.sin(2 * np.pi * frequency_hz * t) * (0.5 - 0.5 * np.cos(2 * np.pi * t * in_rate / (in_rate - 1)))
    np.testing.assert_allclose(resample(sine[np.newaxis], *pair)[0], expected, atol=1e-5)


def test_channels_do_not_mix():
    samples = noise(5_000, 3)
    together = resample(samples, 48_000, 44_100)
    for channel, alone in zip(together, samples, strict=True):
        assert channel.tobytes() == resample(alone[np.newaxis], 48_000, 44_100)[0].tobytes()


@pytest.mark.parametrize("pair", [(44_100, 44_100), (48_000, 44_100)])
def test_input_is_left_alone_and_not_shared(pair):
    samples = torch.from_numpy(noise(1_000, 2))
    before = samples.clone()
    out = resample(samples, *pair)
    assert isinstance(out, torch.Tensor)
    out.zero_()
    assert torch.equal(samples, before)


def test_equal_rates_pass_the_bits_through():
    samples = noise(1_001, 2)
    assert streamed(samples, 44_100, 44_100, [10, 700]).tobytes() == samples.tobytes()


def test_tensors_and_arrays_give_the_same_bits():
    samples = noise(3_000, 2)
    tensor = resample(torch.from_numpy(samples), 48_000, 44_100)
    assert tensor.numpy().tobytes() == resample(samples, 48_000, 44_100).tobytes()


def test_misuse_is_named():
    with pytest.raises(AudioError, match="0 Hz"):
        StreamResampler(44_100, 0, 1)
    stream = StreamResampler(44_100, 48_000, 2)
    with pytest.raises(AudioError, match=r"\(2, samples\) is wanted"):
        stream.push(np.zeros((3, 5), np.float32))
    stream.push(np.zeros((2, 44_100), np.float32))
    with pytest.raises(AudioError, match="delivered already"):
        stream.finish(10)
    stream.finish()
    with pytest.raises(RuntimeError, match="finished"):
        stream.push(np.zeros((2, 5), np.float32))
