"""Laws of windows on the grid of frames: nothing is lost, frames stay where they are, neighbours share levels."""

from __future__ import annotations

import pytest
import torch

from sepkit.codecs import Lapped
from sepkit.noise import gaussian
from sepkit_msdm_posterior.held_to_mixture import hold_to_mixture, masked, shared_out
from sepkit_msdm_posterior.stretches import level_gain, stretches, undone


@pytest.mark.parametrize("hop", [1, 4, 64])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 300])
def test_windows_come_back_from_their_frames(hop: int, length: int) -> None:
    starts = (0, 1, 63, 64, 65, 128, 1000)
    windows = torch.randn(len(starts), 2, length, generator=torch.Generator().manual_seed(0))
    back = torch.full_like(windows, torch.nan)
    for stretch in stretches(starts, length, hop):
        assert all(start // hop == first for start, first in zip(
            (starts[place] for place in stretch.places), stretch.first_frames, strict=True))  # fmt: skip
        stretch.put_back(stretch.cut(windows, hop), back)
    assert torch.equal(back, windows)


def test_frames_of_overlapping_windows_are_the_same_frames() -> None:
    codec, hop = Lapped(sample_rate=8000, hop_samples=32), 32
    track = gaussian(0, "track", 0, 2000, 1)
    starts, length = (0, 77, 320), 640
    windows = torch.stack([track[:, start : start + length] for start in starts])
    frames: dict[int, list[torch.Tensor]] = {}
    for stretch in stretches(starts, length, hop):
        latents = codec.encode(stretch.cut(windows, hop))
        for z, first, start in zip(latents, stretch.first_frames, (starts[p] for p in stretch.places), strict=True):
            for n in range(z.shape[-1]):
                inside = start + hop <= (first + n) * hop <= start + length - 2 * hop  # the lapping neighbours too
                if inside:
                    frames.setdefault(first + n, []).append(z[:, n])
    shared = [found for found in frames.values() if len(found) > 1]
    assert len(shared) > 10
    for found in shared:
        for other in found[1:]:
            torch.testing.assert_close(other, found[0], rtol=0, atol=1e-6)


def test_a_window_does_not_know_its_batch() -> None:
    alone = stretches((77,), 640, 32)[0]
    [among] = [one for one in stretches((0, 64, 77), 640, 32) if 2 in one.places]
    assert (alone.frames, alone.offsets[0]) == (among.frames, among.offsets[among.places.index(2)])


def test_levels_are_the_priors_to_a_step_and_come_back() -> None:
    windows = torch.stack([gaussian(0, "a", 0, 4000, 1) * 10 ** (db / 20) for db in (-120, -31, -30.9, 0, 90)])
    gain = level_gain(windows, 0.1)
    rms = (gain * windows).square().mean(dim=(1, 2)).sqrt()
    assert ((20 * torch.log10(rms / 0.1)).abs() <= 0.76).all()
    assert gain[1] == gain[2]  # about as loud, and so at the same gain
    torch.testing.assert_close(undone(gain)[:, 0] * gain * windows, windows)
    silent = level_gain(torch.zeros(1, 1, 5), 0.1)
    assert (silent.item(), undone(silent).item()) == (0, 0)
    assert level_gain(windows, None).eq(1).all()


@pytest.mark.parametrize("phase", ["own", "mixture"])
@pytest.mark.parametrize("rest", ["local", "equal"])
@pytest.mark.parametrize("length", [1, 500, 4100])
def test_stems_sum_to_their_mixture(phase: str, rest: str, length: int) -> None:
    mixture, stems = gaussian(1, "mix", 0, length, 2)[None], gaussian(1, "stems", 0, length, 6).reshape(1, 3, 2, length)
    held = hold_to_mixture(stems, mixture, phase=phase, rest=rest)  # type: ignore[arg-type]
    torch.testing.assert_close(held.sum(dim=1), mixture, rtol=0, atol=2e-6)
    left = hold_to_mixture(stems, mixture, phase="own", rest="leave")
    assert torch.equal(left, stems)


def test_what_is_left_goes_to_the_stem_that_sounds_there() -> None:
    seconds = torch.arange(16_000) / 8000
    low, high = (torch.sin(2 * torch.pi * hz * seconds)[None, None] for hz in (200.0, 2000.0))
    stems, mixture = torch.stack([0.8 * low, high], dim=1), low + high
    given = shared_out(mixture - stems.sum(dim=1), stems)[0]
    inside = slice(2000, -2000)
    torch.testing.assert_close(given[0, 0, inside], 0.2 * low[0, 0, inside], rtol=0, atol=1e-3)
    assert given[1, 0, inside].abs().max() < 1e-3
    heard = masked(torch.stack([low.flip(-1), high.flip(-1)], dim=1), mixture)[0]  # right sizes, wrong phases
    torch.testing.assert_close(heard[0, 0, inside], low[0, 0, inside], rtol=0, atol=1e-2)
