"""Laws of channel counts: sharing out and collecting are inverse, and every channel keeps to itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepkit.channels import group_channels, remix, ungroup
from sepkit.errors import AudioError


def numbered(channels: int, length_samples: int = 5) -> torch.Tensor:
    """Channel k holds k + 1, plus a little that tells samples apart."""
    return torch.arange(1.0, channels + 1)[:, None] + torch.arange(length_samples) / 1024


@settings(deadline=None)
@given(channels=st.integers(1, 9), model_channels=st.integers(1, 4), length_samples=st.integers(0, 7))
def test_ungrouping_undoes_grouping(channels, model_channels, length_samples):
    samples = numbered(channels, length_samples)
    groups = group_channels(samples, model_channels)
    assert groups.shape == (-(-channels // model_channels), model_channels, length_samples)
    torch.testing.assert_close(ungroup(groups, channels), samples)
    stems = torch.stack([groups, 2 * groups], dim=1)  # g s m t
    torch.testing.assert_close(ungroup(stems, channels), torch.stack([samples, 2 * samples]))


def test_six_channels_are_three_pairs():
    assert group_channels(numbered(6), 2)[:, :, 0].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_the_last_pair_is_filled_with_its_last_channel():
    assert group_channels(numbered(3), 2)[:, :, 0].tolist() == [[1, 2], [3, 3]]
    assert group_channels(numbered(1), 2)[:, :, 0].tolist() == [[1, 1]]
    assert group_channels(numbered(5), 4)[:, :, 0].tolist() == [[1, 2, 3, 4], [5, 5, 5, 5]]


def test_a_mono_model_gets_every_channel_alone():
    assert group_channels(numbered(2), 1)[:, :, 0].tolist() == [[1], [2]]


def test_copies_are_averaged():
    pair = torch.tensor([[[1.0], [3.0]]])  # what a stereo model made of a mono signal
    assert ungroup(pair, 1).tolist() == [[2.0]]


def test_remixing_averages_or_copies_and_refuses_to_guess():
    assert remix(numbered(2), 1)[0, 0] == 1.5
    assert remix(numbered(1), 3)[:, 0].tolist() == [1, 1, 1]
    assert torch.equal(remix(numbered(4), 4), numbered(4))
    for given_channels, wanted in ((6, 2), (2, 6), (1, 0)):
        with pytest.raises(AudioError, match=f"{given_channels} channels cannot be remixed to {wanted}"):
            remix(numbered(given_channels), wanted)
