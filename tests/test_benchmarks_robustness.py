"""Degradations by their laws, degraded songs by their names, and the benchmark from command line to page."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sepkit import Audio
from sepkit.data.track import Dataset, track_in_memory

RATE = 44_100


@pytest.fixture(scope="module", autouse=True)
def _benchmarks(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Half a second of chirps under noise with a strong onset, c t."""
    time = np.arange(RATE // 2) / RATE
    chirp = 0.4 * np.sin(2 * np.pi * (200 * time + 3000 * time**2)) * (time > 0.1)
    noise = np.random.default_rng(0).standard_normal((2, len(time)))
    return np.stack([chirp, 0.7 * chirp]) + 0.05 * noise


# --- degradations


def test_the_mildest_setting_changes_nothing(music) -> None:
    kinds = module("degradations")
    for same in (
        kinds.clipped(music, drive_db=0.0),
        kinds.low_passed(music, RATE, cutoff_hz=RATE / 2),
        kinds.reverberant(music, RATE, rt60_seconds=0.0, seed=0),
        kinds.noisy(music, snr_db=np.inf, seed=0),
        kinds.loud(music, RATE, gain_db=0.0),
    ):
        np.testing.assert_array_equal(same, music)


def test_length_channels_and_input_stay(music) -> None:
    before = music.copy()
    for kind in module("degradations").DEGRADATIONS.values():
        for channels in (1, 2):
            x = music[:channels]
            assert kind.apply(x, RATE, kind.severities[-1], 0).shape == x.shape, kind.name
            if kind.matched is not None:
                assert kind.matched(x, x, RATE, kind.severities[-1], 0).shape == x.shape
    np.testing.assert_array_equal(music, before)


def test_silence_stays_silent() -> None:
    silence = np.zeros((2, RATE // 4))
    for kind in module("degradations").DEGRADATIONS.values():
        if kind.name != "mp3":  # a coder may leave dither
            np.testing.assert_array_equal(kind.apply(silence, RATE, kind.severities[-1], 0), silence)


def test_more_severe_is_further_from_the_clean_mixture(music) -> None:
    for kind in module("degradations").DEGRADATIONS.values():
        if kind.name == "reverb":
            continue  # a longer tail of the same energy is not further off, only longer
        ratios = []
        for severity in kind.severities:
            y = kind.apply(music, RATE, severity, 0)
            gain = np.sum(music * y) / np.sum(y * y)  # a loud master is not worse for being louder
            ratios.append(np.linalg.norm(music - gain * y))
        assert ratios == sorted(ratios), kind.name
        assert ratios[-1] > 0


def test_a_seed_gives_the_same_and_another_another(music) -> None:
    for name in ("noise", "reverb"):
        kind = module("degradations").DEGRADATIONS[name]
        first, again, other = (kind.apply(music, RATE, kind.severities[1], seed) for seed in ((3, 1), (3, 1), (3, 2)))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 1e-4


@pytest.mark.parametrize("snr_db", [40.0, 10.0, -5.0])
def test_noise_has_the_ratio_that_was_asked_for(music, snr_db) -> None:
    noise = module("degradations").noisy(music, snr_db=snr_db, seed=1) - music
    assert 10 * np.log10(np.sum(music**2) / np.sum(noise**2)) == pytest.approx(snr_db, abs=1e-9)


@pytest.mark.parametrize(("sample_rate", "kilobits"), [(44_100, 320), (44_100, 64), (44_100, 32), (22_050, 24)])
def test_mp3_comes_back_where_it_was(music, sample_rate, kilobits) -> None:
    """The coder's delay is gone, also where the file does not tell it: the correlation peaks at lag zero."""
    decoded = module("degradations").coded_as_mp3(music, sample_rate, kilobits=kilobits)
    size = 2 * music.shape[1]
    correlation = np.fft.irfft(np.fft.rfft(music[0], size) * np.conj(np.fft.rfft(decoded[0], size)))
    assert np.argmax(correlation) == 0
    assert np.linalg.norm(decoded - music) < 0.5 * np.linalg.norm(music)


def test_clipping_cuts_peaks_and_nothing_else(music) -> None:
    y = module("degradations").clipped(music, drive_db=6.0)
    ceiling = np.abs(music).max() * 10 ** (-6 / 20)
    assert np.abs(y).max() == pytest.approx(ceiling)
    below = np.abs(music) < ceiling
    np.testing.assert_array_equal(y[below], music[below])


def test_the_band_limit_passes_below_and_stops_above_without_delay() -> None:
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time)[None] for f in (1000, 8000))
    filtered = module("degradations").low_passed
    inside = slice(1000, -1000)
    np.testing.assert_allclose(filtered(low, RATE, cutoff_hz=4000)[:, inside], low[:, inside], atol=5e-3)
    assert np.abs(filtered(high, RATE, cutoff_hz=4000)[:, inside]).max() < 5e-3


def test_a_room_falls_by_60_db_in_its_time_and_keeps_the_direct_sound_first() -> None:
    response = module("degradations").room(2, RATE, rt60_seconds=0.5, seed=0)
    assert (response[:, 0] == 1.0).all()
    assert not response[:, 1 : round(0.005 * RATE)].any()
    tail = response[0, round(0.005 * RATE) :]
    early, late = (np.sum(tail[round(a * RATE) : round((a + 0.05) * RATE)] ** 2) for a in (0.0, 0.4))
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.4 / 0.5, abs=1.5)
    assert 10 * np.log10(1.0 / np.sum(tail**2)) == pytest.approx(6.0, abs=1e-6)


def test_the_limiter_keeps_the_peak_and_raises_what_is_quiet(music) -> None:
    x = music.copy()
    x[:, : round(0.1 * RATE)] *= 0.1
    y = module("degradations").loud(x, RATE, gain_db=12.0)
    assert np.abs(y).max() <= np.abs(x).max() * (1 + 1e-9)
    quiet = slice(0, round(0.05 * RATE))  # before the onset, beyond the limiter's look-ahead
    np.testing.assert_allclose(y[:, quiet], x[:, quiet] * 10 ** (12 / 20), rtol=1e-6)


def test_matched_stems_sum_to_the_degraded_mixture(music) -> None:
    other = np.random.default_rng(5).standard_normal(music.shape) * 0.1
    mixture = music + other
    for kind in module("degradations").DEGRADATIONS.values():
        if kind.matched is not None:
            for severity in kind.severities:
                total = sum(kind.matched(stem, mixture, RATE, severity, (0, 7)) for stem in (music, other))
                np.testing.assert_allclose(total, kind.apply(mixture, RATE, severity, (0, 7)), atol=1e-9)


def test_bit_rates_and_names_that_are_not_there_are_refused(music) -> None:
    kinds, errors = module("degradations"), import_module("sepkit.errors")
    with pytest.raises(errors.OptionError, match="32 to 320"):
        kinds.coded_as_mp3(music, RATE, kilobits=8)
    with pytest.raises(errors.UnknownNameError, match="did you mean 'noise'"):
        kinds.find_degradations("mp3,niose")
    assert [kind.name for kind in kinds.find_degradations("noise,mp3,noise")] == ["noise", "mp3"]


# --- degraded songs


def made_songs(count: int = 3, stems: tuple[str, ...] = ("vocals", "drums", "bass")) -> Dataset:
    """Songs of a quarter of a second at 8 kHz."""
    tracks = []
    for seed in range(count):
        drawn = torch.randn(len(stems), 2, 2000, generator=torch.Generator().manual_seed(seed))
        tracks.append(track_in_memory(f"song @{seed}", dict(zip(stems, 0.1 * drawn, strict=True)), 8000))
    return Dataset("made", tracks)


def test_names_of_degraded_tracks_tell_their_condition() -> None:
    songs = module("degraded_songs")
    for condition in (
        songs.Condition("a song"),
        songs.Condition("mail@home", "noise", 10.0),
        songs.Condition("x@y=2", "reverb", 0.5, "matched"),
        songs.Condition("x@matched"),
    ):
        assert songs.condition_of(condition.track) == condition


def test_degraded_songs_keep_their_stems_and_change_their_mixture() -> None:
    songs, kinds = module("degraded_songs"), module("degradations")
    clean = made_songs(2)
    tracks = songs.degraded_songs(clean, kinds.find_degradations("noise,reverb"), ["matched", "original"], seed=0)
    assert len(tracks) == 2 * (1 + 4 + 8)
    noisy, wet = tracks.named("song @1@noise=10", "song @1@reverb=0.5@matched")
    assert torch.equal(noisy.load("vocals"), clean[1].load("vocals"))
    assert not torch.allclose(noisy.mixture, clean[1].mixture, atol=1e-3)
    assert not torch.allclose(wet.load("vocals"), clean[1].load("vocals"), atol=1e-3)
    total = sum(wet.load(stem) for stem in wet.stems)
    torch.testing.assert_close(total, wet.mixture, atol=1e-5, rtol=0)
    loud = tracks.named("song @0@noise=10", "song @1@noise=10")
    first, second = (track.mixture - song.mixture for track, song in zip(loud, clean, strict=True))
    assert not torch.allclose(first / first.std(), second / second.std(), atol=0.1)  # each song has noise of its own


def test_spoilt_songs_keep_all_their_references() -> None:
    """However little of the mixture the stems explain: an oracle would have no score else."""
    songs, kinds = module("degraded_songs"), module("degradations")
    tracks = songs.degraded_songs(made_songs(1), kinds.find_degradations("noise,reverb"), ["original"], 0)
    assert all(track.is_complete() for track in tracks)
    voice = made_songs(1)[0]
    partial = Dataset("x", [track_in_memory("x", {"vocals": voice.load("vocals")}, 8000, voice.mixture)])
    spoilt = songs.degraded_songs(partial, kinds.find_degradations("noise"), ["original"], 0)
    assert not any(track.is_complete() for track in [*spoilt, *songs.excerpts(partial, 0.1)])


def test_a_method_that_leaves_stems_out_gets_its_own_mixture_spoilt() -> None:
    """Else it would be given the clean sum of its own stems, and nothing would ever harm it."""
    songs, kinds = module("degraded_songs"), module("degradations")
    clean = made_songs(1)
    assert songs.own_stems(("vocals", "drums", "bass", "other"), clean) == ()
    assert songs.own_stems(None, clean) == ()
    assert songs.own_stems(("bass", "drums", "guitar"), clean) == ("drums", "bass")
    restricted = songs.only(clean, ("drums", "bass"))
    [track] = songs.degraded_songs(restricted, kinds.find_degradations("noise"), ["original"], 0).named(
        "song @0@noise=10"
    )
    views = import_module("sepkit.evaluation.views")
    view = views.view_of(("bass", "drums", "guitar"), track.stems)
    own = clean[0].load("drums") + clean[0].load("bass")
    snr_db = 10 * torch.log10((own**2).sum() / ((view.mixture_of(track) - own) ** 2).sum())
    assert float(snr_db) == pytest.approx(10.0, abs=0.01)


def test_a_stem_that_does_not_sound_is_not_there() -> None:
    stems = {name: made_songs(1)[0].load(name) for name in ("vocals", "drums", "bass")}
    quiet = track_in_memory("x", {**stems, "drums": 0 * stems["drums"], "bass": 1e-5 * stems["bass"]}, 8000)
    [kept] = module("degraded_songs").sounding(Dataset("x", [quiet]))
    assert kept.stems == ("vocals",)
    assert kept.is_complete()
    silent = track_in_memory("x", {"vocals": torch.zeros(1, 9)}, 8000)
    assert module("degraded_songs").sounding(Dataset("x", [silent]))[0].stems == ("vocals",)


def test_excerpts_are_the_middle_of_songs() -> None:
    songs = module("degraded_songs")
    [short] = songs.excerpts(made_songs(1), 0.1)
    assert short.length_samples == 800
    assert torch.equal(short.load("bass"), made_songs(1)[0].load("bass", 600, 800))


# --- the benchmark


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of a method that does nothing and an oracle, and what it left."""
    root = tmp_path_factory.mktemp("robustness")
    for song in made_songs(3):
        for stem in song.stems:
            (root / "songs" / song.name).mkdir(parents=True, exist_ok=True)
            Audio(song.load(stem), 8000).write(root / "songs" / song.name / f"{stem}.wav")
    command = [
        "--methods",
        "mixture,ideal_ratio_mask",
        "--data",
        f"folder:{root / 'songs'}",
        "--out",
        str(root / "out"),
    ]
    command += ["--degradations", "noise,lowpass"]
    return root / "out", command, bench(*command)


def bench(*arguments: str):
    return CliRunner().invoke(module("robustness").app, list(arguments), env={"COLUMNS": "200"})


def points(out: Path) -> dict[tuple, dict]:
    report = json.loads((out / "robustness.json").read_text(encoding="utf-8"))
    return {tuple(p[k] for k in ("method", "degradation", "truth", "stem", "severity")): p for p in report["points"]}


def test_scores_fall_with_severity_and_have_intervals(run) -> None:
    out, _, result = run
    assert result.exit_code == 0, result.output
    found = points(out)
    curve = [found[("ideal_ratio_mask", "noise", "original", "vocals", s)] for s in (None, 40, 30, 20, 10)]
    scores = [point["score"] for point in curve]
    assert scores == sorted(scores, reverse=True)
    assert curve[0]["drop"] == 0.0
    assert curve[-1]["drop"] == pytest.approx(scores[-1] - scores[0])
    assert curve[-1]["drop_high"] < 0  # paired: all songs fall
    assert all(point["low"] <= point["score"] <= point["high"] and point["tracks"] == 3 for point in curve)
    assert ("mixture", "noise", "matched", "vocals", 10) not in found
    # doing nothing is as right under the matched truth at any band limit of white stems
    nothing = [found[("mixture", "lowpass", "matched", "mean", s)]["score"] for s in (None, 2000)]
    assert nothing[0] == pytest.approx(nothing[1], abs=0.5)


def test_the_page_has_tables_and_plots(run) -> None:
    out, _, result = run
    page = (out / "robustness.md").read_text(encoding="utf-8")
    assert "## noise: white noise" in page
    assert "| mixture | matched | vocals |" in page
    assert "belongs to no stem" in page
    assert page.strip() in result.stdout
    pytest.importorskip("matplotlib")
    assert "<svg" in (out / "robustness-noise.svg").read_text(encoding="utf-8")
    assert "robustness-lowpass.svg" in page


def test_the_same_command_again_does_nothing_twice(run) -> None:
    out, command, _ = run
    before = (out / "all" / "scores.jsonl").read_bytes()
    assert bench(*command).exit_code == 0
    assert (out / "all" / "scores.jsonl").read_bytes() == before
    assert not (out / "all" / "stems").exists()
    refused = bench(*command, "--seed", "3")
    assert refused.exit_code == 2
    assert "--fresh" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--degradations", "rain"], "No degradation is named 'rain'"),
        (["--truths", "none"], "both, matched, original"),
        (["--recipe", "sdx24"], "did you mean"),
    ],
)
def test_wrong_input_is_refused(arguments, message, tmp_path) -> None:
    result = bench("--methods", "mixture", "--out", str(tmp_path / "out"), *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()
