"""What several core tests share: plugins that look installed to the entry-point machinery."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

Announce = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path, of this process and of those it starts, for packages that exist only in one test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def announce(site: Path) -> Iterator[Announce]:
    """Install a plugin: `announce(name, source)` puts `source` behind the entry point `name`, and returns its package.

    Tests reuse package names, so what they imported is forgotten at the end.
    """

    def install(
        name: str,
        source: str | None,
        *,
        target: str = "separator:build",
        group: str = "sepkit.separators",
        distribution: str | None = None,
    ) -> Path:
        distribution = distribution or f"sepkit-{name}"
        package = site / distribution.replace("-", "_")
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        if source is not None:
            (package / f"{target.split(':')[0]}.py").write_text(dedent(source))
        metadata = site / f"{package.name}-1.2.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        with (metadata / "entry_points.txt").open("a") as file:
            file.write(f"[{group}]\n{name} = {package.name}.{target}\n")
        return package

    before = set(sys.modules)
    yield install
    installed = {folder.name for folder in site.iterdir()}
    for module in set(sys.modules) - before:
        if module.split(".")[0] in installed:
            del sys.modules[module]
