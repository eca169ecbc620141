"""Two processes train as one does: same losses, same weights, one voice; a run may go on with another number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent / "data"))
from training_on_processes import BATCH, PER_STEP, SAVE_EVERY, STEPS, Points, run

from sepkit.diffusion import LogNormalSigma
from sepkit.training.draws import Draws, Share, batch_draws, sharing

SCRIPT = Path(__file__).parent / "data" / "training_on_processes.py"


def launched(arguments: Sequence[str], processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a program by `accelerate launch`; `--multi_gpu` means several processes, on CPUs where there is no GPU."""
    line = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision",
        "no", "--dynamo_backend", "no", "--main_process_port", "0", "--num_processes", str(processes), *arguments,
    ]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(line, capture_output=True, text=True, timeout=280, env=env)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Runs of one process, the same of two, and what the two said."""
    alone, both = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("both")
    run(alone / "whole")
    run(alone / "bad", Points(bad=PER_STEP + BATCH - 1))
    run(alone / "normed", normed=True)
    run(both / "begun_alone", stop_after=3)
    done = launched([str(SCRIPT), str(both)])
    assert done.returncode != 0, "the last run should have been killed"
    return alone, both, done.stdout + done.stderr


def losses(folder: Path) -> Tensor:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found = [row for row in rows if "loss" in row]
    assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    return torch.tensor([row["loss"] for row in found])


def assert_same_weights(one: Path, other: Path, tolerance: float = 1e-5) -> None:
    for name in ("network", "ema"):
        wanted, found = (load_file(folder / "state" / f"{name}.safetensors") for folder in (one, other))
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["whole", "begun_alone"])
def test_losses_and_weights_of_two_processes_are_those_of_one(folders: tuple[Path, Path, str], name: str) -> None:
    alone, both, said = folders
    assert len(losses(both / name)) == STEPS, said
    torch.testing.assert_close(losses(both / name), losses(alone / "whole"), rtol=0, atol=1e-4)
    assert_same_weights(alone / "whole", both / name)


def test_one_process_goes_on_where_two_were_killed(folders: tuple[Path, Path, str]) -> None:
    alone, both, _ = folders
    assert json.loads((both / "killed/state/facts.json").read_text())["step"] == STEPS - SAVE_EVERY
    run(both / "killed")
    torch.testing.assert_close(losses(both / "killed"), losses(alone / "whole"), rtol=0, atol=1e-4)
    assert_same_weights(alone / "whole", both / "killed")


def test_a_step_that_is_not_finite_on_one_process_is_left_out_by_both(folders: tuple[Path, Path, str]) -> None:
    alone, both, _ = folders
    found = losses(both / "bad")
    assert found.isfinite().tolist() == [True, False, True, True, True, True]
    torch.testing.assert_close(found, losses(alone / "bad"), rtol=0, atol=1e-4, equal_nan=True)
    assert_same_weights(alone / "bad", both / "bad")


def test_one_process_validates_writes_and_speaks(folders: tuple[Path, Path, str]) -> None:
    alone, both, said = folders
    assert (both / "whole/validations").read_text() == "xx"
    assert (both / "whole/best").read_text() == (alone / "whole/best").read_text()
    results = [json.loads((both / "whole" / f"result-{rank}").read_text()) for rank in range(2)]
    assert results[0] == results[1]
    wanted = json.loads((alone / "whole/result-alone").read_text())
    assert results[0] == {**wanted, "best_score": pytest.approx(wanted["best_score"], rel=1e-4)}
    assert said.count(f"step {STEPS}/{STEPS}  loss") == 4  # of four runs that reached their end
    assert "fit.batch_size is 5, which 2 processes cannot share evenly: give a multiple of 2" in said


def test_batch_norm_makes_a_difference_but_keeps_statistics_of_all(folders: tuple[Path, Path, str]) -> None:
    alone, both, _ = folders
    difference = (losses(both / "normed") - losses(alone / "normed")).abs()
    assert difference.max() > 1e-3
    wanted, found = (load_file(folder / "normed/state/network.safetensors") for folder in (alone, both))
    # in front of the network, so that it hears the same sounds: means of shares have the whole's mean
    torch.testing.assert_close(found["norm.running_mean"], wanted["norm.running_mean"])
    assert not torch.allclose(found["norm.running_var"], wanted["norm.running_var"], rtol=1e-4)


def drawn(draws: Draws, count: int) -> dict[str, Tensor]:
    own = draws.generator()
    found = {
        "normal": draws.normal((count, 2, 3)),
        "uniform": draws.uniform((count,), generator=own),
        "integers": draws.integers(1, 100),
        "levels": draws.levels(LogNormalSigma()).sigma,
        "levels of a loss": draws.random(LogNormalSigma()).random(count, own).sigma,
    }
    chosen = draws.uniform_of_all((count,)) < 0.5
    among = draws.among(chosen)
    picked = torch.zeros(count, 4)
    picked[chosen[draws.own]] = among.normal((among.count, 4))
    batch = torch.tensor([float(draws.integer(0, 1000)), draws.chance()]).expand(count, 2)
    return {**found, "picked": picked, "batch": batch}  # type: ignore[dict-item]


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_an_item_meets_the_same_numbers_on_any_process(processes: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        rounds = [drawn(batch_draws(6), 6) for _ in range(2)]
    parts = []
    for process in range(processes):
        with sharing(Share(process, processes, seed=11)):
            parts.append([drawn(batch_draws(6 // processes), 6 // processes) for _ in range(2)])
    for number, whole in enumerate(rounds):
        for name, wanted in whole.items():
            assert torch.equal(torch.cat([part[number][name] for part in parts]), wanted), name
    assert not torch.equal(rounds[0]["normal"], rounds[1]["normal"])
