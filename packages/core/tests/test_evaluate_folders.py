"""Laws of comparing folders: by name and never by order, nothing guessed, nothing made comparable without a word."""

from __future__ import annotations

import math
import os
import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from sepkit import Audio
from sepkit.errors import AudioError, DatasetError, OptionError, UnknownNameError
from sepkit.evaluation.file_links import link_file
from sepkit.evaluation.folder_track import Tolerance, load_track
from sepkit.evaluation.folders import open_references, plan_folders
from sepkit.evaluation.name_matching import match_names, name_key
from sepkit.evaluation.processes import apply_in_processes
from sepkit.evaluation.stem_folders import TrackFiles, find_tracks

RATE = 8000
NAMES = st.lists(st.text("abéüßÅn' &/", min_size=1, max_size=6), min_size=1, max_size=8, unique_by=name_key)


def sound(seed: int = 0, *, length: int = 800, channels: int = 2, rate: int = RATE) -> Audio:
    generator = torch.Generator().manual_seed(seed)
    return Audio(0.1 * torch.randn(channels, length, generator=generator), rate)


def fill(root: Path, *paths: str) -> Path:
    """Sound files at these paths below `root`."""
    for path in paths:
        sound(len(path), length=80).write(root / path)
    return root


def written(folder: Path, **stems: Audio) -> dict[str, Path]:
    for stem, audio in stems.items():
        audio.write(folder / f"{stem}.wav", bits="float")
    return {stem: folder / f"{stem}.wav" for stem in stems}


@given(NAMES, st.randoms(use_true_random=False))
def test_names_are_matched_whatever_their_order_case_and_normalisation(names: list[str], chance: random.Random) -> None:
    spelled = {}
    for name in names:
        form = chance.choice(["NFC", "NFD"])
        spelled[unicodedata.normalize(form, chance.choice([name, name.upper()]))] = name
    lefts = list(spelled)
    chance.shuffle(lefts)
    found = match_names(lefts, names)
    keys = {name_key(left): left for left in lefts}
    for left, right in found.pairs.items():
        assert name_key(left) == name_key(right)
    alone = set(found.lefts) | {name for group, _ in found.ambiguous for name in group}
    for name in names:  # nobody is lost: paired with its own, or said to be ambiguous or alone
        left = keys.get(name_key(name))
        assert left is None or found.pairs.get(left) == name or left in alone


def test_the_order_of_the_arguments_changes_nothing() -> None:
    lefts, rights = [f"Song {n}" for n in range(30)], [f"song {n}" for n in range(5, 35)]
    straight = match_names(lefts, rights)
    assert straight == match_names(lefts[::-1], random.Random(1).sample(rights, 30))
    assert straight.pairs == {f"Song {n}": f"song {n}" for n in range(5, 30)}
    assert straight.rights == ("song 30", "song 31", "song 32", "song 33", "song 34")


def test_what_could_mean_two_things_is_not_guessed() -> None:
    found = match_names(["Song", "song"], ["SONG"])
    assert (dict(found.pairs), found.ambiguous) == ({}, ((("Song", "song"), ("SONG",)),))
    assert match_names(["Song", "song"], ["song", "Song"]).pairs == {"Song": "Song", "song": "song"}
    decomposed = unicodedata.normalize("NFD", "é")
    assert match_names(["é", decomposed], ["é"]).ambiguous


def test_a_name_that_a_file_system_refused_is_found() -> None:
    assert match_names(["AC_DC - Live_"], ["AC/DC - Live?"]).pairs == {"AC_DC - Live_": "AC/DC - Live?"}
    assert match_names(["a_b", "a:b"], ["a:b", "a/b"]).pairs == {"a:b": "a:b", "a_b": "a/b"}


def test_every_layout_is_read(tmp_path: Path) -> None:
    def names(*paths: str) -> list[tuple[str, str]]:
        root = fill(tmp_path / str(len(list(tmp_path.iterdir()))), *paths)
        return [(track.group, track.name) for track in find_tracks(root)]

    assert names("vocals.wav", "drums.flac") == [("", "0")]
    assert names("A/vocals.wav", "B/vocals.ogg", ".C/vocals.wav") == [("", "A"), ("", "B")]
    assert names("train/A/vocals.wav", "Test/B/vocals.wav") == [("", "B"), ("", "A")]
    assert names("umx/A/vocals.wav", "htdemucs/A/vocals.wav") == [("htdemucs", "A"), ("umx", "A")]
    assert names("m/A/mixture/vocals.wav") == [("m", "A")]
    assert names("demo.wav", "A/vocals.wav", "B/mixture.wav") == [("", "A")]  # stray sounds are no tracks
    tracks = find_tracks(fill(tmp_path / "x", "A/Lead Vocals.wav", "A/no_vocals.wav", "A/Strings.wav", "A/mix.wav"))
    assert sorted(tracks[0].stems) == ["accompaniment", "strings", "vocals"]
    assert tracks[0].mixture == tmp_path / "x" / "A" / "mix.wav"


def test_the_folder_of_the_results_is_not_searched(tmp_path: Path) -> None:
    fill(tmp_path, "A/vocals.wav", "run/stems/m/A/vocals.wav")
    assert [track.name for track in find_tracks(tmp_path, skip=tmp_path / "run")] == ["A"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    fill(tmp_path, "A/vocals.wav")
    (tmp_path / "A" / "again").symlink_to(tmp_path)
    assert [track.name for track in find_tracks(tmp_path)] == ["A"]


def test_two_files_for_one_stem_are_a_problem_that_names_both(tmp_path: Path) -> None:
    [track] = find_tracks(fill(tmp_path / "one", "vocals.wav", "Voice.flac"))
    assert track.problem is not None
    assert "two files for vocals" in track.problem
    assert {"vocals.wav", "Voice.flac"} <= set(track.problem.replace(";", "").split())
    [track] = find_tracks(fill(tmp_path / "two", "other.wav", "residual.wav"))  # what sepkit separate writes
    assert (track.problem, track.stems["other"].name) == (None, "other.wav")
    assert "residual.wav" in track.aside[0]


def test_two_tracks_of_one_name_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/A/vocals.wav", "test/A/vocals.wav")
    with pytest.raises(DatasetError, match=r"Two tracks are called 'A'.*--split"):
        open_references(str(tmp_path), None, (), None)
    assert list(open_references(str(tmp_path), "train", (), None)) == ["A"]
    with pytest.raises(DatasetError, match="valid or validation"):
        open_references(str(tmp_path), "valid", (), None)


def test_references_are_named_or_refused_with_what_is_there(tmp_path: Path) -> None:
    fill(tmp_path, "Abba/vocals.wav", "Beck/vocals.wav")
    assert list(open_references(f"folder:{tmp_path}", None, (), None)) == ["Abba", "Beck"]
    assert list(open_references(str(tmp_path), None, ("Beck",), None)) == ["Beck"]
    with pytest.raises(UnknownNameError, match="did you mean 'Beck'"):
        open_references(str(tmp_path), None, ("beak",), None)
    with pytest.raises(DatasetError, match="neither a folder nor a dataset") as refused:
        open_references(str(tmp_path / "nowhere"), None, (), None)
    assert all(f"{kind}:PATH" in str(refused.value) for kind in ("folder", "musdb", "slakh", "medleydb"))
    assert "demo:PATH" not in str(refused.value)
    with pytest.raises(DatasetError, match="no sound file"):
        find_tracks(_empty(tmp_path))


def _empty(root: Path) -> Path:
    (root / "empty").mkdir()
    return root / "empty"


def plan(estimates: Path, references: Path, **options):
    return plan_folders(
        find_tracks(estimates),
        open_references(str(references), None, (), None),
        folder_name=estimates.name,
        **options,
    )


def test_what_has_no_counterpart_is_said_with_the_nearest_name(tmp_path: Path) -> None:
    references = fill(
        tmp_path / "refs", "A/vocals.wav", "A/drums.wav", "Bee/vocals.wav", "Bee/drums.wav", "C/vocals.wav"
    )
    estimates = fill(tmp_path / "est", "A/vocals.wav", "A/drums.wav", "Be/vocals.wav", "C/vocals.wav", "C/durms.wav")
    found = plan(estimates, references)
    assert [(pair.method, pair.track) for pair in found.pairs] == [("est", "A"), ("est", "C")]
    assert found.missing == (("est", "Bee", "no estimates of this track. did you mean 'Be'? There: Be."),)
    problems = "\n".join(found.problems)
    assert "est: Be: no reference of this track. did you mean 'Bee'?" in problems
    assert "no reference has the stem 'durms': did you mean 'drums'?" in problems
    assert len(found.problems) == 2  # C has no drums in the references either
    assert found.pairs[0].stems == ("vocals", "drums", "durms")


def test_a_stem_that_one_track_lacks_is_a_problem_and_one_that_all_lack_is_not(tmp_path: Path) -> None:
    references = fill(tmp_path / "refs", *(f"{track}/{stem}.wav" for track in "AB" for stem in ("vocals", "bass")))
    uneven = plan(fill(tmp_path / "uneven", "A/vocals.wav", "A/bass.wav", "B/vocals.wav"), references)
    assert [problem.split(". ")[0] for problem in uneven.problems] == [
        f"uneven: B: no estimate of bass in {tmp_path / 'uneven' / 'B'}"
    ]
    one = plan(fill(tmp_path / "one", "A/vocals.wav", "B/vocals.wav"), references)
    assert (one.problems, one.missing, one.pairs[0].stems) == ((), (), ("vocals",))
    assert one.notes == ()
    assert "estimates of vocals only, references also of bass" in one.uncovered[0]
    asked = plan(tmp_path / "uneven", references, stems=("vocals",))
    assert asked.problems == ()


def test_nothing_matched_is_an_error_that_shows_both_sides(tmp_path: Path) -> None:
    references = fill(tmp_path / "refs", "Abba - Waterloo/vocals.wav")
    with pytest.raises(DatasetError, match=r"Abba - Waterloo.*There: take 1"):
        plan(fill(tmp_path / "est", "take 1/vocals.wav"), references)


def test_only_unclear_names_are_an_error_that_lists_them_all(tmp_path: Path) -> None:
    references = fill(tmp_path / "refs", "SONG/vocals.wav")
    estimates = fill(tmp_path / "est", "Song/vocals.wav", "song/vocals.wav")
    if len(find_tracks(estimates)) < 2:
        pytest.skip("this file system knows no case")
    with pytest.raises(DatasetError, match=r"'Song' and 'song' and the references 'SONG' could be each other's"):
        plan(estimates, references)


def test_two_folders_of_one_track_belong_together(tmp_path: Path) -> None:
    references, estimates = fill(tmp_path / "song", "vocals.wav"), fill(tmp_path / "mine", "vocals.wav")
    [pair] = plan(estimates, references).pairs
    assert (pair.method, pair.track) == ("mine", "song")
    assert plan(estimates, references, method_name="umx").methods == ("umx",)


def test_methods_are_the_folders_above_the_tracks(tmp_path: Path) -> None:
    references = fill(tmp_path / "refs", "A/vocals.wav")
    both = fill(tmp_path / "separated", "x/A/vocals.wav", "y/A/vocals.wav")
    assert plan(both, references).methods == ("x", "y")
    with pytest.raises(OptionError, match="2 methods"):
        plan(both, references, method_name="z")
    assert plan(both / "x", references).methods == ("x",)
    (both / "x" / "A" / "provenance.json").write_text('{"method": "lightsaft"}')
    assert plan(both / "x", references).methods == ("lightsaft",)
    with pytest.raises(OptionError, match="reference point"):
        plan(both / "x", references, method_name="mixture")


def load(estimates, references, mixture=None, **allow):
    return load_track("song", estimates, TrackFiles("song", Path(), "", references, mixture), Tolerance(**allow))


def test_lengths_are_made_those_of_the_reference_and_it_is_said(tmp_path: Path) -> None:
    references = written(tmp_path / "r", vocals=sound(1), drums=sound(2, length=700))
    long, short = sound(3, length=1000), sound(4, length=500)
    found = load(written(tmp_path / "e", vocals=long, drums=short), references)
    assert torch.equal(found.estimates["vocals"], long.samples[:, :800])
    assert torch.equal(found.estimates["drums"][:, :500], short.samples)
    assert not found.estimates["drums"][:, 500:].any()
    assert found.track.length_samples == 800
    assert not found.track.load("drums")[:, 700:].any()
    said = "\n".join(found.notes)
    for words in ("200 samples (0.025 s) longer", "300 samples", "100 samples"):
        assert words in said


def test_more_than_a_second_apart_is_refused_until_it_is_asked_for(tmp_path: Path) -> None:
    references = written(tmp_path / "r", vocals=sound(1))
    estimates = written(tmp_path / "e", vocals=sound(2, length=800 + RATE + 1))
    with pytest.raises(AudioError, match=r"8001 samples .* longer .*--pad"):
        load(estimates, references)
    assert load(estimates, references, pad=True).estimates["vocals"].shape == (2, 800)
    assert load(written(tmp_path / "f", vocals=sound(2, length=800 + RATE)), references).notes  # a second is not more


def test_other_rates_and_channels_are_refused_with_both_named(tmp_path: Path) -> None:
    references = written(tmp_path / "r", vocals=sound(1))
    faster = written(tmp_path / "e", vocals=sound(1, length=1600, rate=16000))
    with pytest.raises(AudioError, match=r"16000 Hz and .* 8000 Hz.*--resample"):
        load(faster, references)
    assert load(faster, references, resample=True).estimates["vocals"].shape == (2, 800)
    mono = written(tmp_path / "m", vocals=sound(1, channels=1))
    with pytest.raises(AudioError, match=r"1 channel \(mono\) and .* 2 channels \(stereo\)"):
        load(mono, references, resample=True, pad=True)
    with pytest.raises(AudioError, match="mono"):
        load(references, {"vocals": references["vocals"], "drums": mono["vocals"]})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused_with_file_and_place(tmp_path: Path, bad: float) -> None:
    references = written(tmp_path / "r", vocals=sound(1))
    samples = np.zeros((800, 2), np.float32)
    samples[[123, 400], 1] = bad
    soundfile.write(tmp_path / "vocals.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"vocals\.wav has (nan|inf) at sample 123 .* channel 1"):
        load({"vocals": tmp_path / "vocals.wav"}, references)


def test_a_mixture_is_taken_where_there_is_one_and_the_sum_where_there_is_none(tmp_path: Path) -> None:
    references = written(tmp_path / "r", vocals=sound(1), drums=sound(2))
    total = load(references, references).track.mixture
    torch.testing.assert_close(total, sound(1).samples + sound(2).samples)
    mixture = written(tmp_path / "m", mixture=sound(9))["mixture"]
    assert torch.equal(load(references, references, mixture).track.mixture, sound(9).samples)


def _refuse(*_: object, **__: object) -> None:
    raise OSError("not on this file system")


def test_a_link_is_hard_or_symbolic_or_else_a_copy_and_never_written_through(tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "source.wav"
    source.write_bytes(b"one")
    folder = tmp_path / "run"
    hard = link_file(source, folder, "vocals")
    assert os.path.samefile(hard, source)
    assert not hard.is_symlink()
    monkeypatch.setattr(os, "link", _refuse)
    other = tmp_path / "other.FLAC"
    other.write_bytes(b"two")
    soft = link_file(other, folder, "vocals")
    assert soft.is_symlink()
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["vocals.flac"]
    monkeypatch.setattr(os, "symlink", _refuse)
    copy = link_file(source, folder, "vocals")
    assert (copy.read_bytes(), copy.is_symlink()) == (b"one", False)
    assert not os.path.samefile(copy, source)
    assert (source.read_bytes(), other.read_bytes()) == (b"one", b"two")


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_change_nothing(processes: int) -> None:
    found = dict(apply_in_processes(math.sqrt, [9.0, 1.0, 4.0], processes, lambda value, cause: -1.0))
    assert found == {9.0: 3.0, 1.0: 1.0, 4.0: 2.0}


def test_a_process_that_dies_costs_only_its_value() -> None:
    found = dict(apply_in_processes(os._exit, [3, 4], 2, lambda value, cause: cause))
    assert found == {3: "exit code 3", 4: "exit code 4"}
