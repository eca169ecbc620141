"""Laws of the reference points: what they sum to, what they bound, and which sizes they take."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sepkit.errors import MissingExtraError
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.reference_points import REFERENCE_POINTS, RepetHpss, istft, stft
from sepkit.evaluation.views import FULL_VIEW

RATE = 16_000
FOUR = ("vocals", "drums", "bass", "other")


def band(seconds: float = 3.0) -> dict[str, np.ndarray]:
    """A gliding harmonic tone, noise bursts, a low tone and a chord, each at its own place in the stereo field."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE)) / RATE
    glide = 2 * np.pi * (300 * t + 40 * np.sin(2 * np.pi * 0.7 * t))
    sounds = {
        "vocals": sum(np.sin(k * glide) / k for k in range(1, 6)),
        "drums": rng.standard_normal(t.size) * np.exp(-30 * (t % 0.5)),
        "bass": np.sin(2 * np.pi * 70 * t),
        "other": sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.0, 330.0)) * np.exp(-2 * (t % 1.0)),
    }
    pans = dict(zip(sounds, (0.5, 0.4, 0.55, 0.8), strict=True))
    return {name: 0.1 * np.stack([pans[name] * x, (1 - pans[name]) * x]) for name, x in sounds.items()}


@pytest.fixture(scope="module")
def estimates() -> dict[str, dict[str, np.ndarray]]:
    truths = band()
    mixture = sum(truths.values())
    return {name: point()(mixture, truths, RATE) for name, point in REFERENCE_POINTS.items()}


def test_the_transform_inverts_for_every_length():
    for length in (1, 2, 1023, 1024, 1025, 2047, 2048, 7919):
        x = np.random.default_rng(length).standard_normal((2, length))
        np.testing.assert_allclose(istft(stft(x), length), x, atol=1e-12)


@pytest.mark.parametrize("name", ["ideal_ratio_mask", "repet_hpss"])
def test_masks_sum_to_the_mixture(estimates, name):
    np.testing.assert_allclose(sum(estimates[name].values()), sum(band().values()), atol=1e-9)


def test_the_wiener_filters_sum_to_the_mixture_up_to_their_regularisation(estimates):
    mixture = sum(band().values())
    assert sdr_mdx(mixture, sum(estimates["wiener_oracle"].values())) > 40


def test_oracles_are_above_the_classical_baseline_and_everything_above_the_mixture(estimates):
    score = {name: {s: float(sdr_mdx(x, found[s])) for s, x in band().items()} for name, found in estimates.items()}
    for stem in FOUR:
        assert score["ideal_ratio_mask"][stem] > score["repet_hpss"][stem] + 1
        assert score["wiener_oracle"][stem] > score["repet_hpss"][stem] + 1
        assert score["repet_hpss"][stem] > score["mixture"][stem] + 1
        assert score["silence"][stem] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["ideal_ratio_mask", "wiener_oracle", "mixture", "silence"])
def test_the_truths_are_left_as_they_were(name):
    truths = {stem: 50 * x for stem, x in band(0.5).items()}  # loud: norbert rescales loud arrays in place
    mixture = sum(truths.values())
    before = {stem: x.copy() for stem, x in truths.items()}
    mixture_before = mixture.copy()
    REFERENCE_POINTS[name]()(mixture, truths, RATE)
    np.testing.assert_array_equal(mixture, mixture_before)
    for stem, x in truths.items():
        np.testing.assert_array_equal(x, before[stem])


@pytest.mark.parametrize("name", list(REFERENCE_POINTS))
@pytest.mark.parametrize(("channels", "length"), [(1, 1), (2, 1500), (6, 4099)])
def test_every_size_and_silence_give_finite_stems_of_that_size(name, channels, length):
    point = REFERENCE_POINTS[name]()
    for gain in (0.0, 0.1):
        truths = {
            s: gain * np.random.default_rng(i).standard_normal((channels, length)) for i, s in enumerate(FULL_VIEW)
        }
        truths["accompaniment"] = truths["drums"] + truths["bass"] + truths["other"]
        mixture = truths["vocals"] + truths["accompaniment"]
        found = point(mixture, truths, RATE)
        assert set(found) == set(FULL_VIEW)
        for x in found.values():
            assert x.shape == (channels, length)
            assert np.isfinite(x).all()


@pytest.mark.parametrize("name", ["ideal_ratio_mask", "wiener_oracle"])
def test_the_accompaniment_is_everything_but_the_vocals(name):
    truths = band(1.0)
    mixture = sum(truths.values())
    full = {**truths, "accompaniment": mixture - truths["vocals"]}
    found = REFERENCE_POINTS[name]()(mixture, full, RATE)
    np.testing.assert_allclose(found["accompaniment"], sum(found[s] for s in FOUR if s != "vocals"), atol=1e-12)
    pair = {stem: full[stem] for stem in ("vocals", "accompaniment")}
    two = REFERENCE_POINTS[name]()(mixture, pair, RATE)
    assert sdr_mdx(mixture, two["vocals"] + two["accompaniment"]) > 40


def test_librosa_missing_is_an_error_that_names_the_extra(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "librosa"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingExtraError, match=r"librosa.*sepkit\[eval\]"):
        RepetHpss()
