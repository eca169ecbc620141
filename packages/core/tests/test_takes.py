"""Laws of generated music in core: a plugin's generator can be asked for, its takes are kept, and can be heard."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sepkit import Audio, Stems, registry
from sepkit.cli.main import main
from sepkit.errors import DatasetError, OptionError
from sepkit.evaluation.page.takes import is_take, load_take
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.generator import Generator, get_generator, mixed
from sepkit.inputs import as_audio
from sepkit.noise import gaussian
from sepkit.testing.fakes import Split

RATE = 8000


class Hum:
    """Generates a tone for each stem: what the protocol asks for and no more."""

    def __init__(self, model: Tones):
        self.info = model.info

    def generate(self, seconds: float, *, seed: int = 0, quality: Any = "balanced", progress: Any = None) -> Stems:
        made = {stem: self._tone(stem, round(seconds * RATE), seed) for stem in self.info.stems}
        return Stems(made, provenance=self._facts("total", [], list(made), seed))

    def arrange(
        self,
        given: Mapping[str, Any],
        generate: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        seed: int = 0,
        quality: Any = "balanced",
        progress: Any = None,
    ) -> Stems:
        known = {stem: as_audio(sound, sample_rate, RATE) for stem, sound in given.items()}
        length = next(iter(known.values())).length_samples
        wanted = [stem for stem in self.info.stems if stem in (generate or set(self.info.stems) - set(known))]
        made = {stem: self._tone(stem, length, seed) for stem in wanted}
        return Stems({**known, **made}, provenance=self._facts("arrangement", list(known), wanted, seed))

    def inpaint(self, given: Any, start_seconds: float, end_seconds: float, generate: Any = None, **more: Any) -> Stems:
        raise NotImplementedError

    def _tone(self, stem: str, length_samples: int, seed: int) -> Audio:
        hz = 100.0 * (1 + self.info.stems.index(stem)) + seed
        return Audio(0.2 * torch.sin(2 * torch.pi * hz * torch.arange(length_samples) / RATE)[None], RATE)

    def _facts(self, made: str, given: list[str], generated: list[str], seed: int) -> dict[str, Any]:
        return {"method": self.info.name, "generation": made, "given": given, "generated": generated, "seed": seed}


class Tones(Split):
    """A separator that can generate."""

    def generator(self) -> Hum:
        return Hum(self)


@pytest.fixture(autouse=True)
def methods() -> Iterator[None]:
    with registry.register("tones", lambda: Tones(name="tones")), registry.register("plain", Split):
        yield


def test_a_plugins_generator_is_found_by_its_methods_name() -> None:
    generator = get_generator("tones", device="cpu")
    assert isinstance(generator, Generator)
    stems = generator.generate(0.5, seed=2)
    assert {stem: part.length_samples for stem, part in stems.items()} == {"low": 4000, "high": 4000}
    assert torch.equal(mixed(stems).samples, stems["low"].samples + stems["high"].samples)
    with pytest.raises(OptionError, match="'plain' separates but cannot generate"):
        get_generator("plain")


def test_the_commands_keep_takes_and_their_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "take"
    assert main(["generate", "tones", "--seconds", "1.5", "--seed", "4", "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "high.wav", "index.html", "low.wav", "mixture.wav", "provenance.json",
    ]  # fmt: skip
    wanted = get_generator("tones").generate(1.5, seed=4)
    assert torch.equal(Audio.read(out / "low.wav").samples, wanted["low"].samples)
    assert json.loads((out / "provenance.json").read_text())["generation"] == "total"
    assert main(["generate", "tones", "-o", str(out)]) == 2
    assert "already there" in capsys.readouterr().err

    given = Audio(gaussian(0, "drums", 0, 5000, 1) / 10, RATE)
    given.write(tmp_path / "low.wav")
    beside = tmp_path / "beside"
    assert main(["arrange", "tones", "-g", f"low={tmp_path / 'low.wav'}", "-o", str(beside), "--no-page"]) == 0
    assert torch.equal(Audio.read(beside / "low.wav").samples, given.samples)
    assert not (beside / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["arrange", "tones", "--generate", "high"], "No stem was given"),
        (["arrange", "tones", "-g", "low"], "is not STEM=FILE"),
        (["arrange", "tones", "-g", "low=a.wav", "-g", "low=b.wav"], "is there twice"),
        (["generate", "tones", "--quality", "30s"], "a budget is for separating"),
        (["generate", "plain"], "cannot generate"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert reason in capsys.readouterr().err


def take(folder: Path, stems: Stems) -> Path:
    stems.save(folder)
    return folder


def test_takes_are_on_the_page_with_their_sound(tmp_path: Path) -> None:
    generator = get_generator("tones")
    alone = take(tmp_path / "alone", generator.generate(1.0, seed=1))
    given = Audio(gaussian(0, "given", 0, RATE, 1) / 10, RATE)
    beside = take(tmp_path / "<b> beside", generator.arrange({"low": given}, seed=1))
    written = write_report([alone, beside], tmp_path / "page.html", PageOptions())
    text = written.path.read_text()
    assert (written.tracks, written.audible) == (2, 2)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))["tracks"]  # type: ignore[union-attr]
    assert [(one["kind"], one["name"]) for one in data] == [("take", "alone"), ("take", "<b> beside")]
    assert [(row["name"], row["given"]) for row in data[1]["rows"]] == [("low", True), ("high", False)]
    assert "arranged" in data[1]["facts"]
    assert "seed: 1" in data[1]["facts"]
    assert "<td>low</td><td>high</td><td>tones</td><td>1</td>" in text
    clip = data[1]["files"][data[1]["rows"][0]["clip"]]
    encoded = re.search(f'id="clip-{clip}" data-kind="flac">([^<]*)<', text).group(1)  # type: ignore[union-attr]
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)), always_2d=True)
    assert rate == RATE
    np.testing.assert_allclose(sound.T, given.numpy(), atol=2 / 32768)


def test_folders_of_other_things_are_no_takes(tmp_path: Path) -> None:
    assert not is_take(tmp_path)
    (tmp_path / "provenance.json").write_text('{"method": "split", "files": {}}')
    assert not is_take(tmp_path)
    (tmp_path / "provenance.json").write_text('{"generation": "total"}')
    with pytest.raises(DatasetError, match="lacks 'files'"):
        load_take(tmp_path)
