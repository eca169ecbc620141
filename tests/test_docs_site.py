"""The site builds without a warning, holds every page, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ELSEWHERE = re.compile(r"<(?:script|link|img|iframe|source|audio)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")

for module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
    pytest.importorskip(module, reason=f"{module} is one of requirements-docs.txt")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_and_picture_is_there(site: Path) -> None:
    pages = [
        path.relative_to(REPOSITORY / "docs") for path in sorted((REPOSITORY / "docs").rglob("*")) if path.is_file()
    ]
    assert len(pages) > 40
    for page in pages:
        place = page.parent if page.stem == "index" else page.with_suffix("")
        built = site / place / "index.html" if page.suffix == ".md" else site / page
        assert built.exists(), page


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    found = [
        f"{page.relative_to(site)}: {match[0]}"
        for page in site.rglob("*.html")
        for match in ELSEWHERE.finditer(page.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_reference_has_the_public_names(site: Path) -> None:
    text = (site / "api" / "audio" / "index.html").read_text(encoding="utf-8")
    for name in ("Audio.read", "Stems.save", "Stems.plot", "Stems.mixture"):
        assert f'id="sepkit.audio.{name}"' in text
