"""A function applied to many values by several processes; one that dies costs only the value it was on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from ..cli.pool import leave

Value = TypeVar("Value")
Result = TypeVar("Result")
POLITE_SECONDS = 5.0  # between asking a process to end and ending it
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


Apply = Callable[
    [Callable[[Value], Result], Sequence[Value], int, Callable[[Value, str], Result]],
    Generator[tuple[Value, Result], None, None],
]
"""`apply_in_processes`, or another that does the same elsewhere."""


def apply_in_processes(
    function: Callable[[Value], Result],
    values: Sequence[Value],
    processes: int,
    died: Callable[[Value, str], Result],
) -> Generator[tuple[Value, Result], None, None]:
    """Yield every value with `function(value)`, in the order in which they are done.

    With one process it is this one. `died` makes the result of a value whose process ended, from the cause.
    `function` raises nothing and can be imported by name. On any exception here, also Ctrl-C, the processes stop.
    """
    if processes == 1 or len(values) < 2:
        for value in values:
            yield value, function(value)
        return
    waiting = list(reversed(values))
    pool: dict[Connection, _Worker[Value, Result]] = {}
    try:
        while waiting or pool:
            while waiting and len(pool) < processes:
                worker = _Worker(function, max(1, (os.cpu_count() or 1) // processes))
                pool[worker.connection] = worker
                worker.give(waiting.pop())
            for ready in wait(list(pool)):
                worker = pool[ready]  # type: ignore[index]
                yield worker.value, worker.receive(died)
                if worker.alive and waiting:
                    worker.give(waiting.pop())
                else:
                    worker.stop()
                    del pool[worker.connection]
    finally:
        for worker in pool.values():
            worker.process.terminate()
        for worker in pool.values():
            worker.process.join(POLITE_SECONDS)
            worker.process.kill()
            worker.process.join()


class _Worker(Generic[Value, Result]):
    """A process and the value it is on."""

    def __init__(self, function: Callable[[Value], Result], threads: int):
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, function), daemon=True)
        with _deaf_to_ctrl_c(), _threads(threads):
            self.process.start()
        theirs.close()
        self.alive = True
        self.value: Value

    def give(self, value: Value) -> None:
        self.value = value
        with suppress(OSError):  # it has died: `receive` says so
            self.connection.send(value)

    def receive(self, died: Callable[[Value, str], Result]) -> Result:
        try:
            result: Result = self.connection.recv()
            return result
        except (EOFError, OSError):
            self.alive = False
            self.process.join()
            return died(self.value, _cause(self.process.exitcode))

    def stop(self) -> None:
        self.connection.close()  # the process sees the end of its values
        self.process.join()


def _work(connection: Connection, function: Callable[[Value], Result]) -> None:
    """Serve values until the connection closes."""
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            connection.send(function(connection.recv()))
    except (EOFError, BrokenPipeError):
        pass  # the parent is done, or gone


def _end_with_parent() -> None:
    """End this process when its parent has been killed: nobody wants what it is on, which may take minutes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C from their first moment on: the parent stops them in order."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which alone may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes started inside use so many threads for numbers; libraries read that once, as they are loaded."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update({name: before[name] or str(count) for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{name}, probably out of memory: use fewer --jobs" if name == "SIGKILL" else name
    return f"exit code {exit_code}"
