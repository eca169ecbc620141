"""`sepkit new-plugin demo` in a fresh environment: sepkit and the plugin installed by pip, listed and checked.

Nothing is downloaded: a .pth file lets the environment see the libraries of this one, torch among them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from sepkit.plugin_writer import write_plugin

CORE = Path(__file__).parents[1] / "packages" / "core"
SHARED = ("torch", "numpy", "einops", "pydantic", "typer", "rich", "soundfile", "safetensors", "setuptools")
"""Libraries of this environment, wherever its folders are, that the fresh one sees; setuptools builds the packages."""


@dataclass(frozen=True)
class Fresh:
    """An environment that holds only what was installed into it, and a folder to work in."""

    folder: Path
    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment at home, and return what it said; it must go well."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        ran = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.home, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran

    def install(self, *projects: Path) -> None:
        """Install projects from their folders as a stranger's pip would, without network."""
        if importlib.util.find_spec("pip") is not None:
            pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--disable-pip-version-check"]
            pip += ["--no-compile", "--ignore-installed"]  # never touch what the .pth file shows
        elif (uv := shutil.which("uv")) is not None:
            pip = [uv, "pip", "install", "--python", str(self.python)]
        else:
            pytest.skip("needs pip or uv to install the plugin with")
        flags = ["--no-build-isolation", "--no-deps", "--no-index", *map(str, projects)]
        done = subprocess.run([*pip, *flags], cwd=self.home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def found_at(name: str) -> Path:
    """Where a library of this environment begins; imports nothing."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.origin is not None, name
    return Path(spec.origin)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """The environment with sepkit and the new plugin `demo`."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools in this environment: packages are built without network, so without isolation")
    folder = tmp_path_factory.mktemp("fresh")
    made = Fresh(folder / "environment", folder / "home")
    made.home.mkdir()
    venv.create(made.folder, with_pip=False)
    [site] = made.folder.glob("lib/python*/site-packages")
    shared = {found_at(name).parents[1] for name in SHARED}
    (site / "shared.pth").write_text("".join(f"{place}\n" for place in sorted(shared)))
    copy = folder / "core"  # building leaves files behind, which do not belong in the checkout
    shutil.copytree(CORE, copy, ignore=shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__"))
    made.install(copy, write_plugin("demo", made.home / "sepkit-demo"))
    return made


def test_it_is_sepkit_and_the_plugin_of_that_environment_with_this_ones_torch(fresh: Fresh) -> None:
    names = ("sepkit", "sepkit_demo", "torch")  # looked up and not imported: torch takes its time
    script = f"from importlib.util import find_spec; print(*(find_spec(name).origin for name in {names}))"
    core, plugin, torch = fresh.run("python", "-c", script).stdout.split()
    assert Path(core).is_relative_to(fresh.folder)
    assert Path(plugin).is_relative_to(fresh.folder)
    assert Path(torch) == found_at("torch")
    assert importlib.util.find_spec("sepkit_demo") is None, "the plugin leaked into this environment"


def test_it_is_listed(fresh: Fresh) -> None:
    rows = {row["name"]: row for row in map(json.loads, fresh.run("sepkit", "list", "--json").stdout.splitlines())}
    assert rows["demo"]["distribution"] == "sepkit-demo"
    assert rows["demo"]["error"] is None


def test_the_installed_command_writes_the_same(fresh: Fresh) -> None:
    fresh.run("sepkit", "new-plugin", "another")
    for path in (fresh.home / "sepkit-another").rglob("*.*"):
        if path.is_file():
            twin = str(path.relative_to(fresh.home)).replace("another", "demo")
            text = path.read_text(encoding="utf-8").replace("another", "demo").replace("Another", "Demo")
            assert text == (fresh.home / twin).read_text(encoding="utf-8"), twin


def test_it_passes_the_check_as_generated(fresh: Fresh) -> None:
    rows = [json.loads(line) for line in fresh.run("sepkit", "check", "demo", "--json").stdout.splitlines()]
    assert len(rows) > 50
    assert [row for row in rows if not row["passed"]] == []
