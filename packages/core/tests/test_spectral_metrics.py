"""Laws of the metrics beside SDR: closed forms, limits, directions, and parity with their public implementations.

Stored numbers were computed by auraloss 0.4.0, log-wmse-audio-quality 0.2.0 and, for L1Freq and bleedless/fullness, by
the few lines of torch, torchaudio 2.11 and librosa 0.11 that their definitions are, all in float64, of `sounds(30000)`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepkit.errors import AudioError
from sepkit.evaluation.metrics import (
    METRICS,
    bleed_fullness,
    bleedless,
    fullness,
    hearing_filter,
    l1_freq,
    log_wmse,
    mrstft,
    sdr_mdx,
    si_sdr,
)
from sepkit.evaluation.metrics.spectra import hann, mel_filters, powers

RATE = 44_100
PERFECT = -4 * np.log(1e-8)

METRIC_FUNCTIONS = {
    "sdr_mdx": lambda s, e, m: sdr_mdx(s, e),
    "si_sdr": lambda s, e, m: si_sdr(s, e),
    "l1_freq": lambda s, e, m: l1_freq(s, e),
    "mrstft": lambda s, e, m: mrstft(s, e),
    "bleedless": lambda s, e, m: bleedless(s, e, RATE),
    "fullness": lambda s, e, m: fullness(s, e, RATE),
    "log_wmse": lambda s, e, m: log_wmse(s, e, m, RATE),
}


def sounds(length: int = 30_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, estimate and mixture, c t; the first quarter is 40 dB down."""
    rng = np.random.default_rng(18)
    s = 0.1 * rng.standard_normal((2, length))
    s[:, : length // 4] *= 0.01
    return s, 0.8 * s + 0.03 * rng.standard_normal((2, length)), s + 0.1 * rng.standard_normal((2, length))


def test_stored_numbers_of_the_public_implementations():
    s, e, m = sounds()
    assert mrstft(s, e) == pytest.approx(1.4037728796663773, rel=1e-7)
    assert l1_freq(s, e) == pytest.approx(9.073593539964945, rel=1e-9)
    assert bleed_fullness(s, e, RATE) == pytest.approx((5.6416962162733375, 32.203167178076946), rel=1e-9)
    assert log_wmse(s, e, m, RATE) == pytest.approx(10.726548, abs=1e-5)
    assert log_wmse(s, e, m, 22_050) == pytest.approx(10.741012, abs=1e-5)  # resampled as theirs
    assert log_wmse(0 * s, e, m, RATE) == pytest.approx(4.551148, abs=1e-5)
    assert log_wmse(s, s + 1e-4 * np.sign(m), m, RATE) == pytest.approx(57.500183, abs=1e-4)  # partly inaudible


def test_auraloss_itself():
    torch, freq = pytest.importorskip("torch"), pytest.importorskip("auraloss.freq")
    s, e, _ = sounds(9000)
    loss = freq.MultiResolutionSTFTLoss()
    for one in loss.stft_losses:
        one.window = torch.hann_window(len(one.window), dtype=torch.float64)
    assert mrstft(s, e) == pytest.approx(float(loss(torch.tensor(e)[None], torch.tensor(s)[None])), rel=1e-12)


def test_torch_log_wmse_itself():
    torch, peer = pytest.importorskip("torch"), pytest.importorskip("torch_log_wmse")
    s, e, m = sounds(9000)
    theirs = peer.LogWMSE()(torch.tensor(m)[None], torch.tensor(e)[None, :, None], torch.tensor(s)[None, :, None])
    assert log_wmse(s, e, m, RATE) == pytest.approx(float(theirs), abs=1e-3)  # they count the filter's tails too
    taps = peer.freq_weighting_filter.load_bundled_impulse_response().numpy()
    np.testing.assert_allclose(hearing_filter(), taps, atol=2e-8)  # they store float32


def test_mel_filters_are_librosas():
    librosa = pytest.importorskip("librosa")
    for rate, size, bands in ((44_100, 4096, 512), (16_000, 1024, 80)):
        theirs = librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands, dtype=np.float64)
        np.testing.assert_allclose(mel_filters(rate, size, bands), theirs, atol=1e-12)


@pytest.mark.parametrize("pad", ["reflect", "constant"])
def test_spectra_are_those_of_torch_stft(pad: str):
    torch = pytest.importorskip("torch")
    x = sounds(9000)[0]
    window = torch.hann_window(512, dtype=torch.float64)
    np.testing.assert_allclose(hann(512), window, atol=1e-15)
    theirs = torch.stft(torch.tensor(x), 512, 10, window=window, pad_mode=pad, return_complex=True).abs() ** 2
    blocks = list(powers(x, hann(512), 10, pad=pad))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), theirs.mT, atol=1e-9)


def test_the_hearing_filter_is_symmetric_quiet_at_the_ends_and_loudest_at_3_kilohertz():
    taps = hearing_filter()
    np.testing.assert_allclose(taps[:-1], taps[:-1][::-1], atol=1e-12)
    response = 20 * np.log10(np.abs(np.fft.rfft(taps, RATE)) + 1e-12)  # one bin a hertz
    assert 2500 < np.argmax(response) < 3500
    assert response[0] < -100
    assert response[20] == pytest.approx(-31, abs=0.5)
    assert response[1000] == pytest.approx(1.5, abs=0.1)
    assert response[20_000] == pytest.approx(-31, abs=0.5)


def test_a_gain_has_a_closed_form_in_every_metric():
    """The estimate is the reference at half its level: 6.02 dB missing everywhere, nothing added."""
    s, _, m = sounds()
    e, missing = s / 2, 20 * np.log10(2)
    assert bleedless(s, e, RATE) == 100
    assert fullness(s, e, RATE) == pytest.approx(100 / (1 + missing), rel=1e-6)
    assert mrstft(s, e) == pytest.approx(0.5 + np.log(2), rel=2e-3)  # cells below the least power differ by less
    magnitude = np.mean([np.sqrt(p).mean() for p in powers(s, np.ones(2048), 1024, pad="reflect")])
    assert l1_freq(s, e) == pytest.approx(100 / (1 + 5 * magnitude), rel=1e-9)
    assert log_wmse(m, m / 2, m, RATE) == pytest.approx(-4 * np.log(0.25), abs=1e-6)


def test_perfect_is_the_best_end_and_worse_estimates_go_the_stated_way():
    s, e, m = sounds()
    far = e + 0.3 * np.roll(m, 7, axis=-1)
    for name, function in METRIC_FUNCTIONS.items():
        known = METRICS[name]
        perfect, near, worse = (float(function(s, x, m)) for x in (s, e, far))
        best = known.highest if known.higher_is_better else known.lowest
        assert perfect == pytest.approx(best, abs=1e-3) or np.isinf(best), name
        order = (worse, near, perfect) if known.higher_is_better else (perfect, near, worse)
        if name not in ("bleedless", "fullness"):  # means over cells that the estimate itself picks
            assert order == tuple(sorted(order)), name
        assert all(known.lowest <= value <= known.highest for value in order), name


def test_bleedless_and_fullness_change_places_with_reference_and_estimate():
    s, e, _ = sounds()
    assert bleedless(s, e, RATE) == fullness(e, s, RATE)
    louder = [bleedless(s, gain * s, RATE) for gain in (1.0, 1.1, 2.0, 10.0)]
    assert louder == sorted(louder, reverse=True)
    quieter = [fullness(s, s / gain, RATE) for gain in (1.0, 1.1, 2.0, 10.0)]
    assert quieter == sorted(quieter, reverse=True)


def test_bleedless_can_rise_with_more_bleed_as_its_docstring_warns():
    s, e, m = sounds()
    assert bleedless(s, e + 0.3 * np.roll(m, 7, axis=-1), RATE) > bleedless(s, e, RATE)


def test_a_silent_reference_is_defined_where_it_is_said_to_be():
    s, e, m = sounds(10_000)
    silence = np.zeros_like(s)
    assert log_wmse(silence, silence, m, RATE) == pytest.approx(PERFECT)
    assert log_wmse(silence, e / 10, m, RATE) > log_wmse(silence, e, m, RATE)
    assert log_wmse(silence, e, silence, RATE) == pytest.approx(PERFECT)  # the original's answer to a silent mixture
    assert fullness(silence, e, RATE) == 100
    assert 0 < bleedless(silence, e, RATE) < 1
    for function in METRIC_FUNCTIONS.values():
        assert np.isfinite(function(silence, e, m))


@given(gain=st.floats(1e-3, 1e3))
def test_log_wmse_does_not_see_a_common_gain(gain: float):
    s, e, m = sounds(3000)
    assert log_wmse(gain * s, gain * e, gain * m, RATE) == pytest.approx(float(log_wmse(s, e, m, RATE)), abs=1e-9)


def test_log_wmse_hears_three_kilohertz_more_than_thirty_hertz():
    t = np.arange(RATE) / RATE
    m = np.random.default_rng(0).standard_normal((1, RATE))
    scores = [log_wmse(m, m + 0.1 * np.sin(2 * np.pi * hertz * t), m, RATE) for hertz in (30, 3000, 19_000)]
    assert scores[1] < scores[0] - 10
    assert scores[1] < scores[2] - 10


def test_batches_are_the_single_results_stacked():
    rng = np.random.default_rng(3)
    s, e, m = 0.1 * rng.standard_normal((2, 3, 2, 6000)), 0.1 * rng.standard_normal((2, 3, 2, 6000)), sounds(6000)[2]
    for name, function in METRIC_FUNCTIONS.items():
        batched = function(s, e, m)
        assert np.shape(batched) == (2, 3), name
        assert batched[1, 2] == pytest.approx(float(function(s[1, 2], e[1, 2], m)), rel=1e-12), name


def test_too_few_samples_to_reflect_are_an_error_with_both_numbers():
    s = np.zeros((1, 1024))
    with pytest.raises(AudioError, match=r"1024 samples are too few for frames of 2048"):
        l1_freq(s, s)
    assert bleedless(s, s, RATE) == 100
    with pytest.raises(AudioError, match=r"\(1, 1024\).*\(1, 1000\)"):
        log_wmse(s, s[:, :1000], s, RATE)


def test_every_metric_says_what_it_is():
    assert set(METRIC_FUNCTIONS) <= set(METRICS)
    for name, known in METRICS.items():
        assert known.name == name
        assert known.lowest < known.highest
        assert known.definition
        assert known.unit in ("dB", "")
    assert [name for name, known in METRICS.items() if not known.higher_is_better] == ["mrstft"]
