"""Imports point one way: a method imports core, core imports no method, and no method imports another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CORE = "sepkit"
SOURCES = {folder.name: folder for folder in sorted(REPOSITORY.glob("packages/*/src/*")) if folder.is_dir()}
PACKAGES = {name: folder for name, folder in SOURCES.items() if not name.endswith(".egg-info")}
METHODS = sorted(set(PACKAGES) - {CORE})
BY_NAME = ("import_module", "__import__", "find_spec", "importorskip")


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every absolute import, wherever it stands: at the top, in a function, behind TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and _called(node) in BY_NAME and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def imports_from(package: str, forbidden: set[str]) -> list[str]:
    """`file:line imports module` for each import in a package of a module whose top package is forbidden."""
    return [
        f"{path.relative_to(REPOSITORY)}:{line} imports {module}"
        for path in sorted(PACKAGES[package].rglob("*.py"))
        for line, module in imported_modules(path.read_text(encoding="utf-8"))
        if module.partition(".")[0] in forbidden
    ]


def test_core_and_a_method_are_found() -> None:
    assert CORE in PACKAGES
    assert METHODS, "no method package under packages/*/src"


def test_core_imports_no_method() -> None:
    assert imports_from(CORE, set(METHODS)) == []


@pytest.mark.parametrize("method", METHODS)
def test_a_method_imports_core_and_no_other_method(method: str) -> None:
    assert imports_from(method, set(METHODS) - {method}) == []
    assert imports_from(method, {CORE}), f"{method} never imports {CORE}: is it a method?"


def test_core_imports_no_torchaudio() -> None:
    # its releases must match torch's to the patch, so it enters only through methods that cannot do without it
    assert imports_from(CORE, {"torchaudio"}) == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_nothing_unpickles(package: str) -> None:
    assert imports_from(package, {"cPickle", "dill", "cloudpickle", "shelve", "joblib"}) == []
    found = [
        f"{path.relative_to(REPOSITORY)}:{line} uses pickle.{name}"
        for path in sorted(PACKAGES[package].rglob("*.py"))
        for line, name in used_of_pickle(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def used_of_pickle(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that is used of pickle but its errors, which other readers raise."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "_pickle"):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [
                f"{alias.name} under another name" for alias in node.names if alias.name == "pickle" and alias.asname
            ]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
            names = [node.attr]
        yield from ((node.lineno, name) for name in names if name not in ("UnpicklingError", "PickleError"))


@pytest.mark.parametrize(
    "source",
    ["import pickle\npickle.load(f)", "from pickle import loads", "import pickle as p", "pickle.Unpickler(f)"],
)
def test_every_way_to_unpickle_is_seen(source: str) -> None:
    assert len(list(used_of_pickle(source))) == 1


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_foreign_checkpoints_are_read_without_unpickling(package: str) -> None:
    unsafe = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in sorted(PACKAGES[package].rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _is_torch_load(node) and not _has_true(node, "weights_only")
    ]
    assert unsafe == [], "torch.load without weights_only=True runs code from the file"


def _is_torch_load(node: ast.Call) -> bool:
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "load"
        and isinstance(function.value, ast.Name)
        and function.value.id == "torch"
    )


def _has_true(node: ast.Call, name: str) -> bool:
    return any(
        keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in node.keywords
    )


@pytest.mark.parametrize(
    "source",
    [
        "import sepkit_x.network",
        "import sepkit_x as x",
        "from sepkit_x.network import Net",
        "def f():\n    from sepkit_x import Net",
        "if TYPE_CHECKING:\n    import sepkit_x",
        "importlib.import_module('sepkit_x.network')",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    assert [module.partition(".")[0] for _, module in imported_modules(source)] == ["sepkit_x"]
