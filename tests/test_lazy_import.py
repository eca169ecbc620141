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


@pytest.fixture(scope="module")
def needed_seconds() -> float:
    """What the command line's own libraries take on this machine: its speed is measured against theirs."""
    return cpu_seconds("-c", "import pydantic.main, typer.rich_utils, rich.table, rich.markdown")


@pytest.mark.parametrize(
    ("command", "times"),
    [(("-c", "import sepkit"), 0.6), (("-m", "sepkit", "list"), 2.2), (("-m", "sepkit", "--help"), 2.2)],
    ids=["import sepkit", "sepkit list", "sepkit --help"],
)
def test_it_takes_little_more_than_its_libraries(command: tuple[str, ...], times: float, needed_seconds: float) -> None:
    assert cpu_seconds(*command) < times * needed_seconds


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
