"""What may be under version control: no pickles, small weights, and file names that say what the file holds."""

from __future__ import annotations

from pathlib import Path

PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
MAX_WEIGHTS_MB = 12
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_LINES = 400


def test_nothing_pickled_is_tracked(tracked: list[Path]) -> None:
    assert tracked, "git lists no file"
    assert [path for path in tracked if path.suffix.lower() in PICKLES] == []


def test_weights_are_small_enough_for_a_wheel(tracked: list[Path]) -> None:
    sizes_mb = {path: path.stat().st_size / 1e6 for path in tracked if path.suffix == ".safetensors"}
    assert {path: size for path, size in sizes_mb.items() if size > MAX_WEIGHTS_MB} == {}


def test_every_shipped_weights_file_has_its_config_and_its_card(tracked: list[Path]) -> None:
    folders = [path.parent for path in tracked if path.suffix == ".safetensors" and "checkpoints" in path.parts]
    assert [f for f in folders if not {f / "config.json", f / "README.md"} <= set(tracked)] == []


def test_file_names_say_what_the_file_holds(tracked: list[Path]) -> None:
    assert [path for path in tracked if path.stem.lower() in EMPTY_NAMES] == []


def test_source_files_fit_in_the_head(tracked: list[Path]) -> None:
    sources = [path for path in tracked if path.suffix == ".py" and "tests" not in path.parts]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}
