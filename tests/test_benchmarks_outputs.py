"""Laws of all benchmarks: what they write is there in full or not at all, and a refusal is short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.claims_schema import read_ledger
from sepkit.errors import UnknownNameError
from sepkit.partial_files import write_text

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_no_text_is_written_in_place(path: Path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if isinstance(call, ast.Attribute) and call.attr == "write_text"] == []


def test_text_replaces_an_older_one_in_folders_that_are_made(tmp_path: Path):
    path = tmp_path / "new" / "a.md"
    for text in ("ä\n", "shorter"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert [one.name for one in path.parent.iterdir()] == ["a.md"]


@pytest.mark.parametrize("name", ["ismir22-tabel1", "nothing of the kind"])
def test_an_unknown_paper_names_the_tables_and_not_every_cell(name: str):
    ledger = read_ledger()
    with pytest.raises(UnknownNameError) as caught:
        ledger.chosen(name)
    said = str(caught.value)
    assert all(table in said for table in (*ledger.tables_by_id, *ledger.papers))
    assert ("did you mean" in said) == (name == "ismir22-tabel1")
    assert len(said) < 1500
    assert sum(claim in said for claim in ledger.claims) <= 3
