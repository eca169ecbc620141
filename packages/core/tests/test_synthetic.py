"""Songs made by our own code: repeatable, complete, well balanced, and never both scored and trained on."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch

from sepkit.data import Track, demo_set, song, synthetic_set
from sepkit.data.dice import Dice
from sepkit.data.mixing import limiter_gain, rms_db
from sepkit.data.song_maker import SEED_RANGES, STEMS, made_stems
from sepkit.data.synthetic import split_of
from sepkit.errors import OptionError


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    return list(demo_set())


def test_the_demo_set_is_quick() -> None:
    began = time.process_time()
    assert sum(track.mixture.shape[1] for track in demo_set()) == 3 * 12 * 44100
    assert time.process_time() - began < 15  # 3 s on an idle core; the bound is for a busy one


def test_stems_sum_to_the_mixture_exactly_and_stay_within_full_scale(tracks: list[Track]) -> None:
    for track in tracks:
        total = sum(track.load(stem).double() for stem in STEMS)
        assert torch.equal(track.mixture.double(), total)
        assert track.mixture.abs().max() <= 1
        for stem in STEMS:
            grid = track.load(stem).double() * 2**15
            assert torch.equal(grid, grid.round())


def test_the_same_seed_gives_the_same_song_and_another_seed_another() -> None:
    once, again, other = made_stems(5, 3.0)[0], made_stems(5, 3.0)[0], made_stems(6, 3.0)[0]
    for stem in STEMS:
        assert np.array_equal(once[stem], again[stem])
        assert not np.array_equal(once[stem], other[stem])


def test_every_stem_plays_at_a_sensible_level(tracks: list[Track]) -> None:
    for track in tracks:
        mixture_db = rms_db(track.mixture.numpy(), 44100)
        assert -22 < mixture_db < -10
        for stem in STEMS:
            x = track.load(stem).numpy()
            assert -12 < rms_db(x, 44100) - mixture_db < -1, (track.name, stem)
            frames = np.abs(x[:, : x.shape[1] // 4410 * 4410]).reshape(2, -1, 4410).max((0, 2))
            assert np.mean(frames > 1e-3) > 0.3, (track.name, stem)


def test_stems_are_distinct(tracks: list[Track]) -> None:
    for track in tracks:
        for a, b in itertools.combinations(STEMS, 2):
            x, y = track.load(a).flatten(), track.load(b).flatten()
            assert abs(float(x @ y / (x.norm() * y.norm()))) < 0.2, (track.name, a, b)


def _centre_hz(x: torch.Tensor) -> float:
    power = torch.fft.rfft(x.mean(0).double()).abs() ** 2
    return float((power * torch.fft.rfftfreq(x.shape[1], 1 / 44100)).sum() / power.sum())


def test_stems_sound_like_what_they_are_called(tracks: list[Track]) -> None:
    for track in tracks:
        assert _centre_hz(track.load("bass")) < 600
        voice = track.load("vocals").mean(0).double()
        power = torch.fft.rfft(voice).abs() ** 2
        hz = torch.fft.rfftfreq(len(voice), 1 / 44100)
        assert power[(hz > 80) & (hz < 4000)].sum() > 0.8 * power.sum()
        assert power[hz > 4000].sum() > 1e-4 * power.sum()  # consonants and breath
        # Drums leap: their loud hundredths of a second are much louder than their soft ones.
        level = track.load("drums").abs().amax(0).unfold(0, 441, 441).amax(1)
        assert level.quantile(0.9) > 2.5 * level.quantile(0.1)


def test_music_is_stereo(tracks: list[Track]) -> None:
    assert all(not torch.equal(*track.load("other")) for track in tracks)


def test_the_voice_has_vibrato_or_glides_so_it_is_no_test_tone(tracks: list[Track]) -> None:
    for track in tracks:
        spectrum = torch.fft.rfft(track.load("vocals").mean(0)).abs() ** 2
        assert spectrum.max() < 0.05 * spectrum.sum()


def test_seed_ranges_are_disjoint_and_every_set_stays_in_its_own() -> None:
    for a, b in itertools.combinations(SEED_RANGES.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start
    for split in ("train", "valid", "test"):
        seeds = [track.facts["seed"] for track in synthetic_set(4, seed=10, split=split)]
        assert len(set(seeds)) == 4
        assert all(split_of(seed) == split for seed in seeds)  # type: ignore[arg-type]
    assert all(split_of(track.facts["seed"]) == "demo" for track in demo_set())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="numbers"):
        synthetic_set(2, seed=999_999)


def test_length_and_rate_are_as_asked() -> None:
    assert song(1, 1.2345).load("bass").shape == (2, 54441)
    low = song(1, 1.0, sample_rate=22050)
    assert low.sample_rate == 22050
    assert low.load("other", 100, 200).shape == (2, 200)
    assert low.mixture.shape == (2, 22050)


def test_very_short_songs_and_bad_arguments() -> None:
    assert song(3, 0.5).mixture.shape == (2, 22050)
    for arguments in ((-1, 10.0), (1, 0.0)):
        with pytest.raises(OptionError, match="seed of 0 or more"):
            song(*arguments)


def test_dice_are_fair_and_fixed() -> None:
    assert [Dice(1).integers(1000) for _ in range(2)] == [511, 511]
    dice = Dice(4, 2)
    assert abs(np.mean(dice.standard_normal(20000))) < 0.03
    assert abs(np.std(dice.standard_normal(20000)) - 1) < 0.03
    assert sorted(dice.permutation(9).tolist()) == list(range(9))
    assert set(np.asarray(dice.choice(["a", "b"], 50, p=[1.0, 0.0]))) == {"a"}
    assert len(set(dice.choice(list(range(10)), 10, replace=False))) == 10


def test_the_limiter_keeps_the_mixture_below_the_ceiling() -> None:
    x = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
    gain = limiter_gain(x, 44100, 0.5)
    assert np.abs(x * gain).max() <= 0.5 * 1.01
    assert gain.max() <= 1
