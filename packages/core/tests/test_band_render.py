"""Rendered bands: datasets that resume, fonts and styles that tests alone have, stems that are there or left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sepkit.data import FolderDataset, soundfonts
from sepkit.data.band_arranging import BAND_STEMS, HELD_OUT_STYLES
from sepkit.data.band_production import BandIngredients, band_fonts, produced_band
from sepkit.data.band_render import BandPlan, render_band
from sepkit.data.cli import app
from sepkit.data.mixing import rms_db
from sepkit.data.soundfonts import find_soundfonts
from sepkit.errors import DatasetError

RATE = 44100
OWN = BandIngredients(seconds=3.0, made_chance=0.0)


def _font() -> Path | None:
    try:
        return find_soundfonts()[0] if shutil.which("fluidsynth") else None
    except DatasetError:
        return None


needs_font = pytest.mark.skipif(_font() is None, reason="fluidsynth or its soundfonts are missing")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bands")
    render_band(BandPlan(out, OWN, seed=1), 2, report=lambda line: None)
    return out


def test_what_is_rendered_is_a_dataset_whose_stems_sound(rendered: Path) -> None:
    dataset = FolderDataset(rendered, "train")
    assert [track.name for track in dataset] == ["Band_00000", "Band_00001"]
    for track in dataset:
        assert set(track.stems) <= set(BAND_STEMS)
        assert len(track.stems) >= 2
        assert track.mixture_is_sum
        assert track.length_samples == 3 * RATE
        assert 0.05 < track.mixture.abs().max() <= 1.0
        assert all(np.isfinite(rms_db(track.load(stem).numpy(), RATE)) for stem in track.stems)
        facts = json.loads((rendered / "train" / track.name / "track.json").read_text())
        assert set(facts["stems"]) == set(track.stems)
        assert facts["sources"]
        assert facts["style"] not in HELD_OUT_STYLES
    assert "train/Band_00001: " in (rendered / "LICENSES.txt").read_text()


def test_a_missing_track_comes_back_the_same(rendered: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(rendered, out)
    gone = out / "train" / "Band_00001"
    before = {p.name: soundfile.read(p)[0] for p in gone.glob("*.flac")}
    shutil.rmtree(gone)
    lines: list[str] = []
    render_band(BandPlan(out, OWN, seed=1), 2, report=lines.append)
    assert lines[0] == "1 of 2 tracks are there, 1 to render."
    assert {p.name for p in gone.glob("*.flac")} == set(before)
    assert all(np.array_equal(soundfile.read(gone / name)[0], x) for name, x in before.items())


def test_splits_go_by_index_and_by_style(tmp_path: Path) -> None:
    plan, tests = BandPlan(tmp_path, OWN), BandPlan(tmp_path, BandIngredients(held_out=True))
    assert [plan.split(i) for i in (0, 8, 9, 19)] == ["train", "train", "valid", "valid"]
    assert {tests.split(i) for i in range(12)} == {"test"}
    _, facts = produced_band(
        BandIngredients(seconds=1.0, made_chance=0.0, held_out=True), np.random.default_rng(0), "test"
    )
    assert facts["style"] in HELD_OUT_STYLES
    _, facts = produced_band(BandIngredients(seconds=0.5, made_chance=1.0), np.random.default_rng(0), "valid")
    assert 1_000_000 <= int(str(facts["song_seed"])) < 2_000_000


def test_fonts_for_tests_are_never_for_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FluidR3_GM.sf2", "MuseScore_General_Full.sf2", "sf_GMbank.sf2", "TimGM6mb.sf2", "Other.sf2"):
        (tmp_path / name).touch()
    monkeypatch.setattr(soundfonts, "SOUNDFONT_FOLDERS", (str(tmp_path),))
    assert [f.name for f in band_fonts(held_out=False)] == ["FluidR3_GM.sf2", "MuseScore_General_Full.sf2"]
    assert [f.name for f in band_fonts(held_out=True)] == ["TimGM6mb.sf2", "sf_GMbank.sf2"]
    assert [f.name for f in band_fonts([tmp_path / "Other.sf2"], held_out=False)] == ["Other.sf2"]
    with pytest.raises(DatasetError, match=r"sf_GMbank\.sf2 is held out for tests"):
        band_fonts([tmp_path / "sf_GMbank.sf2"], held_out=False)
    with pytest.raises(DatasetError, match=r"Other\.sf2 is a soundfont for tests"):
        band_fonts([tmp_path / "Other.sf2"], held_out=True)


@needs_font
def test_composed_songs_name_their_fonts() -> None:
    font = _font()
    assert font is not None
    ingredients = BandIngredients(seconds=2.0, soundfonts=(font,), made_chance=0.0, own_chance=0.0)
    stems, facts = produced_band(ingredients, np.random.default_rng(2), "train")
    assert facts["sources"] == [f"soundfont {soundfonts.soundfont_licence(font)}"]
    assert np.abs(sum(stems.values())).max() <= 1.0


def test_the_commands(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["render-band", "--out", str(out), "--count", "1", "--seconds", "1", "--no-soundfonts"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (out / "train" / "Band_00000" / "track.json").is_file()
    assert CliRunner().invoke(app, ["show", f"folder:{out}"]).exit_code == 0
    missing = CliRunner().invoke(app, ["render-band-midi", str(tmp_path), "--out", str(out)])
    assert missing.exit_code == 1
    assert "manifest" in missing.output
