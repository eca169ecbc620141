"""A track gives its stems, their sum, and views of them; silence lies beyond it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sepkit.data.stem_names import ALIASES, STEMS, canonical_stem
from sepkit.data.track import Dataset, Track, track_in_memory
from sepkit.errors import DatasetError, UnknownNameError


def _noise(seed: int, channels: int = 2, length: int = 1000) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((channels, length)).astype(np.float32))


@pytest.fixture
def band() -> Track:
    return track_in_memory("band", {s: _noise(i) for i, s in enumerate(("vocals", "drums", "bass", "guitar"))}, 44100)


def test_mixture_is_the_sum_of_the_stems(band: Track) -> None:
    assert torch.equal(band.mixture, sum(band.load(stem) for stem in band.stems))


def test_a_mixture_of_its_own_is_kept() -> None:
    own = _noise(9)
    track = track_in_memory("own", {"vocals": _noise(0), "other": _noise(1)}, 44100, mixture=own)
    assert not track.mixture_is_sum
    assert torch.equal(track.mixture, own)
    assert torch.equal(track.load_mixture(10, 20), own[:, 10:30])


@pytest.mark.parametrize(("start", "length"), [(0, 1000), (10, 20), (-5, 30), (990, 50), (2000, 7), (-50, 20), (3, 0)])
def test_ranges_beyond_the_song_are_silent(band: Track, start: int, length: int) -> None:
    padded = torch.nn.functional.pad(band.load("bass"), (3000, 3000))
    assert torch.equal(band.load("bass", start, length), padded[:, 3000 + start : 3000 + start + length])


def test_a_missing_stem_is_silent_and_an_unknown_name_is_an_error(band: Track) -> None:
    assert torch.equal(band.load("piano"), torch.zeros(2, 1000))
    with pytest.raises(UnknownNameError, match="vocals"):
        band.load("vocal5")


def test_views_cover_the_whole_song(band: Track) -> None:
    view = band.view(("vocals", "accompaniment"))
    assert torch.allclose(view.mixture, band.mixture, atol=1e-5)
    assert torch.allclose(view.load("accompaniment"), band.mixture - band.load("vocals"), atol=1e-5)
    four = band.view(("vocals", "drums", "bass", "other"))
    assert torch.equal(four.load("other"), band.load("guitar"))


def test_a_view_of_some_stems_mixes_only_those(band: Track) -> None:
    view = band.view(("drums", "bass"))
    assert torch.allclose(view.mixture, band.load("drums") + band.load("bass"))


def test_a_view_whose_stems_overlap_counts_nothing_twice(band: Track) -> None:
    view = band.view(("vocals", "drums", "accompaniment"))
    assert torch.allclose(view.mixture, band.mixture, atol=1e-5)
    assert not view.mixture_is_sum


def test_a_view_that_the_song_cannot_give_is_an_error(band: Track) -> None:
    with pytest.raises(DatasetError, match="piano"):
        band.view(("piano",))


def test_every_alias_means_a_canonical_stem() -> None:
    assert set(ALIASES.values()) <= set(STEMS)
    assert canonical_stem("Lead Vocals") == canonical_stem("VOX") == "vocals"
    assert canonical_stem("no-vocals") == "accompaniment"
    assert canonical_stem("click") is None


def test_stems_of_different_shapes_are_refused() -> None:
    with pytest.raises(DatasetError, match="shape"):
        track_in_memory("odd", {"vocals": _noise(0), "bass": _noise(1, length=999)}, 44100)


def test_datasets_add_select_and_drop(band: Track) -> None:
    other = track_in_memory("duo", {"vocals": _noise(0), "piano": _noise(1)}, 44100)
    both = Dataset("a", [band], "test") + Dataset("b", [other], "train")
    assert [t.name for t in both] == ["band", "duo"]
    assert both.split is None
    assert both.stems == ("vocals", "drums", "bass", "guitar", "piano")
    assert [t.name for t in both.without("band")] == ["duo"] == [t.name for t in both.named("duo")]
    with pytest.raises(UnknownNameError, match="did you mean 'band'"):
        both.named("bend")
