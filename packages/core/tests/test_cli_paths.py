"""Laws of inputs and outputs: only sound is found, each file once, and no two results share a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from sepkit.cli.inputs import Source, find_sources
from sepkit.cli.method_options import parse_options
from sepkit.cli.outputs import DEFAULT_TEMPLATE, Layout, check_template, plan
from sepkit.errors import OptionError


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder as people have them: sound, pictures, hidden files, subfolders, and results of an earlier run."""
    names = ["b.wav", "A.FLAC", "cover.jpg", "._b.wav", "disc2/c.mp3", "disc2/notes.txt", ".cache/d.wav"]
    for name in [*names, "separated/split/b/vocals.wav"]:
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "album"


def found(*arguments: Path, recursive: bool = False, out: Path | None = None) -> list[str]:
    sources = find_sources(arguments, recursive=recursive, out=out or Path("elsewhere"))
    return [str(source.path.relative_to(arguments[0])) for source in sources.found]


def layout(
    template: str = DEFAULT_TEMPLATE, stems: tuple[str, ...] = ("vocals", "other"), out: Path = Path("o")
) -> Layout:
    return Layout(out, template, "split", stems, "wav")


def test_a_folder_gives_its_sound_files_in_order(album: Path) -> None:
    assert found(album) == ["A.FLAC", "b.wav"]


def test_recursion_skips_hidden_folders_and_earlier_results(album: Path) -> None:
    assert found(album, recursive=True, out=album / "separated") == ["A.FLAC", "b.wav", "disc2/c.mp3"]


def test_a_file_named_twice_is_separated_once(album: Path) -> None:
    sources = find_sources([album / "b.wav", album, album / "disc2" / ".." / "b.wav"], recursive=False, out=Path("o"))
    assert [source.path.name for source in sources.found] == ["b.wav", "A.FLAC"]


def test_an_explicit_file_is_taken_whatever_its_suffix(album: Path) -> None:
    assert [source.track for source in find_sources([album / "cover.jpg"], recursive=False, out=Path("o")).found] == [
        "cover"
    ]


def test_what_gives_no_file_is_refused_with_its_reason(album: Path) -> None:
    (album / "empty").mkdir()
    sources = find_sources([album / "nowhere.wav", album / "empty", album / "b.wav"], recursive=False, out=Path("o"))
    reasons = {path.name: reason for path, reason in sources.refused}
    assert "no such file" in reasons["nowhere.wav"]
    assert "no sound file" in reasons["empty"]
    assert "-r" in reasons["empty"]
    assert [source.path.name for source in sources.found] == ["b.wav"]


def test_the_default_layout_is_the_one_scripts_expect() -> None:
    [task] = plan([Source(Path("in/song.mp3"), "in")], layout())
    assert task.outputs == {"vocals": Path("o/split/song/vocals.wav"), "other": Path("o/split/song/other.wav")}
    assert task.provenance == Path("o/split/song/provenance.json")


def test_two_inputs_of_one_name_are_refused_unless_the_template_tells_them_apart() -> None:
    sources = [Source(Path("x/song.wav"), "x"), Source(Path("y/song.wav"), "y")]
    with pytest.raises(OptionError, match=r"x/song\.wav and y/song\.wav .*--filename '(?P<template>[^']+)'") as caught:
        plan(sources, layout())
    advice = str(caught.value).split("--filename ")[1].split("'")[1]
    tasks = plan(sources, layout(check_template(advice)))
    assert len({path for task in tasks for path in task.outputs.values()}) == 4


def test_two_inputs_that_no_template_tells_apart_are_refused() -> None:
    with pytest.raises(OptionError, match="rename one"):
        plan([Source(Path("x/song.wav"), "x"), Source(Path("x/song.mp3"), "x")], layout())


def test_stems_need_names_of_their_own() -> None:
    with pytest.raises(OptionError, match=r"'vocals' and 'other'.*put \{stem\}"):
        plan([Source(Path("song.wav"), "x")], layout("{track}.{ext}"))
    [task] = plan([Source(Path("song.wav"), "x")], layout("{track}.{ext}", stems=("vocals",)))
    assert task.outputs == {"vocals": Path("o/song.wav")}


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="over the input"):
        plan([Source(tmp_path / "song.wav", "x")], layout("{track}.{ext}", stems=("vocals",), out=tmp_path))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{trak}/{stem}.{ext}", "did you mean 'track'"),
        ("{stem.__class__}.{ext}", "stem.__class__"),
        ("{stem", "malformed"),
        ("{stem}.wav", r"must end in '\.\{ext\}'"),
        ("/tmp/{stem}.{ext}", "outside the output folder"),
        ("../{stem}.{ext}", "outside the output folder"),
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_template(template)


def test_options_are_json_or_plain_text() -> None:
    given = ["steps=20", "eta=0.5", "preset=paper", "fuse=false", "ids=[1, 2]", "path=a=b", "guide-weight=2", "x="]
    assert parse_options(given) == {
        "steps": 20,
        "eta": 0.5,
        "preset": "paper",
        "fuse": False,
        "ids": [1, 2],
        "path": "a=b",
        "guide_weight": 2,
        "x": "",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["steps"], "key=value"),
        (["=3"], "key=value"),
        (["steps=1", "steps=2"], "given twice"),
        (["device=cpu"], "--device"),
        (["segment_seconds=3"], "--segment"),
        (["name=x"], "--model"),
    ],
)
def test_malformed_options_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_options(given)
