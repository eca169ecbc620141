"""Laws of overlap-add: a function that changes nothing changes nothing, and how the stream is cut never matters."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sepkit.windows import Grid, OverlapAdder, SampleQueue, Windower, overlap_add

grids = st.integers(1, 70).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window)))


def signal(length_samples: int, channels: int = 2) -> Tensor:
    return torch.randn(channels, length_samples, generator=torch.Generator().manual_seed(length_samples))


@given(grids, st.integers(1, 400), st.integers(1, 5))
def test_identity_reproduces_the_signal_for_any_window_overlap_and_length(grid, length_samples, batch_windows):
    x = signal(length_samples)
    y = overlap_add(lambda windows: windows, x, *grid, batch_windows)
    assert y.shape == x.shape
    torch.testing.assert_close(y, x, rtol=1e-6, atol=1e-6)


@given(grids, st.integers(1, 300), st.data())
def test_the_windows_of_a_stream_do_not_depend_on_its_blocks(grid, length_samples, data):
    x = signal(length_samples)
    whole, cut = Windower(Grid(*grid)), Windower(Grid(*grid))
    wanted = [window for part in (whole.push(x), whole.finish()) for window in part]
    given_windows = []
    position = 0
    while position < length_samples:
        step = data.draw(st.integers(1, length_samples), label="block")
        given_windows += cut.push(x[:, position : position + step])
        position += step
    given_windows += cut.finish()
    assert [(w.index, w.start) for w in given_windows] == [(w.index, w.start) for w in wanted]
    assert all(torch.equal(a.samples, b.samples) for a, b in zip(given_windows, wanted, strict=True))


@given(grids, st.integers(0, 300))
def test_windows_cover_every_sample_once_or_more_and_none_is_superfluous(grid, length_samples):
    cut = Grid(*grid)
    windower = Windower(cut)
    windows = [w for part in (windower.push(signal(length_samples)), windower.finish()) for w in part]
    assert len(windows) == cut.count(length_samples)
    assert all(window.samples.shape[-1] == cut.window_samples for window in windows)
    if windows:
        end = windows[-1].start + cut.window_samples
        assert end >= length_samples
        assert len(windows) == 1 or end - cut.hop_samples < length_samples


def test_the_last_window_is_padded_with_zeros():
    windower = Windower(Grid(8, 6))
    windows = [w for part in (windower.push(torch.ones(1, 11)), windower.finish()) for w in part]
    assert windows[-1].samples[0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


@given(grids)
def test_weights_are_positive_symmetric_and_at_most_one(grid):
    weight = Grid(*grid).weight()
    assert (weight > 0).all()
    assert (weight <= 1).all()
    assert torch.equal(weight, weight.flip(0))


@given(st.integers(2, 60).flatmap(lambda window: st.tuples(st.just(window), st.integers((window + 1) // 2, window))))
def test_up_to_half_overlap_the_cross_fade_sums_to_one_by_itself(grid):
    cut = Grid(*grid)
    overlap = cut.window_samples - cut.hop_samples
    weight = cut.weight()
    torch.testing.assert_close(weight[cut.hop_samples :] + weight[:overlap], torch.ones(overlap))


def test_cross_fade_moves_linearly_from_one_window_to_the_next():
    adder = OverlapAdder(Grid(12, 8))
    adder.add(torch.zeros(1, 12))
    second = adder.add(torch.ones(1, 12))
    torch.testing.assert_close(second[0, :5], torch.tensor([0.125, 0.375, 0.625, 0.875, 1.0]))


def test_functions_may_add_axes():
    x = signal(50)
    y = overlap_add(lambda windows: torch.stack([windows, -windows], dim=1), x, 16, 7, 3)
    torch.testing.assert_close(y, torch.stack([x, -x]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("hop_samples", [0, 9])
def test_a_grid_that_would_leave_gaps_is_refused(hop_samples):
    with pytest.raises(ValueError, match="hop_samples"):
        Grid(8, hop_samples)


def test_overlap_add_refuses_an_empty_signal():
    with pytest.raises(ValueError, match="0 samples"):
        overlap_add(lambda windows: windows, torch.zeros(1, 0), 8, 4)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.data())
def test_a_queue_gives_back_what_went_in_in_order(lengths, data):
    queue, whole, out = SampleQueue(), signal(sum(lengths), 1), []
    for block in torch.split(whole, lengths, dim=-1):
        queue.push(block)
        count = data.draw(st.integers(0, len(queue)), label="take")
        if count:
            out.append(queue.take(count))
    if len(queue):
        out.append(queue.take(len(queue)))
    assert torch.equal(torch.cat([torch.zeros(1, 0), *out], dim=-1), whole)
