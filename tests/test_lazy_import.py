"""Looking at what is installed is quick, and imports neither torch nor a method."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

RUNS = 3


def cpu_seconds(*command: str) -> float:
    """The least processor time of a few runs of `python COMMAND…`; wall time says little on a busy machine."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return min(once() for _ in range(RUNS))


@pytest.mark.parametrize(
    ("command", "limit_seconds"),
    [(("-c", "import sepkit"), 0.3), (("-m", "sepkit", "list"), 0.5), (("-m", "sepkit", "--help"), 0.5)],
    ids=["import sepkit", "sepkit list", "sepkit --help"],
)
def test_it_is_quick(command: tuple[str, ...], limit_seconds: float) -> None:
    assert cpu_seconds(*command) < limit_seconds


def test_listing_the_methods_of_this_repository_imports_none_of_them() -> None:
    script = (
        "import sys\n"
        "from sepkit import list_separators\n"
        "names = [summary.name for summary in list_separators()]\n"
        "assert 'lightsaft' in names, names\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('torch', 'torchaudio', 'numpy')\n"
        "          or name.startswith('sepkit_')]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
