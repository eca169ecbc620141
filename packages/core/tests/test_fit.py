"""Laws of the training loop: resuming is invisible, the average follows, bad numbers stop it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit.errors import CheckpointError, SepkitError
from sepkit.training.ema import Ema
from sepkit.training.loop import FitConfig, fit
from sepkit.training.state import exists


class Lines:
    """Item i: a noisy point of y = 3x - 1, drawn from i alone."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([7, index])
        x = torch.from_numpy(rng.standard_normal(4).astype(np.float32))
        return x, (3 * x - 1).sum() + 0.1 * torch.tensor(rng.standard_normal(), dtype=torch.float32)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 1))


def squared(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    return (network(x)[:, 0] - y).square().mean()


def config(**changes: object) -> FitConfig:
    values = {
        "steps": 30,
        "batch_size": 6,
        "learning_rate": 1e-2,
        "schedule": "one_cycle",
        "save_every": 7,
        "clip_norm": 5.0,
    }
    return FitConfig(**{**values, **changes})


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path: Path, accumulate: int, workers: int) -> None:
    settings = config(accumulate=accumulate, workers=workers)
    whole, parts = net(), net()
    fit(whole, squared, Lines(), settings, tmp_path / "whole")
    for stop in (5, 18, None):
        parts = net()
        fit(parts, squared, Lines(), settings, tmp_path / "parts", stop_after=stop)
    assert all(torch.equal(value, weights(parts)[name]) for name, value in weights(whole).items())
    rows = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("whole", "parts")
    ]
    assert rows[0] == rows[1]


def test_tied_weights_stay_tied_in_a_resumed_run(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            hidden = nn.Linear(4, 4)
            return nn.Sequential(hidden, nn.ReLU(), hidden, nn.ReLU(), nn.Linear(4, 1))

    settings = config(steps=8, save_every=4)
    whole, parts = tied(), tied()
    fit(whole, squared, Lines(), settings, tmp_path / "whole")
    fit(parts, squared, Lines(), settings, tmp_path / "parts", stop_after=4)
    parts = tied()
    fit(parts, squared, Lines(), settings, tmp_path / "parts")
    assert all(torch.equal(value, weights(parts)[name]) for name, value in weights(whole).items())
    assert torch.equal(weights(parts)["0.weight"], weights(parts)["2.weight"])


def test_interrupted_run_goes_on_from_the_last_saved_state(tmp_path: Path) -> None:
    class Interrupting(Lines):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index == 6 * 16:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    whole, cut = net(), net()
    fit(whole, squared, Lines(), config(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(cut, squared, Interrupting(), config(), tmp_path / "cut")
    again = net()
    fit(again, squared, Lines(), config(), tmp_path / "cut")
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(whole).items())
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]  # the lost steps are not told twice


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    fit(net(), squared, Lines(), config(steps=3), tmp_path)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_training_learns(tmp_path: Path) -> None:
    network = net()
    fit(network, squared, Lines(), config(steps=400, learning_rate=3e-2, ema_decay=0.9), tmp_path)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:20])


def test_nonfinite_steps_change_nothing_and_too_many_stop(tmp_path: Path) -> None:
    network = net()
    start = {name: value.clone() for name, value in network.named_parameters()}

    def broken(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return squared(model, batch) * float("nan")

    with pytest.raises(SepkitError, match="not finite for 4 steps in a row"):
        fit(network, broken, Lines(), config(nonfinite_limit=3), tmp_path)
    assert all(torch.equal(value, start[name]) for name, value in network.named_parameters())
    assert not exists(tmp_path / "state")


def test_a_bad_batch_leaves_no_trace_in_norms_or_in_the_saved_state(tmp_path: Path) -> None:
    class OneBad(Lines):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            x, y = super().__getitem__(index)
            return (x * float("inf"), y) if index == 6 * 9 + 2 else (x, y)

    network = net()
    fit(network, squared, OneBad(), config(steps=10), tmp_path)  # the bad batch is the last one
    assert all(value.isfinite().all() for value in network.state_dict().values())
    again = net()
    assert fit(again, squared, OneBad(), config(steps=10), tmp_path).step == 10
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(network).items())


def test_best_checkpoint_follows_the_metric(tmp_path: Path) -> None:
    scores = iter([1.0, 5.0, 3.0])
    seen: list[int] = []
    result = fit(
        net(), squared, Lines(), config(validate_every=10, metric="sdr"), tmp_path,
        validate=lambda _: {"sdr": next(scores)}, on_best=lambda network, values, step: seen.append(step),
    )  # fmt: skip
    assert (seen, result.best_step, result.best_score, result.step) == ([10, 20], 20, 5.0, 30)


def test_unknown_metric_is_named(tmp_path: Path) -> None:
    with pytest.raises(SepkitError, match="no score 'sdr'; it returned: other"):
        fit(
            net(), squared, Lines(), config(validate_every=5, metric="sdr"), tmp_path, validate=lambda _: {"other": 1.0}
        )


def test_state_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(net(), squared, Lines(), config(steps=3), tmp_path)
    with pytest.raises(CheckpointError, match="does not fit this run"):
        fit(nn.Sequential(nn.Linear(4, 1)), squared, Lines(), config(), tmp_path)


def test_average_reaches_a_constant_network_and_copies_counters() -> None:
    network = net()
    ema = Ema(network, 0.9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
        network[2].num_batches_tracked += 3
    for step in range(300):
        ema.update(network, step)
    for shadow, current in zip(ema.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(shadow, current)
    assert ema.network[2].num_batches_tracked == 3


@pytest.mark.parametrize("changed", [{"seed": 1}, {"batch_size": 5}, {"accumulate": 2}])
def test_resuming_elsewhere_in_the_data_is_refused(tmp_path: Path, changed: dict[str, int]) -> None:
    fit(net(), squared, Lines(), config(steps=3), tmp_path)
    with pytest.raises(CheckpointError, match=f"begun with {next(iter(changed))}="):
        fit(net(), squared, Lines(), config(**changed), tmp_path)
