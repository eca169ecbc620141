"""New stems are learnt, old ones are kept by what the old network knew, and a run says beforehand what it will do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from safetensors.torch import load_file

from sepkit import get_separator
from sepkit.checkpoint import read_header
from sepkit.cli.main import main
from sepkit.data.opening import open_dataset
from sepkit.errors import CheckpointError, DatasetError, OptionError, UnknownNameError
from sepkit.finetuning import Prepared, prepare, settled_steps, tuner_of
from sepkit.finetuning_comparison import change_table, compare
from sepkit.finetuning_songs import own_stems_spec
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.finetune import LightSaftTuner
from sepkit_lightsaft.growing import grow
from sepkit_lightsaft.loss import SpectrogramLoss
from sepkit_lightsaft.separator import new_network
from sepkit_lightsaft.train import TRAIN_DEFAULT, write_checkpoint

RATE = 8000
NETWORK = LightSaftConfig(
    sample_rate=RATE, n_fft=256, hop_samples=128, window_frames=32, trim_samples=0, blocks=3, channels=4, tfc_layers=1,
    latent_sources=2, embedding_dim=8, key_dim=4, control_layers=2, features="log_magnitude", output="masking",
)  # fmt: skip
STEMS = ("tabla", "violin")
BANDS = {"tabla": (60, 500), "violin": (1500, 3500), "tanpura": (700, 1200)}
OPTIONS = {"frames": 24, "batch_size": 4, "learning_rate": 0.02}


def write_song(folder: Path, seed: int, names: tuple[str, ...] = tuple(BANDS), seconds: float = 1.2) -> None:
    """Each stem is a band of noise of its own, so that a mask can part them."""
    rng = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    folder.mkdir(parents=True)
    for name in names:
        low, high = BANDS[name]
        x = np.fft.irfft(
            np.fft.rfft(rng.standard_normal((2, round(seconds * RATE)))) * ((hertz > low) & (hertz < high))
        )
        soundfile.write(folder / f"{name}.wav", (x / np.abs(x).max() * 0.4).T, RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs to learn from and, the last by name, one held out."""
    root = tmp_path_factory.mktemp("songs")
    for seed, name in enumerate(("one", "three", "two")):
        write_song(root / name, seed)
    return root


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint to start from."""
    folder = tmp_path_factory.mktemp("start") / "lightsaft"
    config = TRAIN_DEFAULT.model_copy(update={"network": NETWORK, "licence": "CC0-1.0"})
    write_checkpoint(folder, new_network(NETWORK, 1), config, {"step": 1})
    return folder


@pytest.fixture
def request_of(songs: Path, start: Path, tmp_path: Path) -> Any:
    def make(out: Path, **changes: Any) -> Prepared:
        fields = {"options": {**OPTIONS, "cache": str(tmp_path / "cache")}, **changes}
        folder, stems = fields.pop("folder", songs), fields.pop("stems", STEMS)
        return prepare("lightsaft", folder, stems, out, checkpoint=start, **fields)

    return make


def test_the_command_teaches_new_stems_and_compares(songs: Path, start: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    line = ["finetune", "lightsaft", str(songs), "--stems", "tabla,violin", "-o", str(run), "--checkpoint", str(start)]
    line += [f"-O{key}={value}" for key, value in (OPTIONS | {"cache": str(tmp_path / "cache")}).items()]
    assert main([*line, "--steps", "40", "--licence", "CC-BY-NC-4.0", "-d", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "3 songs" in shown.out  # the check's report
    assert "40 steps will take about 0:" in shown.err.replace("\n", " ")
    separator = get_separator("lightsaft", checkpoint=run / "best", device="cpu")
    assert separator.info.stems == (*NETWORK.stems, *STEMS)
    assert separator.info.licence == "CC-BY-NC-4.0"
    found = separator.separate(songs / "two" / "violin.wav")
    assert found["violin"].samples.square().sum() > 1.2 * found["tabla"].samples.square().sum()
    rows = [json.loads(line) for line in (run / "comparison" / "scores.jsonl").read_text().splitlines()]
    scores = {(row["method"], row["stem"]): row["value"] for row in rows if row["metric"] == "sdr_mdx"}
    for stem in STEMS:
        assert scores["after", stem] > scores["before", stem] + 0.3  # dB
    assert scores["after", "drums"] is None  # no song has them
    assert (run / "comparison" / "index.html").exists()
    card = (run / "best" / "README.md").read_text()
    assert "| violin |" in card
    assert "CC-BY-NC-4.0" in card
    everything = card + (run / "best" / "config.json").read_text()
    assert str(songs) not in everything  # where they lay is nobody's concern
    assert songs.name in everything


def test_a_run_that_was_interrupted_goes_on_to_the_same_end(request_of: Any, tmp_path: Path) -> None:
    from sepkit_lightsaft import finetune

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit = finetune.fit
    first = request_of(parts)
    assert settled_steps(first, tuner_of(first), 4, None) == 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finetune, "fit", lambda *given, **named: fit(*given, stop_after=2, **named))
        tuner_of(first).train(4)
    again = request_of(parts)
    assert settled_steps(again, tuner_of(again), None, None) == 4  # as the run was begun
    for prepared in (again, request_of(whole)):
        tuner_of(prepared).train(4)
    ends = [load_file(out / "state" / "network.safetensors") for out in (whole, parts)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    prepared = request_of(parts, seed=3)
    with pytest.raises(CheckpointError, match="seed=0, and now 3"):
        settled_steps(prepared, tuner_of(prepared), 6, None)


def test_before_any_training_old_stems_are_as_they_were(request_of: Any, start: Path, tmp_path: Path) -> None:
    before = tuner_of(request_of(tmp_path / "run")).begin()
    mixture = torch.randn(2, 5000, generator=torch.Generator().manual_seed(2))
    old, grown = (get_separator("lightsaft", checkpoint=one, device="cpu").separate(mixture) for one in (start, before))
    for stem in NETWORK.stems:
        assert torch.allclose(old[stem].samples, grown[stem].samples, atol=1e-3)  # half precision
    assert read_header(before).info.stems == (*NETWORK.stems, *STEMS)


def test_what_no_song_has_is_taught_by_the_old_network(request_of: Any, tmp_path: Path) -> None:
    tuner = tuner_of(request_of(tmp_path / "run"))
    assert isinstance(tuner, LightSaftTuner)
    assert tuner.items.stems == ("other", *STEMS)  # the tanpura is none of the network's stems
    count = len(tuner.items.targets)
    asked = [int(tuner.items[index]["target"]) for index in range(count)]
    assert set(asked) == set(range(6))
    assert sum(target >= 4 for target in asked) * 2 == count
    stems = torch.stack([tuner.items[0]["stems"]] * 2)
    batch = {"stems": stems, "target": torch.tensor([1, 4])}  # drums, whom only the teacher knows, and tabla
    seen: list[torch.Tensor] = []
    terms = tuner.loss._terms
    tuner.loss._terms = lambda output, mixture, wanted: (  # type: ignore[method-assign]
        seen.extend((output, mixture, wanted)), terms(output, mixture, wanted)
    )[1]  # fmt: skip
    with torch.no_grad():
        tuner.loss(tuner.network.eval(), batch)  # still the old network, so its error on the old stem is none
    from sepkit_lightsaft.spectrum import estimate

    found = estimate(seen[0], seen[1], tuner.network.config)
    assert torch.allclose(found[0], seen[2][0], atol=1e-5)
    plain = SpectrogramLoss(tuner.network.config, tuner.config.loss)
    assert torch.equal(
        seen[2][1], plain.wanted(_specs(stems, tuner.network.config), *seen[:2], torch.tensor([1, 1]))[1]
    )


def _specs(stems: torch.Tensor, config: LightSaftConfig) -> torch.Tensor:
    from sepkit_lightsaft.spectrum import stft

    return torch.stack([stft(one, config) for one in stems])


def test_the_time_is_foretold_and_fits_the_minutes(request_of: Any, tmp_path: Path) -> None:
    prepared = request_of(tmp_path / "run")
    tuner = tuner_of(prepared)
    assert 0 < tuner.predicted_seconds(10) < tuner.predicted_seconds(1000)
    assert tuner.predicted_seconds(10) == tuner.predicted_seconds(10)  # timed once
    steps = settled_steps(prepared, tuner, None, 2.0)
    assert tuner.predicted_seconds(steps) == pytest.approx(120, rel=0.05)


def test_songs_are_found_by_the_names_of_their_files(songs: Path, tmp_path: Path) -> None:
    spec = own_stems_spec((*NETWORK.stems, *STEMS), songs)
    assert [song.name for song in open_dataset(spec, "train")] == ["one", "three"]
    [held] = open_dataset(spec, "valid")
    assert (held.name, held.stems) == ("two", ("other", *STEMS))
    assert "tanpura" in " ".join(open_dataset(spec).notes)
    for split, name in (("train", "one"), ("valid", "three")):
        shutil.copytree(songs / name, tmp_path / split / name)
    (tmp_path / "valid" / "three" / "tanpura.wav").rename(tmp_path / "valid" / "three" / "Lead Vocals.wav")
    [other] = open_dataset(own_stems_spec(("vocals", *STEMS), tmp_path), "valid")
    assert other.stems == ("vocals", *STEMS)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"stems": ["vocals"]}, OptionError, "is there already"),
        ({"stems": ["tabla", "tabla"]}, OptionError, "named twice"),
        ({"stems": ["Ta bla!"]}, OptionError, "no name for a stem"),
        ({"stems": []}, OptionError, "No stem was given"),
        ({"stems": ["tabla", "sarod"]}, DatasetError, "has a file for 'sarod'"),
    ],
)
def test_what_will_not_do_is_refused_before_anything(
    request_of: Any, tmp_path: Path, change: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        request_of(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()


def test_songs_that_would_spoil_it_are_refused(request_of: Any, songs: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="no song"):
        request_of(tmp_path / "run", folder=empty)
    single = tmp_path / "single"
    write_song(single / "one", 1)
    with pytest.raises(DatasetError, match="has one song"):
        request_of(tmp_path / "run", folder=single)
    leaking = tmp_path / "leaking"
    write_song(leaking / "a", 1, seconds=6.0)
    shutil.copytree(leaking / "a", leaking / "b")
    with pytest.raises(DatasetError, match=r"would spoil the training.*the same recording"):
        request_of(tmp_path / "run", folder=leaking)
    silent = tmp_path / "silent"
    shutil.copytree(songs, silent)
    for name in ("one", "three"):
        soundfile.write(silent / name / "violin.wav", np.zeros((2000, 2)), RATE)
    with pytest.raises(DatasetError, match="'violin' is silent"):
        request_of(tmp_path / "run", folder=silent)


def test_a_method_that_cannot_is_named(songs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Known: .*lightsaft"):
        prepare("lasaft_net", songs, STEMS, tmp_path)
    assert compare.__doc__ is not None
    assert "likeness" in change_table([], "sdr_mdx")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_grown_network_is_where_the_old_one_is() -> None:
    network = new_network(NETWORK, 0).to("cuda")
    assert {parameter.device.type for parameter in grow(network, STEMS).parameters()} == {"cuda"}
