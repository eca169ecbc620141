"""Laws of mixture consistency: stems sum to the mixture, nothing is written into, level and silence don't matter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sepkit.errors import OptionError
from sepkit.filters.consistency import FILTERS, check_consistency, give_rest, make_consistent, total
from sepkit.filters.wiener import wiener_filter

SUMMING = [how for how in FILTERS if how != "none"]
gains_db = st.sampled_from([-420, -120, 0, 120, 420])


def example(s: int = 3, c: int = 2, t: int = 700, b: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(b, s, c, t, generator=generator), torch.randn(b, c, t, generator=generator)


@pytest.mark.parametrize("how", SUMMING)
@settings(max_examples=15, deadline=None)
@given(
    s=st.integers(1, 4), c=st.integers(1, 2), t=st.integers(1, 300), gain_db=st.sampled_from([-420, -120, 0, 120, 420])
)
def test_stems_sum_to_the_mixture_to_float_precision(how, s, c, t, gain_db):
    stems, mixture = (10 ** (gain_db / 20) * x for x in example(s, c, t))
    summed = total(make_consistent(stems, mixture, how))
    scale = float(torch.maximum(stems.abs().max(), mixture.abs().max()))
    assert float((summed - mixture).abs().max()) <= 2e-6 * scale


@pytest.mark.parametrize("how", SUMMING)
def test_neither_argument_is_written_into_however_loud(how):
    stems, mixture = (1000 * x for x in example())
    copies = stems.clone(), mixture.clone()
    make_consistent(stems, mixture, how)
    assert torch.equal(stems, copies[0])
    assert torch.equal(mixture, copies[1])


@pytest.mark.parametrize("how", ["uniform", "energy"])
def test_stems_that_sum_already_stay_as_they_are(how):
    stems, _ = example()
    mixture = total(stems)
    torch.testing.assert_close(make_consistent(stems, mixture, how), stems, rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", SUMMING)
def test_batch_items_do_not_see_each_other(how):
    stems, mixture = example()
    together = make_consistent(stems, mixture, how)
    alone = [make_consistent(stems[i : i + 1], mixture[i : i + 1], how) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", SUMMING)
@pytest.mark.parametrize("silent", ["mixture", "stems", "both"])
def test_silence_stays_finite_and_sums(how, silent):
    stems, mixture = example()
    if silent != "mixture":
        stems = torch.zeros_like(stems)
    if silent != "stems":
        mixture = torch.zeros_like(mixture)
    result = make_consistent(stems, mixture, how)
    assert torch.isfinite(result).all()
    torch.testing.assert_close(total(result), mixture, rtol=0, atol=1e-5)


def test_none_leaves_the_stems_alone():
    stems, mixture = example()
    assert make_consistent(stems, mixture, "none") is stems


def test_uniform_shares_equally_and_energy_by_energy():
    stems = torch.zeros(1, 2, 1, 4)
    stems[0, 0] = 3.0
    stems[0, 1] = 1.0
    mixture = torch.full((1, 1, 4), 14.0)
    assert make_consistent(stems, mixture, "uniform")[0, :, 0, 0].tolist() == [8.0, 6.0]
    assert make_consistent(stems, mixture, "energy")[0, :, 0, 0].tolist() == [12.0, 2.0]


def test_energy_counts_each_channel_by_itself():
    stems = torch.zeros(1, 2, 2, 4)
    stems[0, 0, 0] = stems[0, 1, 1] = 1.0  # one stem on the left only, the other on the right only
    shared = make_consistent(stems, torch.full((1, 2, 4), 2.0), "energy")
    assert shared[0, :, :, 0].tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_wiener_takes_phase_from_the_mixture_and_improves_magnitude_estimates():
    """Two tones, estimated with right magnitudes but a wrong sign: the filter finds the true sources again."""
    t = torch.arange(8192) / 8000
    sources = torch.stack([torch.sin(2 * torch.pi * 440 * t), torch.sin(2 * torch.pi * 1800 * t)])[None, :, None]
    mixture = total(sources)
    estimates = -sources
    found = wiener_filter(estimates, mixture)
    error = (found - sources)[..., 1024:-1024].square().mean() / sources.square().mean()
    assert error < 1e-3


def test_wiener_does_not_depend_on_the_level():
    stems, mixture = example(t=3000)
    loud, quiet = wiener_filter(stems, mixture), wiener_filter(stems * 2**-20, mixture * 2**-20) * 2**20
    torch.testing.assert_close(loud, quiet, rtol=0, atol=1e-5)


@pytest.mark.parametrize("names", [("vocals", "other"), ("other", "vocals")])
def test_the_rest_goes_to_other_where_there_is_one(names):
    stems, mixture = example(s=2)
    given_rest = give_rest(stems, mixture, names)
    untouched = names.index("vocals")
    assert torch.equal(given_rest[:, untouched], stems[:, untouched])
    torch.testing.assert_close(total(given_rest), mixture, rtol=0, atol=1e-6)


def test_the_rest_is_shared_where_there_is_no_other():
    stems, mixture = example(s=2)
    assert torch.equal(give_rest(stems, mixture, ("vocals", "drums")), make_consistent(stems, mixture, "uniform"))


def test_an_unknown_consistency_gets_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'wiener'"):
        check_consistency("weiner")
