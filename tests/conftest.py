"""What the laws of the whole repository look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file under version control that is on disk; skips where there is no git or no checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout: the law is about tracked files")
    return [REPOSITORY / name for name in listed if name and (REPOSITORY / name).is_file()]
