"""Laws of cold diffusion: the gains that are known, the self-consistent way, skipped steps, and the filter."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import blend
from sepkit_waveform_diffusion.cold import Predict, Process, restart, schedule_of, way_back
from sepkit_waveform_diffusion.config import SCHEDULES, Betas
from sepkit_waveform_diffusion.post_filter import two_stem_wiener


def signals(length_samples: int = 500) -> tuple[Tensor, Tensor]:
    """Vocals and the rest, orthogonal to each other, so that each can be found in a state by a product."""
    generator = torch.Generator().manual_seed(4)
    vocals, others = torch.randn(2, 1, 1, length_samples, generator=generator, dtype=torch.float64).unbind(0)
    return vocals, others - (others * vocals).sum() / vocals.square().sum() * vocals


def proportional(others: Tensor, betas: Betas) -> Predict:
    """A network that returns the accompaniment as it is present in the state, brought to full scale."""

    def predict(state: Tensor, t: Tensor) -> Tensor:
        present = (state * others).sum() / others.square().sum()
        return present / (1.0 - betas.alpha_bars[int(t[0]) - 1]) ** 0.5 * others

    return predict


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("wanted", [None, 3, 1])
def test_the_published_gain_is_known_and_its_removal_exact(schedule: str, wanted: int | None) -> None:
    vocals, others = signals()
    betas = SCHEDULES[schedule]
    steps = min(wanted or betas.count, betas.count)
    *_, (state, gain) = way_back(proportional(others, betas), vocals + others, betas, steps=steps)
    torch.testing.assert_close(state / gain, vocals, atol=1e-9, rtol=1e-9)
    assert gain == (pytest.approx(betas.alpha_bars[-1] ** -0.5) if betas.count > 1 else 1.0)


def test_on_the_way_the_target_has_the_gain_that_is_said() -> None:
    vocals, others = signals()
    betas = SCHEDULES["beta_8"]
    left = []
    for state, gain in way_back(proportional(others, betas), vocals + others, betas):
        found = state / gain
        torch.testing.assert_close((found * vocals).sum() / vocals.square().sum(), torch.tensor(1.0).double())
        left.append(float((found * others).sum() / others.square().sum()))
    assert all(a > b for a, b in itertools.pairwise(left))  # the accompaniment goes away step by step


@pytest.mark.parametrize("process", ["published", "consistent"])
@pytest.mark.parametrize(("level", "steps"), [(1, None), (3, None), (8, None), (3, 3), (8, 3)])
def test_refining_the_truth_with_a_perfect_network_gives_the_truth(
    process: Process, level: int, steps: int | None
) -> None:
    vocals, others = signals()
    betas = SCHEDULES["beta_8"]
    first, began = restart(betas, steps, level)
    assert float(began.t) <= level
    # what "perfect" means differs: true to the full scale, or to the state
    predict = (lambda x, t: others) if process == "consistent" else proportional(others, betas)
    start, gain = blend(began, vocals, vocals + others), float(began.alpha) + float(began.sigma)
    for state, gained in way_back(predict, start, betas, process=process, steps=steps, first=first, gain=gain):
        part = (state / gained * vocals).sum() / vocals.square().sum()
        assert float(part) == pytest.approx(1.0)
    torch.testing.assert_close(state / gained, vocals)


@pytest.mark.parametrize("schedule", ["beta_8", "beta_20", "beta_100"])
def test_the_consistent_way_walks_the_training_states_with_the_truth_in_sight(schedule: str) -> None:
    vocals, others = signals()
    betas = SCHEDULES[schedule]
    levels = {level.t: level for level in schedule_of(betas).levels(betas.count)}
    seen = []

    def predict(state: Tensor, t: Tensor) -> Tensor:
        seen.append(float(t[0]))
        torch.testing.assert_close(state, blend(levels[float(t[0])], vocals, vocals + others))
        return others

    start = blend(levels[float(betas.count)], vocals, vocals + others)
    for estimate, gain in way_back(predict, start, betas, process="consistent"):
        torch.testing.assert_close(estimate, vocals)
        assert gain == 1.0
    assert seen == list(range(betas.count, 0, -1))


@pytest.mark.parametrize("process", ["published", "consistent"])
def test_a_network_that_predicts_the_mixture_keeps_the_level(process: Process) -> None:
    vocals, others = signals()
    betas = SCHEDULES["beta_8"]
    start, present = blend(restart(betas, None, 8)[1], vocals, vocals + others), proportional(others, betas)

    def predict(state: Tensor, t: Tensor) -> Tensor:
        return present(state, t) * ((vocals + others) / others)  # as much mixture as there is accompaniment

    *_, (estimate, gain) = way_back(predict, start, betas, process=process, predicts="mixture")
    torch.testing.assert_close(estimate, vocals)
    assert gain == 1.0


def test_one_step_is_the_direct_estimate() -> None:
    vocals, others = signals()
    [(state, gain)] = way_back(lambda x, t: 0.9 * others, vocals + others, SCHEDULES["beta_1"])
    torch.testing.assert_close(state / gain, vocals + 0.1 * others)


def test_the_deviation_term_is_drawn_at_every_step_but_the_last() -> None:
    vocals, others = signals()
    betas, drawn = SCHEDULES["beta_8"], []

    def noise(draw: int, like: Tensor) -> Tensor:
        drawn.append(draw)
        return torch.ones_like(like)

    def end(**more: object) -> Tensor:
        *_, (state, _) = way_back(lambda x, t: others, vocals + others, betas, **more)  # type: ignore[arg-type]
        return state

    assert not torch.allclose(end(deviation=noise), end())
    assert drawn == list(range(1, 8))


def test_the_wiener_filter_keeps_the_mixture_s_magnitude_and_the_estimates_phases() -> None:
    generator = torch.Generator().manual_seed(6)
    vocals, others = torch.randn(2, 1, 2, 6000, generator=generator).unbind(0)
    mixture = vocals + others
    given, loud = torch.stack([vocals, others], dim=1), 30 * mixture  # loud enough for norbert to rescale in place
    before = loud.clone()
    assert two_stem_wiener(given, loud).shape == given.shape
    assert torch.equal(loud, before)
    exact = two_stem_wiener(torch.stack([mixture, torch.zeros_like(mixture)], dim=1), mixture)
    torch.testing.assert_close(exact[:, 0], mixture, atol=1e-4, rtol=1e-3)
    turned = two_stem_wiener(torch.stack([-mixture, torch.zeros_like(mixture)], dim=1), mixture)
    torch.testing.assert_close(turned[:, 0], -mixture, atol=1e-4, rtol=1e-3)
    assert not two_stem_wiener(given, torch.zeros_like(mixture)).any()
