"""A cluster of Ray: one of this machine's own for as long as it is needed, or one that is running somewhere."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..errors import MissingExtraError, OptionError, SepkitError

OBJECT_STORE_BYTES = 100 * 2**20  # of a cluster of our own: what passes through it are reports
CORES_EACH = 4  # of a worker without a GPU, unless told otherwise: more help one file little
_SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_worker_niceness": "0",  # 15 otherwise: the workers would wait for everybody else
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker without a GPU of its own sees none, and takes none
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}


class ClusterError(SepkitError, RuntimeError):
    """A cluster that cannot be started or reached, or that lacks what was asked for."""


@dataclass(frozen=True)
class Crew:
    """So many workers, and the cores and GPUs that each of them has to itself."""

    workers: int
    cores: int
    gpus: int = 0

    @property
    def words(self) -> str:
        own = f"{self.gpus} GPU" if self.gpus else f"{self.cores} core{'' if self.cores == 1 else 's'}"
        return f"{self.workers} worker{'' if self.workers == 1 else 's'} with {own} each"


def import_ray() -> Any:
    """Ray with its Data library, silenced. Raises MissingExtraError."""
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
            import ray.data
        warnings.filterwarnings("ignore", module=r"ray(\.|$)")  # it warns of its own deprecated settings
    except ImportError as error:
        raise MissingExtraError(str(error.name or "ray").partition(".")[0], "ray", "--engine ray") from error
    return ray


@contextmanager
def connected(address: str | None, jobs: int | None) -> Iterator[Any]:
    """Ray, connected to the cluster at `address` (RAY_ADDRESS where None), or to one of this machine's own.

    That one has a core for each of `jobs` at least, and is gone afterwards with all that it wrote. A connection that
    the program has made before is used and left. Raises MissingExtraError, OptionError and ClusterError.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise OptionError(
            f"--ray-address {address} is of Ray Client, which this does not use: run sepkit on a machine of the "
            "cluster with --ray-address auto, or give HOST:PORT of the head node."
        )
    own: dict[str, Any] = {}
    if address == "local":
        cores = max(os.cpu_count() or 1, jobs or 1)
        own = {"num_cpus": cores, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        own["_temp_dir"] = _short_folder()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _start(ray, address, own)
        _restore(handlers)  # Ray puts its own in place, which end the process without cleaning up
        yield ray
    finally:
        with suppress(Exception):
            ray.shutdown()
        _restore(handlers)
        if own:
            shutil.rmtree(own["_temp_dir"], ignore_errors=True)


def hire(nodes: Sequence[Mapping[str, float]], jobs: int | None, tasks: int, *, gpus: bool | None) -> Crew:
    """The crew for so many tasks on nodes with these resources; `gpus` None: where there are any.

    Without `jobs` it is a worker for each GPU, or else for every four cores. Raises ClusterError where GPUs are asked
    for and there is none.
    """
    cards = int(sum(node.get("GPU", 0) for node in nodes))
    if gpus and not cards:
        raise ClusterError("--device cuda: the cluster has no GPU; use --device cpu, or leave it out.")
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if sum(cores) < 1:
        raise ClusterError("The cluster has no core to work with; start its nodes with --num-cpus 1 or more.")
    if cards and gpus is not False:
        workers = min(jobs or cards, cards, max(1, tasks))
        return Crew(workers, max(1, min(CORES_EACH, sum(cores) // workers)), 1)
    default = sum(max(1, count // CORES_EACH) for count in cores if count)
    workers = max(1, min(jobs or default, sum(cores), tasks))
    each = max(1, sum(cores) // workers)
    while each > 1 and sum(count // each for count in cores) < workers:
        each -= 1  # a worker's cores are on one node
    return Crew(workers, each)


def nodes_of(ray: Any) -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _start(ray: Any, address: str, own: Mapping[str, Any]) -> None:
    with _captured_stderr() as captured, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
        except Exception as error:
            captured.show = True
            what = "Ray cannot be started here" if own else f"--ray-address {address} cannot be reached"
            raise ClusterError(f"{what}: {type(error).__name__}: {error}") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with suppress(AttributeError):  # its messages about dead workers go to stdout, where --json is read
        ray._private.worker._worker_logs_enabled = False


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        with suppress(ValueError):  # not the main thread, which alone may set handlers
            signal.signal(number, handler)


def _short_folder() -> str:
    """A folder for a cluster of our own; sockets in it may have 107 characters, and TMPDIR may be long."""
    place = "/tmp" if os.path.isdir("/tmp") and os.access("/tmp", os.W_OK) else None
    return tempfile.mkdtemp(prefix="sepkit-ray-", dir=place)


class _Captured:
    show = False


@contextmanager
def _captured_stderr() -> Iterator[_Captured]:
    """Keep what C++ code writes to standard error; show it only when asked to."""
    captured = _Captured()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield captured
        finally:
            os.dup2(before, 2)
            os.close(before)
            if captured.show:
                kept.seek(0)
                os.write(2, kept.read())
