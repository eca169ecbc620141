"""A new plugin: a whole package, with a method that separates and tests that pass, to begin one's own from."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import tempfile
from pathlib import Path

from . import __version__
from .errors import OptionError, OutputExistsError, nearest

TEMPLATE = Path(__file__).parent / "plugin_template"
LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0")
"""What the package may be put under; each has its text in the template folder."""

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE.@LICENCE@",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "src/@PACKAGE@/__init__.py": "init.py",
    "src/@PACKAGE@/config.py": "config.py",
    "src/@PACKAGE@/masks.py": "masks.py",
    "src/@PACKAGE@/separator.py": "separator.py",
    "tests/test_conformance.py": "test_conformance.py",
    "tests/test_separation.py": "test_separation.py",
}
"""Place in the package → file of the template folder, which carries `.txt` so that no tool takes it for code."""

EMPTY = ("src/@PACKAGE@/py.typed",)
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 30
RESERVED = ("all", "methods", "references", "oracles", "peers")
"""Names that mean groups of methods where methods are named."""


def write_plugin(name: str, out: str | Path | None = None, *, licence: str = "MIT", author: str | None = None) -> Path:
    """Write the package of a method `name` into the folder `out` (None: ./sepkit-NAME), whole or not at all.

    `author` stands in the licence. Returns the folder. Raises OptionError for a name or licence that will not do, and
    OutputExistsError for a folder that is there and not empty.
    """
    check_name(name)
    if licence not in LICENCES:
        raise OptionError(f"{licence!r} is no licence that new-plugin has the text of: {nearest(licence, LICENCES)}")
    words = _words(name, licence, author)
    folder = Path(words["@DISTRIBUTION@"] if out is None else out)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputExistsError(f"{folder} is already there and not empty; nothing was written. Give another --out.")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        for place, source in FILES.items():
            path = temporary / _filled(place, words)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (TEMPLATE / f"{_filled(source, words)}.txt").read_text(encoding="utf-8")
            path.write_text(_filled(text, words), encoding="utf-8")
        for place in EMPTY:
            (temporary / _filled(place, words)).touch()
        temporary.chmod(0o755)  # mkdtemp makes it private
        try:
            temporary.rename(folder)  # takes the place of nothing but an empty folder
        except OSError as error:
            raise OutputExistsError(f"{folder} cannot be written ({error.strerror}); give another --out.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def check_name(name: str) -> None:
    """Raise OptionError, with a name that would do, for one that is misspelt for a package, too long, or taken."""
    if NAME.fullmatch(name) is None or len(name) > LONGEST_NAME or keyword.iskeyword(name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:LONGEST_NAME].rstrip("_")
        hint = f" {better!r} would do." if better and better != name else ""
        raise OptionError(
            f"{name!r} cannot be a method's name: wanted small letters, digits and single underscores, a letter first, "
            f"at most {LONGEST_NAME} of them, and no word of Python's own.{hint}"
        )
    taken = _taken(name)
    if taken is not None:
        raise OptionError(f"A method cannot be named {name!r}: {taken}. Choose another name.")


def _taken(name: str) -> str | None:
    from .evaluation.reference_points import REFERENCE_POINTS
    from .registry import list_separators

    if name in RESERVED:
        return "that is a group of methods"
    if name in REFERENCE_POINTS:
        return "that is a point of reference of evaluations"
    for summary in list_separators():
        if summary.name == name:
            return f"{summary.distribution} announces one of that name"
    package = f"sepkit_{name}"
    return f"a package {package} is installed already" if importlib.util.find_spec(package) is not None else None


def _words(name: str, licence: str, author: str | None) -> dict[str, str]:
    distribution = f"sepkit-{name.replace('_', '-')}"
    return {
        "@NAME@": name,
        "@CLASS@": "".join(part.capitalize() for part in name.split("_")),
        "@PACKAGE@": f"sepkit_{name}",
        "@DISTRIBUTION@": distribution,
        "@LICENCE@": licence,
        "@AUTHOR@": author or f"the authors of {distribution}",
        "@SEPKIT_VERSION@": __version__,
    }


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@[A-Z_]+@", lambda match: words[match[0]], text)
