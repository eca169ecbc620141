"""The lock names packages and versions and no place to get them from, so that any mirror serves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LOCKS = sorted([*REPOSITORY.glob("requirements*.txt"), *REPOSITORY.glob("constraints*.txt")])
# In parts, so that this file does not hold what it looks for.
HOSTS = (("pypi", "org"), ("pythonhosted", "org"), ("pytorch", "org/whl"), ("anaconda", "org"), ("npmjs", "org"))
REGISTRY_HOSTS = tuple(".".join(parts) for parts in HOSTS)
PLACES = re.compile(r"://|\bgit\+|@\s*file:|(?:^|\s)(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host)\b")
MACHINE_FOLDERS = re.compile(r"(?<![\w.~/])/(?:work|home|root|Users)/\w")
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".cfg", ".cff", ".ini", ".sh", ""}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def test_there_is_a_lock() -> None:
    assert {"requirements.txt", "constraints.txt"} <= {path.name for path in LOCKS}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_lock_files_name_no_place(path: Path) -> None:
    found = [f"{path.name}:{number}: {line}" for number, line in enumerate(lines(path), 1) if PLACES.search(line)]
    assert found == []


@pytest.mark.parametrize("path", [path for path in LOCKS if path.name.startswith("constraints")], ids=lambda p: p.name)
def test_constraints_are_bare_names_with_exact_versions(path: Path) -> None:
    pinned = re.compile(r"[A-Za-z0-9][\w.\-]*==[\w.+!]+(\s*;.*)?(\s*#.*)?")
    loose = [line for line in lines(path) if line.strip() and not line.startswith("#") and not pinned.fullmatch(line)]
    assert loose == []


def test_torch_and_torchaudio_are_pinned_alike() -> None:
    pins = dict(line.split("#")[0].strip().split("==") for path in LOCKS for line in lines(path) if "==" in line)
    assert pins["torch"] == "2.11.0"
    assert pins.get("torchaudio", pins["torch"]) == pins["torch"], (
        "torchaudio loads only with the torch it was built for"
    )


def test_no_tracked_text_names_a_package_registry_or_a_folder_of_one_machine(tracked: list[Path]) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:100]}"
        for path in tracked
        if path.suffix in TEXT
        for number, line in enumerate(lines(path), 1)
        if any(host in line for host in REGISTRY_HOSTS) or MACHINE_FOLDERS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "torch @ https://example.com/torch.whl",
        "--index-url mirror",
        "-i mirror",
        "-f wheels",
        "x @ git+ssh",
        "x @ file:x",
    ],
)
def test_a_place_in_a_lock_is_seen(line: str) -> None:
    assert PLACES.search(line)
