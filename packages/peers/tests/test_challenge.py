"""Challenge submissions both ways: a method as a submission, a submission as a method."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from sepkit import Audio, get_separator
from sepkit.errors import OptionError, PluginError
from sepkit.registry import register
from sepkit.separator import SeparatorInfo, WindowSettings
from sepkit.testing import SeparatorConformance
from sepkit.testing.signals import music
from sepkit_peers.challenge import INSTRUMENTS, mdx21_predictor, sdx23_model
from sepkit_peers.submission_method import SubmissionOptions, SubmissionSeparator

KIT_2023 = """
import numpy as np

class Thirds:
    def __init__(self):
        self.started = True

    @property
    def instruments(self):
        return ["bass", "drums", "other", "vocals"]

    def raise_aicrowd_error(self, msg):
        raise NameError(msg)

    def separate_music_file(self, mixed_sound_array, sample_rate):
        assert mixed_sound_array.dtype == np.float64 and mixed_sound_array.shape[1] == 2
        parts = {name: mixed_sound_array * (i + 1) / 10 for i, name in enumerate(self.instruments)}
        return parts, {name: sample_rate for name in parts}

class Forgetful(Thirds):
    def separate_music_file(self, mixed_sound_array, sample_rate):
        parts, rates = super().separate_music_file(mixed_sound_array, sample_rate)
        del parts["bass"]
        return parts, rates

class Short(Thirds):
    def separate_music_file(self, mixed_sound_array, sample_rate):
        parts, rates = super().separate_music_file(mixed_sound_array, sample_rate)
        return {name: part[1:] for name, part in parts.items()}, rates

class Halved(Thirds):
    def separate_music_file(self, mixed_sound_array, sample_rate):
        parts, rates = super().separate_music_file(mixed_sound_array, sample_rate)
        return {name: part[::2] for name, part in parts.items()}, {name: sample_rate // 2 for name in rates}

class Noisy(Thirds):
    def separate_music_file(self, mixed_sound_array, sample_rate):
        parts, rates = super().separate_music_file(mixed_sound_array, sample_rate)
        return {name: part + np.random.normal(size=part.shape) for name, part in parts.items()}, rates

class Nothing:
    pass
"""
KIT_2021 = """
import soundfile
from evaluator.music_demixing import MusicDemixingPredictor

class Predictor(MusicDemixingPredictor):
    def prediction_setup(self):
        self.factor = 0.5

    def prediction(self, mixture_file_path, bass_file_path, drums_file_path, other_file_path, vocals_file_path):
        samples, rate = soundfile.read(mixture_file_path)
        for path in (bass_file_path, drums_file_path, other_file_path, vocals_file_path):
            soundfile.write(path, self.factor * samples, rate, subtype="FLOAT")
"""


class Fractions:
    """A toy method whose stems are fixed fractions of the mixture."""

    def __init__(self, stems: tuple[str, ...]):
        self.info = SeparatorInfo(name="toy", stems=stems, sample_rate=44_100, channels=2, licence="MIT")

    def settings(self, quality: str | int) -> WindowSettings:
        return WindowSettings()

    def separate_windows(self, windows: Tensor, starts: Any, *, seed: int, settings: WindowSettings) -> Tensor:
        return torch.stack([windows * (index + 1) / 10 for index in range(len(self.info.stems))], dim=1)


@pytest.fixture
def toy() -> Iterator[str]:
    with register("toy", lambda: Fractions(("vocals", "bass", "other", "drums"))):
        yield "toy"


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A starter kit's folder; its modules are forgotten afterwards."""
    (tmp_path / "toy_submission.py").write_text(KIT_2023)
    (tmp_path / "toy_predictor.py").write_text(KIT_2021)
    (tmp_path / "evaluator").mkdir()
    (tmp_path / "evaluator" / "__init__.py").write_text("")
    (tmp_path / "evaluator" / "music_demixing.py").write_text("class MusicDemixingPredictor:\n    pass\n")
    for name in ("toy_submission", "toy_predictor", "evaluator", "evaluator.music_demixing"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return tmp_path


def test_a_method_is_a_submission_to_the_challenge_of_2023(toy: str) -> None:
    model = sdx23_model(toy, quality="fast")()
    assert model.instruments == ["bass", "drums", "other", "vocals"]
    samples = music(44_100, 2, 5000).numpy().T.astype(np.float64)
    arrays, rates = model.separate_music_file(samples, 44_100)
    assert rates == dict.fromkeys(INSTRUMENTS, 44_100)
    for name, gain in (("vocals", 0.1), ("bass", 0.2), ("other", 0.3), ("drums", 0.4)):
        assert arrays[name].shape == samples.shape
        np.testing.assert_allclose(arrays[name], gain * samples, atol=1e-6)
    mono, _ = model.separate_music_file(samples[:, 0], 22_050)
    assert mono["bass"].shape == (5000,)
    with pytest.raises(NameError, match="said"):
        model.raise_aicrowd_error("said")


def test_a_method_is_a_predictor_of_the_challenge_of_2021(toy: str, tmp_path: Path) -> None:
    class Kit:
        def run(self) -> str:
            return "run by the kit"

    predictor = mdx21_predictor(toy, base=Kit)()
    assert predictor.run() == "run by the kit"
    mixture = Audio(music(44_100, 2, 5000), 44_100)
    mixture.write(tmp_path / "mixture.wav", bits="float")
    predictor.prediction_setup()
    paths = {f"{name}_file_path": str(tmp_path / "out" / f"{name}.wav") for name in INSTRUMENTS}
    predictor.prediction(mixture_file_path=str(tmp_path / "mixture.wav"), **paths)
    drums, rate = soundfile.read(paths["drums_file_path"])
    assert rate == 44_100
    np.testing.assert_allclose(drums, 0.4 * mixture.numpy().T, atol=1e-6)


def test_a_method_without_the_asked_stems_is_refused() -> None:
    with register("toy", lambda: Fractions(("vocals", "accompaniment"))), pytest.raises(OptionError, match="no bass"):
        sdx23_model("toy")()


def test_a_submission_of_2023_is_a_method(kit: Path) -> None:
    separator = get_separator("mdx_submission", submission="toy_submission:Thirds", folder=kit)
    mixture = Audio(music(44_100, 2, 5000), 44_100)
    stems = separator.separate(mixture)
    assert tuple(stems) == INSTRUMENTS
    for index, name in enumerate(INSTRUMENTS):
        torch.testing.assert_close(stems[name].samples, mixture.samples * (index + 1) / 10)
    assert separator.info.licence == "unknown"


def test_a_submission_of_2021_is_a_method(kit: Path) -> None:
    separator = get_separator("mdx_submission", submission="toy_predictor:Predictor", folder=kit)
    mixture = Audio(music(44_100, 2, 5000), 44_100)
    torch.testing.assert_close(separator.separate(mixture)["other"].samples, 0.5 * mixture.samples)


def test_there_and_back_changes_nothing(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_config.py").write_text(
        "from sepkit_peers.challenge import sdx23_model\nMySeparationModel = sdx23_model('toy')\n"
    )
    monkeypatch.delitem(__import__("sys").modules, "user_config", raising=False)
    mixture = Audio(music(44_100, 2, 5000), 44_100)
    wanted = get_separator(toy).separate(mixture)
    submission = get_separator("mdx_submission", submission="user_config:MySeparationModel", folder=tmp_path)
    for name, stem in submission.separate(mixture).items():
        torch.testing.assert_close(stem.samples, wanted[name].samples)


def test_what_a_submission_gives_is_checked(kit: Path) -> None:
    mixture = Audio(music(44_100, 2, 5000), 44_100)
    for name, said in (("Forgetful", "no 'bass'"), ("Short", "samples and channels")):
        separator = get_separator("mdx_submission", submission=f"toy_submission:{name}", folder=kit)
        with pytest.raises(PluginError, match=said):
            separator.separate(mixture)
    halved = get_separator("mdx_submission", submission="toy_submission:Halved", folder=kit)
    assert halved.separate(mixture)["vocals"].length_samples == 5000
    for given, said in (("toy_submission:Nothing", "neither"), ("not_there:X", "cannot be imported")):
        with pytest.raises(PluginError, match=said):
            get_separator("mdx_submission", submission=given, folder=kit)
    with pytest.raises(OptionError, match="module:Class"):
        get_separator("mdx_submission")


def test_a_random_submission_follows_the_seed(kit: Path) -> None:
    mixture = Audio(music(44_100, 2, 500), 44_100)
    for random, alike in ((True, False), (False, True)):
        separator = get_separator("mdx_submission", submission="toy_submission:Noisy", folder=kit, random=random)
        one, two, again = (separator.separate(mixture, seed=seed)["bass"].samples for seed in (1, 2, 1))
        assert torch.equal(one, again)
        assert torch.equal(one, two) == alike


@pytest.mark.slow
class TestSubmission(SeparatorConformance):
    """The kit of laws on a toy submission."""

    def make(self) -> SubmissionSeparator:
        return SubmissionSeparator(SubmissionOptions(submission=f"{Toy.__module__}:Toy"))


class Toy:
    """A submission that halves."""

    instruments = ("bass", "drums", "other", "vocals")

    def separate_music_file(self, mixed_sound_array: Any, sample_rate: int) -> tuple[dict[str, Any], dict[str, int]]:
        return dict.fromkeys(self.instruments, 0.5 * mixed_sound_array), {}
