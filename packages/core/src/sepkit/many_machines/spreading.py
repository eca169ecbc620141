"""Values worked off by actors of Ray Data; one whose actor dies is given to another, a few times."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from .cluster import ClusterError, Crew

RETRIES = 3
"""So many times a value is tried again when its worker has died."""


class Worker(Protocol):
    """Made once in each actor; called with one value after another, and raises nothing."""

    def __call__(self, value: Any, /) -> Any: ...


Value = TypeVar("Value")


def spread(
    ray: Any,
    make_worker: Callable[[], Worker],
    values: Sequence[Value],
    crew: Crew,
    retries: int = RETRIES,
) -> Iterator[tuple[Value, Any | None]]:
    """Yield every value with its answer as they come; None for one whose worker died each time.

    An actor has one value at a time, the others wait here. `make_worker` and the values are pickled.
    """
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a long song is no sign of a fault
    # Ray Data restarts an actor and repeats its task for ever, and offers no limit that it will keep: so we count.
    tally = ray.remote(num_cpus=0, max_restarts=-1)(_Tally)
    tally = tally.options(name="sepkit-tally", get_if_exists=True).remote()  # one for all that this program does
    rows = [{"index": index} for index in range(len(values))]
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _Seat,
        fn_constructor_args=(make_worker, list(values), tally, uuid.uuid4().hex, retries, os.getcwd()),
        compute=ActorPoolStrategy(size=crew.workers, max_tasks_in_flight_per_actor=1),
        num_cpus=crew.cores,
        num_gpus=crew.gpus or None,
    )
    rows_done = iter(done.iter_rows())
    try:
        while (row := _next(ray, rows_done)) is not None:
            yield values[row["index"]], row["answer"][0] if row["answer"] else None
    finally:
        close = getattr(rows_done, "close", None)
        if close is not None:
            close()  # ends the actors, also where the one who asked wants no more


def _next(ray: Any, rows: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return next(rows, None)
    except ray.exceptions.RayError as error:
        last = [line for line in str(error).splitlines() if line.strip()][-1:]
        raise ClusterError(f"The cluster failed: {type(error).__name__}: {''.join(last).strip()}") from error


def _end_with(parent: int) -> None:
    """End this process when its node's has ended: some hang then, and would stay for ever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


class _Tally:
    """How often each value was begun: what a worker cannot remember when it dies."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, key: str) -> int:
        self._begun[key] = self._begun.get(key, 0) + 1
        return self._begun[key]


class _Seat:
    """An actor's end: makes the worker, and refuses a value that has cost too many of them."""

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        values: Sequence[Any],
        tally: Any,
        run: str,
        retries: int,
        folder: str,
    ):
        with suppress(OSError):  # on another machine there need not be such a folder
            os.chdir(folder)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        self._worker = make_worker()
        self._values, self._tally, self._run, self._retries = values, tally, run, retries

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        index = int(row["index"])
        if self._begin(index) > self._retries + 1:
            return {"index": index, "answer": []}
        return {"index": index, "answer": [self._worker(self._values[index])]}

    def _begin(self, index: int) -> int:
        import ray

        try:
            return int(ray.get(self._tally.begin.remote(f"{self._run} {index}")))
        except ray.exceptions.RayError:  # its machine is gone: better once too often than not at all
            return 1
