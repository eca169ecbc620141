"""Laws of tracks that lack references: what needs them is undefined with the reason, and nobody makes them up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sepkit import Audio
from sepkit.data.folder import FolderDataset
from sepkit.data.resampled import resampled_track
from sepkit.data.stem_names import parts_of
from sepkit.data.track import Track, track_in_memory
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.methods import Method, find_methods
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.museval_json import read_windows
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.rows import Label, Separation
from sepkit.evaluation.score import Cost, MethodFacts
from sepkit.evaluation.views import FULL_VIEW, view_on

RATE = 8000
SECONDS = 3
PAIR = ("vocals", "accompaniment")
FOUR = ("vocals", "drums", "bass", "other")

FAKES = """
from sepkit import Audio, SeparatorInfo, Stems

class Halves:
    info = SeparatorInfo(name="halves", stems=("vocals", "accompaniment"), sample_rate=8000, channels=2, licence="MIT")
    def separate(self, mixture, **_):
        return Stems({name: Audio(mixture.samples / 2, mixture.sample_rate) for name in self.info.stems})

def build():
    return Halves()
"""


def noise(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, SECONDS * RATE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def carnatic(tmp_path_factory) -> Track:
    """A folder with a mixture and vocals alone, as in Saraga."""
    folder = tmp_path_factory.mktemp("saraga") / "raga"
    folder.mkdir()
    Audio(noise(0), RATE).write(folder / "vocals.wav", bits="float")
    Audio(noise(0) + noise(1), RATE).write(folder / "mixture.wav", bits="float")
    [track] = FolderDataset(folder.parent)
    return track


def scored(track: Track, stems: tuple[str, ...], *recipes: str) -> dict[tuple[str, str, str], object]:
    view = view_on(stems, track)
    estimates = {stem: 0.5 * np.asarray(track.mixture) for stem in view.parts}
    separation = Separation(Label(dataset="test"), "half", track, MethodFacts(), Cost())
    rows = separation.score(view, estimates, [RECIPES[name] for name in recipes])
    return {(row.recipe, row.stem, row.metric): row for row in rows}


def test_what_a_song_has_all_of():
    stems = {stem: noise(index) for index, stem in enumerate(("vocals", "drums", "bass", "other"))}
    whole = sum(stems.values())

    def complete(names: str, mixture: torch.Tensor | None, **told: object) -> bool:
        track = track_in_memory("song", {name: stems.get(name, noise(9)) for name in names.split()}, RATE, mixture)
        return replace(track, **told).is_complete()

    assert complete("vocals drums", None)
    assert not complete("vocals", whole)
    assert complete("vocals drums bass other", whole)
    assert complete("vocals drums bass other", 0.5 * whole)  # at whatever level
    assert complete("vocals drums bass other accompaniment", whole)  # the accompaniment is not counted twice
    assert not complete("vocals drums bass other", -whole)
    assert not complete("vocals drums bass other", 0 * whole)
    assert not complete("vocals drums other", whole)  # no name wins over what one hears
    assert not complete("vocals accompaniment", whole)  # this accompaniment is another song's
    assert complete("vocals drums other", None)  # names count where there is no mixture to ask
    assert not complete("vocals drums bass other", whole + noise(7))  # mastered beyond recognition: the dataset says so
    assert complete("vocals drums bass other", whole + noise(7), complete=True)
    assert complete("vocals drums", stems["vocals"] + stems["drums"] + 0.05 * noise(7))  # by ear: coding noise
    assert not complete("vocals drums", stems["vocals"] + stems["drums"] + 0.5 * noise(7))
    assert complete("vocals drums", whole, complete=True)  # a dataset may know
    assert not complete("vocals drums bass other", whole, complete=False)
    assert not resampled_track(track_in_memory("s", {"vocals": stems["vocals"]}, RATE, whole), 4000).is_complete()


def test_nobody_sums_the_rest_of_a_song_that_lacks_references():
    assert parts_of("accompaniment", PAIR, ("vocals", "violin")) == ("violin",)
    assert parts_of("accompaniment", PAIR, ("vocals", "violin"), complete=False) == ()
    assert parts_of("other", FOUR, ("vocals", "violin"), complete=False) == ()
    assert parts_of("accompaniment", PAIR, PAIR, complete=False) == ("accompaniment",)


def test_a_mixture_at_another_level_is_complete_and_told():
    stems = {stem: noise(index) for index, stem in enumerate(FOUR)}
    whole = sum(stems.values())
    for gain_db, told in ((0.0, None), (0.05, None), (-6.0, "6.0 dB quieter"), (3.0, "3.0 dB louder")):
        track = track_in_memory("song", stems, RATE, 10 ** (gain_db / 20) * whole)
        assert track.mixture_fit.level_db == pytest.approx(gain_db, abs=1e-4)
        assert track.mixture_fit.unexplained < 1e-6
        assert (track.mixture_fit.note is None) == (told is None)
        assert told is None or told in track.mixture_fit.note
        rows = [row for row in scored(track, FOUR, "sdx23", "beyond_sdr").values() if row.stem == "drums"]
        noted = {row.metric for row in rows if row.note is not None and told in row.note}
        assert noted == ({row.metric for row in rows} - {"si_sdr"} if told else set())
    assert track_in_memory("song", stems, RATE).mixture_fit == (0.0, 0.0)


def test_a_song_without_its_bass_has_no_accompaniment_although_it_has_an_other():
    stems = {stem: noise(index) for index, stem in enumerate(FOUR)}
    whole = sum(stems.values())
    stems.pop("bass")
    track = track_in_memory("song", stems, RATE, whole)
    rows = scored(track, FULL_VIEW, "sdx23", "musdb18")
    defined = {(stem, metric) for (_, stem, metric), row in rows.items() if row.value is not None}
    own = ("vocals", "drums", "other")  # a method of four stems means the same by `other`, since bass is one of them
    assert defined == {(stem, metric) for stem in own for metric in ("sdr_mdx", "sdr_bss4_median")}
    assert "no reference of accompaniment" in rows["sdx23", "accompaniment", "sdr_mdx"].reason
    for stems_of_method in (PAIR, ("vocals", "other"), ("vocals", "drums", "other")):
        view = view_on(stems_of_method, track)
        assert {"other", "accompaniment"} & set(stems_of_method) <= set(view.absent)
    assert "no reference of all that is other" in view.why_absent("other")
    assert "other" not in track.view(("vocals", "other")).stems
    assert scored(replace(track, complete=True), PAIR, "sdx23")["sdx23", "accompaniment", "sdr_mdx"].value


def test_the_view_gives_the_whole_mixture_and_says_what_is_missing(carnatic: Track):
    for stems in (PAIR, FOUR, FULL_VIEW, ("vocals",)):
        view = view_on(stems, carnatic)
        assert dict(view.parts) == {"vocals": ("vocals",)}
        assert view.mixture == "full"
        assert torch.equal(view.mixture_of(carnatic), carnatic.mixture)
        assert not view.complete
    assert "no reference of drums" in view_on(FOUR, carnatic).why_absent("drums")
    fiddle = track_in_memory("s", {"vocals": noise(0), "violin": noise(1)}, RATE, noise(0) + noise(1) + noise(2))
    view = view_on(PAIR, fiddle)
    assert dict(view.parts) == {"vocals": ("vocals",)}
    assert torch.equal(view.mixture_of(fiddle), fiddle.mixture)
    seen = fiddle.view(PAIR)
    assert seen.stems == ("vocals",)
    assert torch.equal(seen.mixture, fiddle.mixture)
    assert not seen.is_complete()


def test_a_song_whose_stems_are_all_there_is_scored_as_before():
    track = track_in_memory("song", {stem: noise(index) for index, stem in enumerate(FOUR)}, RATE)
    assert view_on(FOUR, track).complete
    assert view_on(FULL_VIEW, track).complete
    assert view_on(("drums", "bass"), track).complete  # of its own mixture
    coarse = track_in_memory("song", {"vocals": noise(0), "accompaniment": noise(1)}, RATE)
    assert not view_on(FOUR, coarse).complete  # the accompaniment is nobody's stem


def test_every_metric_that_needs_no_other_reference_has_its_value_and_the_rest_its_reason(carnatic: Track):
    rows = scored(carnatic, PAIR, "sdx23", "musdb18", "msdm_slakh", "beyond_sdr")
    vocals, mixture = np.asarray(carnatic.load("vocals")), np.asarray(carnatic.mixture)
    assert rows["sdx23", "vocals", "sdr_mdx"].value == pytest.approx(float(sdr_mdx(vocals, mixture / 2)), abs=1e-9)
    assert rows["musdb18", "vocals", "sdr_bss4_median"].value == pytest.approx(3.0, abs=0.2)
    defined = {metric for (_, stem, metric), row in rows.items() if stem == "vocals" and row.value is not None}
    assert defined == {"sdr_mdx", "sdr_bss4_median", *RECIPES["beyond_sdr"].metrics}
    for (_, stem, metric), row in rows.items():
        if stem == "accompaniment":
            assert row.value is None
            assert row.reason == (
                "the track has no reference of accompaniment, and its other references are not all of its mixture"
            )
        elif metric not in defined:
            assert "needs the reference and the estimate of every part" in row.reason


@pytest.mark.timeout(600)
def test_a_run_on_such_a_track_writes_undefined_rows_and_no_oracle(carnatic: Track, tmp_path, monkeypatch):
    (tmp_path / "halves_fake.py").write_text(FAKES)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", path)
    methods = [
        Method(name="halves", factory="halves_fake:build"),
        *find_methods(["mixture", "ideal_ratio_mask"]),
    ]
    out: Path = tmp_path / "out"
    recipes = [RECIPES["sdx23"], RECIPES["musdb18"]]
    rows = evaluate(methods, [carnatic], recipes, out, RunSettings(dataset="test"), Quiet())
    assert not any(row.failed for row in rows)
    for method in ("halves", "mixture"):
        own = {(row.stem, row.metric): row.value for row in rows if row.method == method}
        assert {key for key, value in own.items() if value is not None} == {
            ("vocals", "sdr_mdx"),
            ("vocals", "sdr_bss4_median"),
        }
        frames = read_windows(out / "windows" / "musdb18" / method / "raga.json")
        assert set(frames) == {"vocals"}
        assert set(frames["vocals"].metrics) == {"SDR"}
        assert len(frames["vocals"].metrics["SDR"]) == SECONDS
    oracle = [row for row in rows if row.method == "ideal_ratio_mask"]
    assert len(oracle) == len(FULL_VIEW) * 5
    assert {row.reason for row in oracle} == {
        "an oracle needs the references of everything in the mixture, and some are missing"
    }
    assert sorted(file.name for file in (out / "references" / "raga").glob("*.wav")) == ["mixture.wav", "vocals.wav"]
    before = (out / "scores.jsonl").read_bytes()
    evaluate(methods, [carnatic], recipes, out, RunSettings(dataset="test"), Quiet())
    assert (out / "scores.jsonl").read_bytes() == before


class Quiet:
    def planned(self, items, seconds): ...
    def progress(self, method, track, seconds): ...
    def finished(self, method, track, seconds, rows): ...
