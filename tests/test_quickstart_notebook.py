"""The quick-start notebook is kept without outputs, and runs from top to bottom to what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
NOTEBOOK = REPOSITORY / "docs" / "quickstart.ipynb"
METHODS = ("lightsaft", "cold_diffusion")

nbformat = pytest.importorskip("nbformat", reason="nbformat is one of requirements-dev.txt")


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(notebook: Any, kind: str) -> list[str]:
    """What the cells showed of a MIME type, in order."""
    found = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    return ["".join(data[kind]) for data in found if kind in data]


def printed(notebook: Any) -> str:
    """What the cells wrote."""
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)


def test_it_is_a_valid_notebook_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}  # no version of whoever ran it last


def test_the_pages_lead_to_it() -> None:
    for page, link in (("README.md", "docs/quickstart.ipynb"), ("docs/index.md", "quickstart.ipynb")):
        assert f"]({link})" in (REPOSITORY / page).read_text(encoding="utf-8"), page


def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is one of requirements-dev.txt")
    pytest.importorskip("ipykernel", reason="ipykernel is one of requirements-dev.txt")
    pytest.importorskip("matplotlib", reason="matplotlib is an optional extra")
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))  # nothing of the user's, and this interpreter
    notebook, here = read(), tmp_path / "notebook"
    here.mkdir()
    nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(here)}}).execute()

    (picture,) = outputs(notebook, "image/png")
    assert picture.startswith("iVBORw0KGgo")
    players = [html for html in outputs(notebook, "text/html") if "<audio" in html]
    assert [html.count("<audio") for html in players] == [4, 2]
    rows = re.findall(r"^(\w+) +(\w+) +(-?\d+\.\d+) dB$", printed(notebook), re.MULTILINE)
    assert {(method, stem) for method, stem, _ in rows} >= {(method, "vocals") for method in METHODS}
    assert all(-30 < float(value) < 30 for _, _, value in rows)
    saved = {path.parent.parent.name for path in here.glob("quickstart/separated/*/*/vocals.wav")}
    assert saved == set(METHODS)
    assert (here / "quickstart/scores/index.html").exists()
