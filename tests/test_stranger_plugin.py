"""A plugin copied from docs/extending.md, as a stranger would, is installed, listed, run and held to the contract."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sepkit import Audio
from sepkit.testing.signals import music

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
FILE_BLOCK = re.compile(r'^```\w+ title="(?P<path>[^"]+)"\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE)
PROJECT = "sepkit-example"
METHODS = ("centre", "static_mask")


@dataclass(frozen=True)
class Installed:
    """The plugin in a folder of its own, which only the subprocesses of these tests see."""

    project: Path
    site: Path

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python COMMAND…` with the plugin on its path and one thread, and return what it said."""
        environment = {**os.environ, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, *command], cwd=cwd or self.project.parent, env=environment, capture_output=True, text=True
        )


def write_files(folder: Path) -> list[str]:
    """Write every titled block of the page to its place and return the places."""
    written = []
    for block in FILE_BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        path = folder / block["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"], encoding="utf-8")
        written.append(block["path"])
    return written


def installer() -> list[str]:
    """The command that installs from a folder: pip of this environment, or uv where the environment has no pip."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools in this environment: the plugin is built without network, so without isolation")
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs pip or uv to install the plugin with")
    return [uv, "pip", "install", "--python", sys.executable]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package of the page, its checkpoint made by its own command, installed without network."""
    folder = tmp_path_factory.mktemp("stranger")
    install = installer()
    write_files(folder)
    project, site = folder / PROJECT, folder / "site"
    source = Installed(project, project / "src")
    trained = source.run("-m", "sepkit_example.train", "1")
    assert trained.returncode == 0, trained.stderr
    flags = ["--no-build-isolation", "--no-deps", "--no-index", "--target", str(site)]
    done = subprocess.run([*install, *flags, str(project)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(project, site)


def test_the_page_holds_a_whole_package() -> None:
    blocks = {block["path"] for block in FILE_BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}
    sources = {f"{PROJECT}/src/sepkit_example/{name}.py" for name in ("__init__", "centre", "static_mask", "train")}
    assert blocks == {f"{PROJECT}/pyproject.toml", f"{PROJECT}/tests/test_conformance.py", *sources}


def test_it_is_listed_with_what_its_checkpoint_says_and_without_being_imported(plugin: Installed) -> None:
    (plugin.site / "sepkit_example" / "__init__.py").write_text("raise ImportError('listing imported the plugin')\n")
    try:
        listed = plugin.run("-m", "sepkit", "list", "--json")
    finally:
        (plugin.site / "sepkit_example" / "__init__.py").write_text("")
    assert listed.returncode == 0, listed.stderr
    rows = {row["name"]: row for row in _json_lines(listed.stdout)}
    assert set(METHODS) <= set(rows)
    assert rows["static_mask"]["stems"] == ["vocals", "accompaniment"]
    assert rows["static_mask"]["parameters"] == 1025
    assert rows["static_mask"]["error"] is None
    assert rows["centre"]["distribution"] == "sepkit-example"


def separated(plugin: Installed, folder: Path, *options: str) -> dict[str, Audio]:
    """The stems that `sepkit separate` writes for a file of music at 48 kHz."""
    if not (folder / "song.wav").exists():
        Audio(music(48_000, 2, 30_001), 48_000).write(folder / "song.wav")
    command = ("-m", "sepkit", "separate", "song.wav", "-o", "out", "--overwrite", "--bits", "float", *options)
    ran = plugin.run(*command, cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return {path.stem: Audio.read(path) for path in (folder / "out").rglob("*.wav")}


@pytest.fixture(scope="module")
def centre(plugin: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audio]:
    """What `centre` makes of the song by default."""
    return separated(plugin, tmp_path_factory.mktemp("centre"), "-m", "centre")


def test_the_method_without_weights_separates_a_file(centre: dict[str, Audio]) -> None:
    assert_stems(centre, "centre", "sides")


def test_the_method_with_weights_separates_a_file(plugin: Installed, tmp_path: Path) -> None:
    assert_stems(separated(plugin, tmp_path, "-m", "static_mask"), "vocals", "accompaniment")


def assert_stems(found: dict[str, Audio], *names: str) -> None:
    assert set(found) == set(names)
    for audio in found.values():
        assert (audio.sample_rate, tuple(audio.samples.shape)) == (48_000, (2, 30_001))
        assert float(audio.samples.abs().max()) > 1e-3, "a stem is silent"


def test_its_option_reaches_it_and_a_misspelt_one_is_named(
    plugin: Installed, centre: dict[str, Audio], tmp_path: Path
) -> None:
    narrow = separated(plugin, tmp_path, "-m", "centre", "-O", "focus=4")["centre"]
    assert narrow.samples.square().sum() < 0.99 * centre["centre"].samples.square().sum(), "narrower, so it holds less"
    misspelt = plugin.run("-m", "sepkit", "separate", "song.wav", "-m", "centre", "-O", "focuss=1", cwd=tmp_path)
    assert misspelt.returncode != 0
    assert "did you mean 'focus'" in " ".join((misspelt.stdout + misspelt.stderr).split())


def test_it_passes_the_check(plugin: Installed) -> None:
    ran = plugin.run("-m", "sepkit", "check", "static_mask", "--json")
    rows = _json_lines(ran.stdout)
    assert len(rows) > 50
    assert [row for row in rows if not row["passed"]] == []
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_its_own_tests_pass(plugin: Installed) -> None:
    ran = plugin.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=plugin.project)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert re.search(r"\b\d{3} passed", ran.stdout), "three classes of some sixty laws each"


def test_the_sandbox_did_not_leak_into_this_environment() -> None:
    assert importlib.util.find_spec("sepkit_example") is None


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
