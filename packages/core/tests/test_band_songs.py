"""Band songs made by our own code: repeatable, complete, balanced, named, and never both scored and trained on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from sepkit.data import Track, band_demo_set, band_set, band_song, open_dataset
from sepkit.data.band_arranging import BAND_STEMS, HELD_OUT_STYLES
from sepkit.data.band_maker import made_band_stems
from sepkit.data.mixing import rms_db
from sepkit.data.song_maker import SEED_RANGES, STEMS, made_stems
from sepkit.data.synthetic import split_of
from sepkit.errors import DatasetError, OptionError


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    return list(band_demo_set())


def test_stems_sum_to_the_mixture_exactly_and_stay_within_full_scale(tracks: list[Track]) -> None:
    for track in tracks:
        assert track.stems == BAND_STEMS
        assert torch.equal(track.mixture.double(), sum(track.load(stem).double() for stem in BAND_STEMS))
        assert track.mixture.abs().max() <= 1
        for stem in BAND_STEMS:
            grid = track.load(stem).double() * 2**15
            assert torch.equal(grid, grid.round())


def test_every_stem_plays_at_a_sensible_level(tracks: list[Track]) -> None:
    for track in tracks:
        mixture_db = rms_db(track.mixture.numpy(), 44100)
        assert -22 < mixture_db < -10
        for stem in BAND_STEMS:
            x = track.load(stem).numpy()
            assert -12 < rms_db(x, 44100) - mixture_db < -1, (track.name, stem)
            frames = np.abs(x[:, : x.shape[1] // 4410 * 4410]).reshape(2, -1, 4410).max((0, 2))
            assert np.mean(frames > 1e-3) > 0.3, (track.name, stem)


def test_stems_are_distinct_and_the_bass_is_low(tracks: list[Track]) -> None:
    for track in tracks:
        for a, b in itertools.combinations(BAND_STEMS, 2):
            x, y = track.load(a).flatten(), track.load(b).flatten()
            assert abs(float(x @ y / (x.norm() * y.norm()))) < 0.25, (track.name, a, b)
        centre = {}
        for stem in BAND_STEMS:
            power = torch.fft.rfft(track.load(stem).mean(0).double()).abs() ** 2
            centre[stem] = float((power * torch.fft.rfftfreq(track.length_samples, 1 / 44100)).sum() / power.sum())
        assert centre["bass"] < 600
        assert centre["bass"] < min(centre["guitar"], centre["piano"])


def test_the_same_seed_gives_the_same_song_and_another_seed_another() -> None:
    once, again, other = (made_band_stems(seed, 1.0)[0] for seed in (5, 5, 6))
    for stem in BAND_STEMS:
        assert np.array_equal(once[stem], again[stem])
        assert not np.array_equal(once[stem], other[stem])


def test_test_songs_alone_are_in_held_out_styles() -> None:
    for split, seeds in SEED_RANGES.items():
        styles = {made_band_stems(seeds[i], 0.5)[1] for i in range(1)}
        assert (styles <= set(HELD_OUT_STYLES)) == (split == "test")
        assert split == "test" or not styles & set(HELD_OUT_STYLES)


def test_sets_stay_in_their_seeds() -> None:
    for split in ("train", "valid", "test"):
        songs = band_set(3, seed=4, split=split)
        assert [split_of(track.facts["seed"]) for track in songs] == [split] * 3  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="numbers"):
        band_set(2, seed=999_999)
    with pytest.raises(OptionError, match="split"):
        band_set(2, split="other")
    for arguments in ((-1, 10.0), (1, 0.0)):
        with pytest.raises(OptionError, match="seed of 0 or more"):
            band_song(*arguments)


def test_sets_have_names() -> None:
    assert [t.name for t in open_dataset("demo:band")] == ["band_demo_0000", "band_demo_0001", "band_demo_0002"]
    assert len(open_dataset("synthetic:band", "valid")) == 8
    assert [t.name for t in open_dataset("synthetic:band:2", "train")] == ["band_train_0000", "band_train_0001"]
    assert open_dataset("demo")[0].stems == STEMS
    for spec in ("synthetic:band:many", "synthetic:bands", "demo:band:3", "demo:5"):
        with pytest.raises(DatasetError, match="synthetic:band"):
            open_dataset(spec)


def test_the_names_of_made_sets_are_no_paths() -> None:
    from sepkit.evaluation.command import dataset_folders, resolved_dataset

    for spec in ("demo", "demo:band", "synthetic:3", "synthetic:band", "synthetic:band:3"):
        assert dataset_folders(spec) == []
        assert resolved_dataset(spec) == spec
    assert dataset_folders("folder:songs") == [Path("songs")]
    assert resolved_dataset("folder:songs") == f"folder:{Path('songs').resolve()}"


def test_other_rates_and_views() -> None:
    track = band_song(7, 1.0, sample_rate=22050)
    assert track.mixture.shape == (2, 22050)
    assert not track.load("vocals").any()
    assert band_song(7, 1.0).view(("bass", "other")).stems == ("bass", "other")


def test_songs_with_vocals_sound_as_before() -> None:
    """Sums of magnitudes of song 5, measured before there were band songs; libraries round sines differently."""
    stems, style = made_stems(5, 1.0)
    assert style == "house"
    sums = {stem: float(np.abs(x).sum()) for stem, x in stems.items()}
    assert sums == pytest.approx({"vocals": 3546.28, "drums": 4978.40, "bass": 5380.30, "other": 5229.40}, rel=1e-3)
