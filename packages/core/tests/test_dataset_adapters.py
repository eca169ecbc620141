"""Each dataset in exactly its own layout, tiny and made here: checked, loaded, trained on for a step, evaluated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from sepkit.data import open_dataset
from sepkit.data.checking import check_dataset
from sepkit.data.detection import dataset_spec
from sepkit.data.medleydb import medleydb_dataset
from sepkit.data.medleydb_lists import BY_MUSDB_ARTISTS, IN_MUSDB
from sepkit.data.moisesdb import FOUR
from sepkit.data.musdb import VALIDATION_TRACKS
from sepkit.data.saraga_list import MULTITRACK
from sepkit.errors import DatasetError
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.methods import find_methods
from sepkit.evaluation.recipe import RECIPES

av = pytest.importorskip("av", reason="stem files need the extra [data]")
yaml = pytest.importorskip("yaml", reason="metadata needs the extra [data]")

RATE = 44100
LENGTH = 48_000  # a second and a bit: the fingerprint wants 0.8 s


def noise(*seed: int, channels: int = 2, length: int = LENGTH) -> np.ndarray:
    """c t, multiples of 2^-15: exact in 16 bits, and so are sums of a few."""
    x = np.random.default_rng(list(seed)).uniform(-0.1, 0.1, (channels, length))
    return (np.round(x * 32768) / 32768).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate)
    return samples


def write_stem_file(path: Path, streams: Sequence[np.ndarray]) -> None:
    """An mp4 with a stereo AAC stream for each of `streams` (2 t), as MUSDB18's songs are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        outs = [container.add_stream("aac", rate=RATE, layout="stereo") for _ in streams]
        for out, samples in zip(outs, streams, strict=True):
            out.bit_rate = 256_000
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(out.encode(frame))
            container.mux(out.encode(None))


def low(*seed: int) -> np.ndarray:
    """Noise below 2 kHz, which AAC keeps well."""
    spectrum = np.fft.rfft(noise(*seed))
    spectrum[:, 2000 * LENGTH // RATE :] = 0
    return (4 * np.fft.irfft(spectrum, LENGTH)).astype(np.float32)


SONGS = (("train", "A - One"), ("train", VALIDATION_TRACKS[0]), ("test", "B - Two"))


def musdb18(root: Path) -> None:
    for i, (split, name) in enumerate(SONGS):
        stems = [low(i, s) for s in range(4)]
        write_stem_file(root / split / f"{name}.stem.mp4", [sum(stems[1:], stems[0]), *stems])


def musdb18_hq(root: Path) -> None:
    for i, (split, name) in enumerate(SONGS):
        stems = [noise(i, s) for s in range(4)]
        for stem, x in zip(("drums", "bass", "other", "vocals"), stems, strict=True):
            write(root / split / name / f"{stem}.wav", x)
        write(root / split / name / "mixture.wav", sum(stems[1:], stems[0]))


SLAKH_CLASSES = ("Guitar", "Piano", "Bass", "Drums", "Strings (continued)", "Synth Lead", "Guitar", "Sound effects")


def slakh(
    root: Path, folders: Sequence[str] = ("train/Track00001", "validation/Track01501", "test/Track01876")
) -> None:
    """S07 was not rendered; mono, as Slakh is."""
    for i, place in enumerate(folders):
        folder, stems, total = root / place, {}, np.zeros((1, LENGTH), np.float32)
        for s, name in enumerate(SLAKH_CLASSES):
            rendered = s != 7
            stems[f"S{s:02d}"] = {"inst_class": name, "is_drum": name == "Drums", "audio_rendered": rendered}
            if rendered:
                total = total + write(folder / "stems" / f"S{s:02d}.flac", noise(i, s, channels=1))
        write(folder / "mix.flac", total)
        metadata = {"UUID": f"midi{i}", "audio_dir": "stems", "stems": stems}
        (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))


MOISES = {
    "vocals": ("lead female singer", "background vocals"),
    "drums": ("kick drum",),
    "bass": ("bass guitar",),
    "guitar": ("acoustic guitar",),
    "other_keys": ("synth pad",),
    "percussion": ("a-tonal percussion (claps, shakers, congas, cowbell etc)",),
}


def moisesdb(root: Path) -> None:
    for i, artist in enumerate(("Mono Duo", "C")):  # train and valid by their names
        folder = root / "moisesdb_v0.1" / f"0a1b-{i}"
        stems = []
        for s, (stem, kinds) in enumerate(MOISES.items()):
            tracks = [{"id": f"{stem}-{t}", "trackType": k, "extension": "wav"} for t, k in enumerate(kinds)]
            for t, track in enumerate(tracks):
                write(folder / stem / f"{track['id']}.wav", noise(i, s, t, length=LENGTH - 500 * t))
            stems.append({"stemName": stem, "tracks": tracks})
        facts = {"artist": artist, "song": f"Song {i}", "genre": "pop", "stems": stems}
        (folder / "data.json").write_text(json.dumps(facts))


def medleydb(root: Path) -> None:
    instruments = ("female singer", "drum set", "electric bass", "clean electric guitar", "violin", "synthesizer")
    for i, title in enumerate(("LizNelson_Rainfall", "AmarLal_Rest", IN_MUSDB[0], BY_MUSDB_ARTISTS[0])):
        folder, stems, total = root / "Audio" / title, {}, np.zeros((2, LENGTH), np.float32)
        for s, instrument in enumerate(instruments, start=1):
            name = f"{title}_STEM_{s:02d}.wav"
            total = total + write(folder / f"{title}_STEMS" / name, noise(i, s))
            component = "bass" if instrument == "synthesizer" else ""
            stems[f"S{s:02d}"] = {"component": component, "filename": name, "instrument": instrument, "raw": {}}
        write(folder / f"{title}_MIX.wav", total)
        facts = {"artist": title.split("_")[0], "has_bleed": "no", "stem_dir": f"{title}_STEMS", "stems": stems}
        place = root / "Metadata" if i else folder  # the first has it beside its sound
        place.mkdir(exist_ok=True)
        (place / f"{title}_METADATA.yaml").write_text(yaml.safe_dump(facts))


def saraga(root: Path) -> None:
    first, second = list(MULTITRACK)[:2]
    for i, (concert, song) in enumerate(
        ((first, MULTITRACK[first][0]), (second, MULTITRACK[second][0]), ("X by Y", "Z"))
    ):
        folder = root / "saraga1.5_carnatic" / concert / song
        parts = {"vocal": noise(i, 0), "violin": noise(i, 1), "mridangam-left": noise(i, 2)}
        for part, x in parts.items():
            write(folder / f"{song}.multitrack-{part}.mp3", x)
        write(folder / f"{song}.mp3.mp3", 1.3 * sum(parts.values(), np.zeros((2, LENGTH), np.float32)))


TREES: dict[str, Callable[[Path], None]] = {
    "musdb18": musdb18,
    "musdb18_hq": musdb18_hq,
    "slakh": slakh,
    "moisesdb": moisesdb,
    "medleydb": medleydb,
    "saraga": saraga,
}
KINDS = {"musdb18": "musdb", "musdb18_hq": "musdb"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each tree, made when it is first asked for, under a name that says nothing."""
    made: dict[str, Path] = {}

    def tree(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("songs")
            TREES[name](made[name])
        return made[name]

    return tree


def spec(name: str, root: Path) -> str:
    return f"{KINDS.get(name, name)}:{root}"


@pytest.mark.parametrize("name", TREES)
def test_a_folder_is_known_for_what_it_is_and_nothing_is_wrong_with_it(name: str, trees) -> None:
    root = trees(name)
    assert dataset_spec(str(root)) == spec(name, root)
    report = check_dataset(dataset_spec(str(root)))
    assert [f.text for f in report.of("problem")] == []
    assert report.hours > 0
    assert all(not facts.is_silent for song in report.songs for facts in song.stems.values())


def test_two_songs_are_no_leak_and_splits_are_the_ones_asked_for(trees) -> None:
    counts = {name: check_dataset(spec(name, trees(name)), listen=False).counts for name in TREES}
    three = {"train": 1, "valid": 1, "test": 1}
    two = {"train": 1, "valid": 1}
    assert counts == {
        "musdb18": three,
        "musdb18_hq": three,
        "slakh": three,
        "moisesdb": two,
        "medleydb": two,
        "saraga": two,
    }


class Toy(nn.Module):
    """As many stems as asked for, each a mix of the mixture's channels."""

    def __init__(self, stems: int):
        super().__init__()
        self.mix = nn.Conv1d(2, 2 * stems, 1)

    def forward(self, mixture: Tensor) -> Tensor:
        return self.mix(mixture).unflatten(1, (-1, 2))


@pytest.mark.parametrize("name", TREES)
def test_a_training_step_learns_from_it(name: str, trees, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="training needs the extra [train]")
    from sepkit.training.items import StemData, StemItems
    from sepkit.training.loop import FitConfig, fit

    stems = ("vocals",) if name == "saraga" else ("bass", "drums") if name == "slakh" else ("vocals", "drums")
    data = StemData(sources=(spec(name, trees(name)),), cache=str(tmp_path / "cache"))
    items = StemItems(data, stems=stems, length_samples=4000, sample_rate=RATE, channels=2, seed=0)
    network = Toy(len(stems))
    before = network.mix.weight.detach().clone()

    def loss(net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert float(batch["stems"].abs().amax(dim=(0, 2, 3)).min()) > 0  # every stem was found
        return (net(batch["stems"].sum(dim=1)) - batch["stems"]).square().mean()

    result = fit(network, loss, items, FitConfig(steps=1, batch_size=2), tmp_path / "run")
    assert result.step == 1
    assert not torch.equal(network.mix.weight, before)


class Unwatched:
    def planned(self, items, seconds): ...

    def progress(self, method, track, seconds): ...

    def finished(self, method, track, seconds, rows): ...


def test_an_evaluation_scores_the_stems_of_each(trees, tmp_path: Path) -> None:
    """All in one run, for every run starts a process."""
    tracks = []
    for name in TREES:
        (track,) = open_dataset(spec(name, trees(name)), "valid")
        tracks.append(replace(track, name=name))
    settings = RunSettings(dataset="trees", save_stems=False)
    rows = evaluate(find_methods(["mixture"]), tracks, [RECIPES["sdx23"]], tmp_path, settings, Unwatched())
    for track in tracks:
        scored = {row.stem: row.value for row in rows if row.track == track.name and row.stem in track.stems}
        values = {stem: value for stem, value in scored.items() if value is not None}
        assert set(values) >= ({"vocals"} if track.name == "saraga" else {"bass", "drums"}), track.name
        assert all(-12 < value < 6 for value in values.values()), values


def test_a_stem_file_holds_what_was_put_into_its_streams(trees) -> None:
    (track,) = open_dataset(f"musdb:{trees('musdb18')}", "train")
    assert (track.name, track.stems, track.sample_rate, track.complete) == (
        "A - One",
        ("vocals", "drums", "bass", "other"),
        RATE,
        True,
    )
    assert abs(track.length_samples - LENGTH) <= 1024  # the container rounds to frames
    for stem, number in (("drums", 0), ("bass", 1), ("other", 2), ("vocals", 3)):
        given, found = low(0, number), track.load(stem, 0, LENGTH).numpy()
        assert 10 * np.log10(np.square(found - given).mean() / np.square(given).mean()) < -15, stem
    assert torch.equal(track.load("bass", 7000, 900), track.load("bass")[:, 7000:7900])
    assert track.mixture_fit.unexplained < 0.05


def test_a_stem_file_that_lacks_streams_is_named(tmp_path: Path) -> None:
    write_stem_file(tmp_path / "test" / "A - B.stem.mp4", [low(0), low(1)])
    with pytest.raises(DatasetError, match=r"A - B.*2 streams of sound"):
        open_dataset(f"musdb:{tmp_path}")


def test_slakh_sums_instruments_by_class_and_says_what_is_silent(trees) -> None:
    root = trees("slakh")
    dataset = open_dataset(f"slakh:{root}", "train")
    (track,) = dataset
    assert track.stems == ("bass", "drums", "guitar", "piano", "other")
    guitar, other = noise(0, 0, channels=1) + noise(0, 6, channels=1), noise(0, 4, channels=1) + noise(0, 5, channels=1)
    assert np.allclose(track.load("guitar"), guitar, atol=1e-6)
    assert np.allclose(track.load("other"), other, atol=1e-6)
    assert track.mixture_fit.unexplained < 1e-6
    assert any("S07" in note and "not rendered" in note for note in dataset.notes)
    (band,) = open_dataset(f"slakh-band:{root}", "train")
    assert band.stems == ("bass", "drums", "guitar", "piano")
    assert band.mixture_is_sum
    assert np.allclose(band.mixture, track.mixture - track.load("other"), atol=1e-5)
    (classes,) = open_dataset(f"slakh-classes:{root}", "train")
    assert classes.stems == ("bass", "drums", "guitar", "piano", "strings", "synth_lead")
    assert np.allclose(classes.load("strings"), noise(0, 4, channels=1))


def test_slakh_without_split_folders_goes_by_the_numbers(tmp_path: Path) -> None:
    slakh(tmp_path, ("Track00001", "Track01500", "Track01501", "Track01876", "omitted/Track00002"))
    names = {split: [t.name for t in open_dataset(f"slakh:{tmp_path}", split)] for split in ("train", "valid", "test")}
    assert names == {"train": ["Track00001", "Track01500"], "valid": ["Track01501"], "test": ["Track01876"]}
    assert len(open_dataset(f"slakh:{tmp_path}")) == 4


def test_a_slakh_instrument_whose_file_is_missing_is_silent_and_the_check_hears_it(tmp_path: Path) -> None:
    slakh(tmp_path)
    (tmp_path / "train" / "Track00001" / "stems" / "S02.flac").unlink()
    (track,) = open_dataset(f"slakh:{tmp_path}", "train")
    assert not track.load("bass").any()
    assert not track.is_complete()
    report = check_dataset(f"slakh:{tmp_path}")
    assert {f.song for f in report.of("problem") if f.kind == "mixture"} == {"Track00001"}


def test_moisesdb_sums_tracks_and_maps_to_six_four_and_eleven_stems(trees) -> None:
    (track,) = open_dataset(f"moisesdb:{trees('moisesdb')}", "train")
    assert track.name == "Mono Duo - Song 0"
    assert track.stems == ("vocals", "drums", "bass", "guitar", "other")
    backing = np.pad(noise(0, 0, 1, length=LENGTH - 500), ((0, 0), (0, 500)))  # shorter tracks end in silence
    assert np.allclose(track.load("vocals"), noise(0, 0, 0) + backing, atol=1e-6)
    four = track.view(FOUR)
    assert four.stems == FOUR
    rest = noise(0, 3, 0) + noise(0, 4, 0) + noise(0, 5, 0)  # guitar, keys, percussion
    assert np.allclose(four.load("other"), rest, atol=1e-6)
    (own,) = open_dataset(f"moisesdb-all:{trees('moisesdb')}", "train")
    assert own.stems == ("vocals", "drums", "bass", "guitar", "other_keys", "percussion")


def test_medleydb_leaves_out_what_musdb_has_and_its_artists(trees) -> None:
    dataset = open_dataset(f"medleydb:{trees('medleydb')}")
    assert [track.name for track in dataset] == ["AmarLal_Rest", "LizNelson_Rainfall"]
    assert all(any(title in note for note in dataset.notes) for title in (IN_MUSDB[0], BY_MUSDB_ARTISTS[0]))
    assert len(medleydb_dataset(trees("medleydb"), with_musdb=True)) == 4
    track = dataset.named("LizNelson_Rainfall")[0]
    assert track.stems == ("vocals", "drums", "bass", "guitar", "other")
    assert np.allclose(track.load("bass"), noise(0, 3) + noise(0, 6), atol=1e-6)  # a synthesizer plays it too
    assert track.is_complete()


def test_a_mix_of_medleydb_with_gains_of_its_own_spoils_no_training(tmp_path: Path) -> None:
    medleydb(tmp_path)
    folder = tmp_path / "Audio" / "AmarLal_Rest"
    write(folder / "AmarLal_Rest_MIX.wav", sum((noise(1, s) * s / 6 for s in range(1, 7)), np.zeros((2, LENGTH))))
    report = check_dataset(f"medleydb:{tmp_path}")
    assert report.ok
    assert [(f.kind, f.song) for f in report.of("warning")] == [("mixture", "AmarLal_Rest")]


def test_saraga_has_vocals_and_no_accompaniment(trees) -> None:
    dataset = open_dataset(f"saraga:{trees('saraga')}")
    assert len(dataset) == 2
    assert any("X by Y" in note for note in dataset.notes)
    for track in dataset:
        assert (track.stems, track.complete, track.mixture_is_sum) == (("vocals",), False, False)
        assert track.view(("vocals", "accompaniment")).stems == ("vocals",)


def broken_wav(root: Path) -> None:
    next(root.rglob("*.wav")).write_bytes(b"no sound")


def broken_metadata(name: str, root: Path) -> None:
    next(root.rglob(name)).write_text("{unclosed: [")


BROKEN: dict[str, Callable[[Path], Any]] = {
    "musdb18": lambda root: next((root / "train").glob("*.mp4")).write_bytes(b"no mp4"),
    "musdb18_hq": broken_wav,
    "slakh": partial(broken_metadata, "metadata.yaml"),
    "moisesdb": partial(broken_metadata, "data.json"),
    "medleydb": partial(broken_metadata, "LizNelson*.yaml"),
    "saraga": lambda root: next(root.rglob("*.mp3.mp3")).unlink(),
}


@pytest.mark.parametrize("name", TREES)
def test_one_bad_song_is_reported_and_the_others_go_on(name: str, trees, tmp_path: Path) -> None:
    shutil.copytree(trees(name), tmp_path, dirs_exist_ok=True)
    whole = sum(check_dataset(spec(name, tmp_path), listen=False).counts.values())
    BROKEN[name](tmp_path)
    report = check_dataset(spec(name, tmp_path), listen=False)
    assert sum(report.counts.values()) == whole - 1
    assert [f.kind for f in report.of("problem")] == ["unreadable"]
    with pytest.raises(DatasetError):
        open_everything(spec(name, tmp_path))


def open_everything(dataset: str) -> None:
    for split in ("train", "valid", "test"):
        open_dataset(dataset, split)
