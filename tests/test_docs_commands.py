"""Every command in the pages' shell blocks parses, and those of README and tutorial run in the order written."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import Tensor

from sepkit import Audio
from sepkit.evaluation.folder_command import FolderRequest, run_folders
from sepkit.testing.signals import music

REPOSITORY = Path(__file__).parents[1]
RATE = 44_100
RUN_PAGES = {
    "docs/tutorial.md": ["karaoke/lightsaft/song/accompaniment.wav", "runs/first/report.html"],
    "README.md": [
        "out/lightsaft/song/vocals.wav",
        "separated/lightsaft/two/drums.flac",
        "runs/demo/report.html",
        "test",
    ],
}
"""Pages whose commands are run, with some of what is there afterwards."""
FENCE = re.compile(
    r"^(?P<indent> *)```(?:sh|bash|shell|console)\b[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE
)
PAGES = [
    page
    for page in sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *REPOSITORY.glob("docs/**/*.md")])
    if FENCE.search(page.read_text(encoding="utf-8"))
]
NOT_RUN = {
    "make demo": "minutes: separates three songs by every method",
    "make test": "the test suite that this is a part of",
    "python3 -m venv .venv": "makes the environment that this runs in",
    ".venv/bin/pip install torch==2.11.0": "downloads",
    "pip install -r requirements.txt -c constraints.txt": "downloads",
    "sepkit evaluate --method lightsaft --dataset demo": "half a minute; test_cli_evaluate runs such ones",
    "sepkit evaluate --method lightsaft,mixture --dataset demo --limit 1 --recipe sdx23 --out runs/first": "the same",
}
"""Commands of RUN_PAGES that this test does not run, with the reason."""

FOREIGN = ("curl", "pytest", "ray")
"""Programs of others, whose options are not checked."""


class Command(NamedTuple):
    """One line of a shell block, its continuations joined and its comment cut off."""

    place: str
    text: str
    words: list[str]


class Parsed(BaseException):  # not an Exception: no `except Exception` may stop it on its way out
    """A program has understood its arguments and would begin to work now."""


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page in reading order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(REPOSITORY).as_posix() if page.is_relative_to(REPOSITORY) else page.name
    for match in FENCE.finditer(text):
        first = text.count("\n", 0, match.start("text")) + 1
        waiting: list[str] = []
        for number, line in enumerate(match["text"].splitlines(), first):
            waiting.append(line.strip().removesuffix("\\").strip())
            if line.rstrip().endswith("\\"):
                continue
            words = shlex.split(" ".join(waiting), comments=True)
            waiting = []
            if words:
                yield Command(f"{name}:{number}", shlex.join(words), words)


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs stop where their arguments are understood, with Parsed."""
    from typer.core import TyperCommand

    understand = argparse.ArgumentParser.parse_args

    def parsed(*_: Any, **__: Any) -> None:
        raise Parsed

    def understood(parser: argparse.ArgumentParser, *given: Any, **more: Any) -> None:
        understand(parser, *given, **more)
        raise Parsed

    monkeypatch.setattr(TyperCommand, "invoke", parsed)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", understood)
    monkeypatch.syspath_prepend(str(REPOSITORY))  # benchmarks is no installed package


def fault_of(command: Command, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Why the command cannot be meant as it stands, None where nothing is wrong with it."""
    program, *rest = command.words
    program = program.removeprefix(".venv/bin/")
    if program == "sepkit":
        from sepkit.cli.main import main

        return _stopped_early(lambda: main(rest))
    if program in ("python", "python3") and rest[0] == "-m":
        return None if rest[1] == "venv" else _fault_of_module(rest[1], rest[2:], monkeypatch)
    if program == "accelerate" and rest[0] == "launch":
        return _fault_of_launch(rest[1:], monkeypatch)
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return None if rest[0] in targets else f"make has no target {rest[0]}"
    if program == "pip":
        return _fault_of_install(rest)
    return None if program in FOREIGN else f"nobody knows whether {program} is right"


def _fault_of_module(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    if module == "sepkit_example.train":
        return None  # the package that docs/extending.md builds; test_stranger_plugin runs it
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it has been imported already
        return _stopped_early(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True))


def _fault_of_launch(words: list[str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    from accelerate.commands.launch import launch_command_parser

    module = words.index("-m") + 1
    fault = _stopped_early(lambda: launch_command_parser().parse_args(words))
    return fault or _fault_of_module(words[module], words[module + 1 :], monkeypatch)


def _stopped_early(run: Any) -> str | None:
    try:
        code = run()
    except Parsed:
        return None
    except SystemExit as end:
        code = end.code
    return None if code in (0, None) else f"it ended with {code} before it began"  # 0: --help, --list


def _fault_of_install(words: list[str]) -> str | None:
    for word in words:
        path = REPOSITORY / word
        if word.endswith(".txt") and not path.exists():
            return f"there is no {word}"
        if match := re.fullmatch(r"(sepkit[a-z-]*)\[(\w+)\]", word):
            extras = {
                (facts := tomllib.loads(project.read_text(encoding="utf-8"))["project"])["name"]: facts
                for project in REPOSITORY.glob("packages/*/pyproject.toml")
            }[match[1]]["optional-dependencies"]
            if match[2] not in extras:
                return f"{match[1]} has no extra {match[2]}"
    return None


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_of_a_page_parses(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(commands(page))
    assert found
    monkeypatch.chdir(tmp_path)
    faults = []
    for command in found:
        fault = fault_of(command, monkeypatch)
        said = capsys.readouterr()
        if fault:
            faults.append(f"{command.place}: {command.text}: {fault}\n{said.out}{said.err}")
    assert not faults, "\n".join(faults)


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize(
    "line",
    [
        "sepkit separate song.wav --no-such-option",
        "sepkit separat song.wav",
        "sepkit data chek songs",
        "python -m benchmarks.run --metods all",
        "python -m sepkit_lightsaft.train --confg train_default",
        "make dmeo",
        "pip install 'sepkit[wbe]'",
        "rm -rf runs",
    ],
)
def test_a_wrong_command_is_seen(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    assert fault_of(Command("page.md:1", line, words), monkeypatch)


def test_a_block_is_read_as_a_shell_would(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\n# a comment\nsepkit list  # what is there\nsepkit separate a.wav \\\n  -o 'two words'\n```\n"
    )
    found = list(commands(page))
    assert [command.words for command in found] == [
        ["sepkit", "list"],
        ["sepkit", "separate", "a.wav", "-o", "two words"],
    ]
    assert [command.place for command in found] == ["page.md:3", "page.md:5"]


def test_what_is_not_run_is_on_a_page() -> None:
    there = {command.text for page in RUN_PAGES for command in commands(REPOSITORY / page)}
    assert set(NOT_RUN) <= there


@pytest.mark.parametrize(("page", "leaves"), RUN_PAGES.items(), ids=list(RUN_PAGES))
def test_a_page_runs_as_written(
    page: str,
    leaves: Sequence[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sepkit.cli.main import main

    make_the_readers_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in commands(REPOSITORY / page):
        if command.text in NOT_RUN:
            continue
        assert command.words[0] == "sepkit", f"{command.place}: {command.text} is neither run here nor in NOT_RUN"
        code = main(command.words[1:])
        said = capsys.readouterr()
        assert code == 0, f"{command.place}: {command.text}\n{said.out}{said.err}"
    assert [path for path in leaves if not (tmp_path / path).exists()] == []


def make_the_readers_files(folder: Path) -> None:
    """What the pages take for granted: song.wav, songs/, the true stems of these in truth/, and two runs.

    The runs stand in for those of commands in NOT_RUN: three tracks, one method, and its scores.
    """
    for name, home in {"song": ".", "one": "songs", "two": "songs/more"}.items():
        vocals, drums = stems(1.5)
        Audio(vocals + drums, RATE).write(folder / home / f"{name}.wav")
        write(folder / "truth" / name, vocals=vocals, drums=drums, bass=drums / 2, other=vocals / 2)
    for track in ("first", "second", "third"):
        vocals, drums = stems(6.0)
        write(folder / "material" / "true" / track, vocals=vocals, drums=drums)
        write(folder / "material" / "lightsaft" / track, vocals=0.9 * vocals, drums=0.9 * drums)
    request = FolderRequest(
        estimates=folder / "material" / "lightsaft",
        references=str(folder / "material" / "true"),
        recipes=("sdx23",),
        out=folder / "runs" / "demo",
    )
    assert run_folders(request, command=["test"]) == 0
    (folder / "runs" / "first").symlink_to("demo")


def stems(seconds: float) -> tuple[Tensor, Tensor]:
    """Two different signals, c t."""
    samples = music(RATE, 2, round(seconds * RATE))
    return samples, samples.flip(1)


def write(folder: Path, **sounds: Tensor) -> None:
    for stem, samples in sounds.items():
        Audio(samples, RATE).write(folder / f"{stem}.wav")
