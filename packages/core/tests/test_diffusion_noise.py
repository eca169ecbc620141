"""Laws of the samplers' noise: keyed by position, whatever the batch; high-passed without losing power or position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import butter, freqz_sos
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Ddim, HalfCircle, KeyedNoise, Level, highpass
from sepkit.diffusion.noise_sources import _power
from sepkit.errors import OptionError
from sepkit.noise import gaussian

LENGTH, HOP = 600, 350


def like(batch: int = 2, *middle: int, length: int = LENGTH, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(batch, *middle, length, dtype=dtype)


def source(*starts: int, **settings: object) -> KeyedNoise:
    return KeyedNoise(seed=7, starts=starts, **settings)


@pytest.mark.parametrize("middle", [(), (2,), (3, 2)])
def test_windows_see_the_same_noise_where_they_overlap(middle: tuple[int, ...]) -> None:
    first, second = source(0, HOP)(1, like(2, *middle))
    assert torch.equal(first[..., HOP:], second[..., : LENGTH - HOP])


def test_a_window_is_the_same_alone_and_in_any_batch() -> None:
    together = source(0, HOP, -40)(3, like(3, 2))
    for i, start in enumerate((0, HOP, -40)):
        assert torch.equal(together[i], source(start)(3, like(1, 2))[0])


def test_draws_seeds_keys_channels_and_stems_differ() -> None:
    draws = [
        source(0)(1, like(1, 2)),
        source(0)(2, like(1, 2)),
        source(0, key="other")(1, like(1, 2)),
        KeyedNoise(8, (0,))(1, like(1, 2)),
        source(0, stems=("vocals", "drums"))(1, like(1, 2)),
    ]
    rows = torch.cat([draw.reshape(2, LENGTH) for draw in draws])
    assert torch.corrcoef(rows).fill_diagonal_(0).abs().max() < 5 / LENGTH**0.5


def test_a_stem_keeps_its_noise_whichever_others_are_there() -> None:
    whole = source(0, HOP, stems=("vocals", "drums", "bass"))(1, like(2, 3, 2))
    part = source(0, HOP, stems=("bass", "vocals"))(1, like(2, 2, 2))
    assert torch.equal(part, whole[:, [2, 0]])


def test_noise_takes_the_dtype_of_the_state_and_the_values_of_core() -> None:
    double = source(5)(1, like(1, 2, dtype=torch.float64))
    assert double.dtype == torch.float64
    assert torch.equal(double[0].float(), gaussian(7, "diffusion/1", 5, LENGTH, 2))


def test_more_to_the_left_changes_nothing_at_the_right() -> None:
    assert torch.equal(source(0, HOP)(1, like(2, 2), before=100)[..., 100:], source(0, HOP)(1, like(2, 2)))
    filtered = highpass(source(0, HOP), 500.0, 8000)
    assert (filtered(1, like(2, 2), before=100)[..., 100:] - filtered(1, like(2, 2))).abs().max() < 1e-6


@pytest.mark.parametrize(("starts", "stems", "shape"), [((0,), (), (2, 9)), ((0,), ("a", "b"), (1, 3, 9))])
def test_a_state_that_does_not_fit_is_refused(
    starts: tuple[int, ...], stems: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="one start for each example"):
        source(*starts, stems=stems)(1, torch.empty(shape))


def test_a_sample_does_not_depend_on_the_batch_or_the_window() -> None:
    """With a pointwise denoiser, overlapping windows agree wherever both are, and in any batch, bit for bit."""

    def shrink(x: Tensor, level: Level) -> Tensor:
        return torch.tanh(x) * level.alpha

    for sampler in (Ddim(steps=5, eta=0.7), ChurnedEuler(steps=5, churn=2, passes=2)):
        noise = source(0, HOP)
        both = sampler(shrink, noise(0, like(2, 1)), HalfCircle(noisiest=0.98), noise)
        alone = sampler(shrink, source(HOP)(0, like(1, 1)), HalfCircle(noisiest=0.98), source(HOP))
        assert torch.equal(both[1:], alone)
        assert torch.equal(both[0, :, HOP:], both[1, :, : LENGTH - HOP])
        assert torch.equal(both, sampler(shrink, noise(0, like(2, 1)), HalfCircle(noisiest=0.98), noise))


@pytest.mark.parametrize(
    ("cutoff_hz", "sample_rate"), [(5000.0, 44100), (600.0, 44100), (40.0, 22050), (10000.0, 22050)]
)
def test_high_passed_windows_agree_where_they_overlap(cutoff_hz: float, sample_rate: int) -> None:
    first, second = highpass(source(0, HOP), cutoff_hz, sample_rate)(1, like(2, 2))
    assert (first[:, HOP:] - second[:, : LENGTH - HOP]).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("cutoff_hz", "sample_rate"), [(5000.0, 44100), (600.0, 44100), (40.0, 22050), (10000.0, 22050)]
)
def test_high_passed_noise_keeps_the_power(cutoff_hz: float, sample_rate: int) -> None:
    """Exactly, by the filter's frequency response; and in a sample, as far as that can tell."""
    frequencies = (np.arange(200_000) + 0.5) / 200_000 * sample_rate / 2
    _, response = freqz_sos(butter(4, cutoff_hz, "highpass", fs=sample_rate, output="sos"), frequencies, fs=sample_rate)
    assert _power(cutoff_hz, sample_rate) == pytest.approx(float(np.mean(np.abs(response) ** 2)), rel=1e-7)
    count = 100_000
    filtered = highpass(source(0), cutoff_hz, sample_rate)(1, like(1, length=count))
    pass_band = 1 - 2 * cutoff_hz / sample_rate
    assert abs(filtered.var() - 1) < 5 * (2 / (count * pass_band)) ** 0.5


def test_high_passed_noise_has_little_below_the_cutoff() -> None:
    filtered = highpass(source(0), 5000.0, 44100)(1, like(1, length=2**16, dtype=torch.float64))[0]
    power = torch.fft.rfft(filtered * torch.hann_window(2**16, dtype=torch.float64)).abs().square()
    frequencies = torch.fft.rfftfreq(2**16, 1 / 44100)
    above = power[frequencies > 10_000].mean()
    assert power[frequencies < 1_000].mean() < 1e-5 * above
    octave_below = power[(frequencies > 2400) & (frequencies < 2600)].mean() / above
    assert 10 * torch.log10(octave_below) == pytest.approx(-24 - 1.2, abs=1.5)  # 24 dB per octave and the warping


@pytest.mark.parametrize("cutoff_hz", [0.0, -5.0, 4000.0, 9000.0])
def test_a_cutoff_that_no_filter_has_is_refused(cutoff_hz: float) -> None:
    with pytest.raises(OptionError, match="half the sample rate, 4000 Hz"):
        highpass(source(0), cutoff_hz, 8000)
