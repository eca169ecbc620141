"""The distributions go in lockstep, carry ranges, and everything that is installed by name has a locked version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
PROJECTS = {path.parent.name: path for path in sorted(REPOSITORY.glob("packages/*/pyproject.toml"))}
OWN = re.compile(r"sepkit(-[a-z-]+)?")


def project(folder: str) -> dict[str, Any]:
    return tomllib.loads(PROJECTS[folder].read_text(encoding="utf-8"))["project"]


def asked_for(lines: list[str]) -> list[tuple[str, str]]:
    """(normalised name, the rest) of each requirement; comments, options and extras are left out."""
    found = [re.match(r"([A-Za-z0-9][\w.-]*)(\[[^]]*\])?(.*)", line.partition("#")[0].strip()) for line in lines]
    return [(normal(match[1]), match[3].strip()) for match in found if match]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def metadata_requirements(folder: str) -> list[tuple[str, str]]:
    facts = project(folder)
    extras = [line for lines in facts.get("optional-dependencies", {}).values() for line in lines]
    return asked_for([*facts["dependencies"], *extras])


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_every_distribution_has_the_same_version() -> None:
    versions = {folder: project(folder)["version"] for folder in PROJECTS}
    version = versions["core"]
    assert set(versions.values()) == {version}, versions
    assert f'__version__ = "{version}"' in text("packages/core/src/sepkit/__init__.py")
    assert re.search(rf"^version: {re.escape(version)}$", text("CITATION.cff"), re.MULTILINE)
    assert f"## [{version}]" in text("CHANGELOG.md")


@pytest.mark.parametrize("folder", [folder for folder in PROJECTS if folder != "core"])
def test_a_method_asks_for_exactly_the_core_of_its_version(folder: str) -> None:
    assert ("sepkit", f"=={project(folder)['version']}") in metadata_requirements(folder)


@pytest.mark.parametrize("folder", PROJECTS)
def test_metadata_carries_lower_bounds_and_no_pins(folder: str) -> None:
    foreign = [(name, bound) for name, bound in metadata_requirements(folder) if not OWN.fullmatch(name)]
    assert [name for name, bound in foreign if not re.fullmatch(r">=[\d.]+", bound)] == []


def test_requirements_install_every_distribution() -> None:
    listed = re.findall(r"^-e \./packages/(\w+)", text("requirements.txt"), re.MULTILINE)
    assert sorted(listed) == sorted(PROJECTS)


def test_everything_asked_for_by_name_is_locked() -> None:
    locked = {name for name, _ in asked_for(text("constraints.txt").splitlines())}
    files = [path.read_text(encoding="utf-8").splitlines() for path in REPOSITORY.glob("requirements*.txt")]
    wanted = {name for lines in files for name, _ in asked_for(lines)}
    wanted |= {name for folder in PROJECTS for name, _ in metadata_requirements(folder)}
    wanted |= {"setuptools"}  # the build backend, which the Makefile installs first
    assert {name for name in wanted if not OWN.fullmatch(name)} - locked == set()


@pytest.mark.parametrize("folder", PROJECTS)
def test_a_wheel_carries_the_licence(folder: str) -> None:
    assert (PROJECTS[folder].parent / "LICENSE").read_text(encoding="utf-8") == text("LICENSE")
