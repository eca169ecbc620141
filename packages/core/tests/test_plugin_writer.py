"""Laws of new plugins: written whole or not at all, under a name that can be announced, and clean."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from sepkit.cli.main import main
from sepkit.errors import OptionError, OutputExistsError
from sepkit.evaluation.command import method_groups
from sepkit.licences import allows_commercial
from sepkit.plugin_writer import FILES, LICENCES, LONGEST_NAME, RESERVED, TEMPLATE, check_name, write_plugin

LONGEST = "abcdefghi_" * 2 + "abcdefghij"


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_every_template_is_used_and_every_blank_is_filled(tmp_path: Path) -> None:
    used = {source.replace("@LICENCE@", licence) for source in FILES.values() for licence in LICENCES}
    assert {path.name.removesuffix(".txt") for path in TEMPLATE.iterdir()} == used
    written = texts(write_plugin("harp_and_drum", tmp_path / "new"))
    assert {"pyproject.toml", "LICENSE", ".github/workflows/test.yml", "src/sepkit_harp_and_drum/py.typed"} < set(
        written
    )
    assert {place: text for place, text in written.items() if re.search(r"@[A-Z_]+@", text)} == {}


@pytest.mark.parametrize("licence", LICENCES)
def test_the_licence_is_stated_in_all_places(tmp_path: Path, licence: str) -> None:
    written = texts(write_plugin("demo", tmp_path / "new", licence=licence, author="Ada"))
    assert tomllib.loads(written["pyproject.toml"])["project"]["license"] == licence
    assert f'licence="{licence}"' in written["src/sepkit_demo/separator.py"]
    assert f"Licence: {licence}" in written["README.md"]
    assert licence.split("-")[0] in written["LICENSE"]
    assert "Ada" in written["LICENSE"] or licence == "Apache-2.0"  # which names no one
    assert allows_commercial(licence)


def test_the_entry_point_is_in_the_group_of_methods(tmp_path: Path) -> None:
    project = tomllib.loads(texts(write_plugin("my_way", tmp_path / "new"))["pyproject.toml"])["project"]
    assert project["name"] == "sepkit-my-way"
    assert project["entry-points"] == {"sepkit.separators": {"my_way": "sepkit_my_way.separator:build"}}


@pytest.mark.parametrize("name", ["x", "harp_and_drum", LONGEST])
def test_what_is_written_is_clean(tmp_path: Path, name: str) -> None:
    pytest.importorskip("ruff")
    folder = write_plugin(name, tmp_path / "new")
    for arguments in (["check"], ["format", "--check", "--diff"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=folder, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_its_own_tests_say_that_it_separates(announce: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_plugin("demo", tmp_path / "new")
    shutil.copytree(folder / "src" / "sepkit_demo", announce("demo", None), dirs_exist_ok=True)
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-p", "no:xdist", "-p", "no:faulthandler"]
    own = ["-c", str(folder / "pyproject.toml"), str(folder / "tests" / "test_separation.py")]
    assert pytest.main([*quiet, *own]) == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My-Method", "my_method"), ("my method", "my_method"), ("2stems", "stems"), ("_x", "x"), ("a__b", "a_b"),
        ("class", None), ("", None), ("é", None), ("../escape", "escape"), (LONGEST + "k", LONGEST), ("x\n", "x"),
    ],
)  # fmt: skip
def test_a_name_that_no_package_can_have_is_refused_with_one_that_would_do(name: str, better: str | None) -> None:
    with pytest.raises(OptionError, match="wanted small letters") as caught:
        check_name(name)
    if better is not None:
        assert f"{better!r} would do" in str(caught.value)
        check_name(better)


def test_a_name_that_is_taken_is_refused_by_saying_by_whom(announce: Callable[..., Path]) -> None:
    announce("mine", None, distribution="someone-elses")
    (announce("other", "", distribution="sepkit-half")).with_name("sepkit_quarter").mkdir()
    for name, message in (
        ("mine", "someone-elses announces"), ("all", "group of methods"), ("wiener_oracle", "point of reference"),
        ("half", "package sepkit_half is installed"), ("quarter", "package sepkit_quarter is installed"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=message):
            check_name(name)
    assert set(method_groups()) <= set(RESERVED)
    assert len(LONGEST) == LONGEST_NAME


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for taken in ("full", "file"):
        with pytest.raises(OutputExistsError, match="already there"):
            write_plugin("demo", tmp_path / taken)
    assert texts(tmp_path) == {"full/diary.txt": "dear", "file": "dear"}
    (tmp_path / "empty").mkdir()
    assert write_plugin("demo", tmp_path / "empty") == tmp_path / "empty"
    written = texts(tmp_path / "empty")
    with pytest.raises(OutputExistsError):
        write_plugin("demo", tmp_path / "empty")
    monkeypatch.setattr("sepkit.plugin_writer.EMPTY", ("there/is/no/such/folder",))
    with pytest.raises(FileNotFoundError):
        write_plugin("demo", tmp_path / "new")
    assert texts(tmp_path / "empty") == written
    assert {path.name for path in tmp_path.iterdir()} == {"full", "file", "empty"}


def test_the_command_writes_beside_you_and_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-plugin", "two_words"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "sepkit-two-words\n"
    assert "pip install -e sepkit-two-words, then sepkit check two_words" in captured.err
    assert (tmp_path / "sepkit-two-words" / "pyproject.toml").exists()
    assert main(["new-plugin", "two_words"]) == 2
    assert main(["new-plugin", "Two Words"]) == 2
    assert main(["new-plugin", "two_words", "--out", "else", "--license", "WTFPL"]) == 2
    assert "MIT" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["sepkit-two-words"]
