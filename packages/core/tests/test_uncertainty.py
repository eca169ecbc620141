"""Laws of the uncertainty map: the spread that was put in comes out, the mean is the mean, files keep what they can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sepkit import Audio, WindowSettings, registry
from sepkit.cli.main import main
from sepkit.errors import AudioError, OptionError
from sepkit.host import HostedSeparator
from sepkit.noise import gaussian
from sepkit.testing.fakes import Fake, Identity, Noisy
from sepkit.uncertainty import DEFAULT_SAMPLES, read_uncertainty, separate_samples

RATE = 8000
MIXTURE = Audio(0.1 * gaussian(0, "test", 0, RATE, 2), RATE)


class Numbered(Fake):
    """One sure stem and one guessed one, draws numbered as a model with an option `samples` does it."""

    promise = {"stems": ("sure", "guessed"), "random": True}  # noqa: RUF012

    def __init__(self, index: int = 0, spread: float = 0.05, **changes: Any):
        super().__init__(**changes)
        self.index, self.spread = index, spread

    def drawn(self, index: int) -> Numbered:
        return Numbered(index, self.spread)

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        channels, length = windows.shape[1:]
        noise = [gaussian(seed, f"draw {self.index}", start, length, channels) for start in starts]
        return torch.stack((windows, self.spread * torch.stack(noise)), dim=1)


def hosted(model: Any) -> HostedSeparator:
    return HostedSeparator(model, device="cpu")


def test_the_spread_is_that_of_the_draws() -> None:
    stems = separate_samples(hosted(Numbered()), MIXTURE, samples=24, seed=3)
    guessed, sure = stems.uncertainty["guessed"], stems.uncertainty["sure"]
    window = torch.hann_window(guessed.window_samples, dtype=torch.float64)
    expected = 0.05 * float(window.square().sum().sqrt() / window.sum())  # of white noise with that deviation
    inside = guessed.spread[2:-2, 2:-2]
    assert np.sqrt(np.mean(inside**2)) == pytest.approx(expected, rel=0.03)
    assert sure.spread.max() < 1e-6 * sure.magnitude.max()
    assert sure.share.max() < 0.01
    assert np.median(guessed.share) > 0.9


def test_the_mean_and_what_it_leaves_are_those_of_the_numbered_draws() -> None:
    stems = separate_samples(hosted(Numbered()), MIXTURE, samples=3, seed=5)
    draws = [hosted(Numbered(index)).separate(MIXTURE, seed=5)["guessed"].samples for index in range(3)]
    torch.testing.assert_close(stems["guessed"].samples, torch.stack(draws).mean(dim=0), rtol=0, atol=1e-7)
    assert stems.residual is not None
    whole = stems["guessed"].samples + stems["sure"].samples + stems.residual.samples
    torch.testing.assert_close(whole, MIXTURE.samples, rtol=0, atol=1e-6)
    assert (stems.provenance["samples"], stems.provenance["seed"]) == (3, 5)


def test_a_method_without_numbered_draws_is_given_one_seed_after_another() -> None:
    calls: list[tuple[float, float]] = []
    stems = separate_samples(hosted(Noisy()), MIXTURE, seed=7, progress=lambda *call: calls.append(call))
    draws = [hosted(Noisy()).separate(MIXTURE, seed=7 + index)["noise"].samples for index in range(DEFAULT_SAMPLES)]
    torch.testing.assert_close(stems["noise"].samples, torch.stack(draws).mean(dim=0), rtol=0, atol=1e-7)
    done = [seconds for seconds, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == pytest.approx((1.0, 1.0))


def test_the_maps_lie_beside_the_stems_and_come_back(tmp_path: Path) -> None:
    stems = separate_samples(hosted(Numbered()), MIXTURE, samples=2)
    stems.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "guessed.wav", "provenance.json", "sure.wav", "uncertainty.npz",
    ]  # fmt: skip
    again = read_uncertainty(tmp_path / "uncertainty.npz")
    assert list(again) == ["sure", "guessed"]
    wanted, found = stems.uncertainty["guessed"], again["guessed"]
    assert (found.sample_rate, found.window_samples, found.hop_samples) == (RATE, 1024, 512)
    np.testing.assert_allclose(found.spread, wanted.spread, rtol=0.006)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"bad\.npz holds no maps"):
        read_uncertainty(tmp_path / "bad.npz")


def test_what_cannot_have_a_spread_is_refused() -> None:
    with pytest.raises(OptionError, match="'identity' is not random"):
        separate_samples(hosted(Identity()), MIXTURE)
    with pytest.raises(OptionError, match="at least 2"):
        separate_samples(hosted(Noisy()), MIXTURE, samples=1)


@pytest.mark.parametrize("length", [0, 1, 700])
def test_any_length_has_a_map(length: int) -> None:
    stems = separate_samples(hosted(Numbered()), MIXTURE.samples[:, :length], sample_rate=RATE, samples=2)
    frames = stems.uncertainty["sure"].spread.shape[1]
    assert (stems["sure"].length_samples, frames) == (length, 1 + length // 512)


def separated(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with registry.register("noisy", lambda: Noisy(name="noisy")), registry.register("sure", Identity):
        code = main(["separate", "-q", *arguments])
    return code, capsys.readouterr().err


def test_the_command_writes_the_mean_and_its_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MIXTURE.write(tmp_path / "song.wav")
    song, out = str(tmp_path / "song.wav"), tmp_path / "out"
    asked = ("-m", "noisy", "--uncertainty", "3", "-o", str(out), song)
    assert separated(*asked, capsys=capsys)[0] == 0
    folder = out / "noisy" / "song"
    wanted = separate_samples(hosted(Noisy(name="noisy")), MIXTURE, samples=3)
    assert torch.equal(Audio.read(folder / "noise.wav").samples, wanted["noise"].samples)
    found = read_uncertainty(folder / "uncertainty.npz")
    np.testing.assert_allclose(found["rest"].spread, wanted.uncertainty["rest"].spread, rtol=0.006, atol=1e-9)
    assert '"samples": 3' in (folder / "provenance.json").read_text()
    code, error = separated(*asked, capsys=capsys)
    assert code == 1
    assert "already there" in error
    (folder / "uncertainty.npz").unlink()
    assert separated(*asked, "--skip-existing", capsys=capsys)[0] == 0
    assert (folder / "uncertainty.npz").exists()


def test_the_command_refuses_what_has_no_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MIXTURE.write(tmp_path / "song.wav")
    code, error = separated("-m", "sure", "--uncertainty", "3", str(tmp_path / "song.wav"), capsys=capsys)
    assert code == 2
    assert "sure is not random" in error
