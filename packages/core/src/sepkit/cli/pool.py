"""Files separated by several worker processes, each file independently; one that dies costs only its file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from ..errors import SepkitError
from ..separator import Separator
from . import exit_codes
from .one_file import FileReport, failed, separate_file
from .outputs import FileTask
from .request import SeparationRequest
from .terminal import show_warning

OnProgress = Callable[[FileTask, float, float], None]
"""Called with a task, the seconds of audio done and the seconds in all (NaN while unknown)."""


def separate_in_parallel(
    request: SeparationRequest, tasks: Sequence[FileTask], workers: int, on_progress: OnProgress
) -> Iterator[FileReport]:
    """Yield a report for every task as it finishes; on any exception, also Ctrl-C, the workers clean up and stop."""
    waiting = list(reversed(tasks))
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool: dict[Connection, _Worker] = {}
    try:
        while waiting or pool:
            while waiting and len(pool) < workers:
                worker = _Worker(request, threads)
                pool[worker.connection] = worker
                worker.give(waiting.pop())
            for ready in wait(list(pool)):
                worker = pool[ready]  # type: ignore[index]
                message = worker.receive()
                if isinstance(message, tuple):
                    on_progress(worker.task, *message)
                    continue
                yield message
                if worker.alive and waiting:
                    worker.give(waiting.pop())
                else:
                    worker.stop()
                    del pool[worker.connection]
    finally:
        for worker in pool.values():
            worker.terminate()
        for worker in pool.values():
            worker.process.join()


class _Worker:
    """A worker process and the task it is on."""

    def __init__(self, request: SeparationRequest, threads: int):
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, request, threads), daemon=True)
        with _deaf_to_ctrl_c():
            self.process.start()
        theirs.close()
        self.alive = True
        self.task: FileTask

    def give(self, task: FileTask) -> None:
        self.task = task
        self.connection.send(task)

    def receive(self) -> FileReport | tuple[float, float]:
        """Progress or the report of the task; a report of failure when the process has died."""
        try:
            message: FileReport | tuple[float, float] = self.connection.recv()
            return message
        except (EOFError, OSError):
            self.alive = False
            self.process.join()
            return failed(self.task.source, f"the worker process died ({_cause(self.process.exitcode)})")

    def stop(self) -> None:
        self.connection.close()  # the worker sees the end of its tasks
        self.process.join()

    def terminate(self) -> None:
        self.process.terminate()


def _work(connection: Connection, request: SeparationRequest, threads: int) -> None:
    """Separate the tasks that come until the connection closes."""
    signal.signal(signal.SIGTERM, leave)
    import torch

    torch.set_num_threads(threads)
    warnings.showwarning = show_warning
    separator: Separator | None = None

    def report(done: float, known: float) -> None:
        connection.send((done, known))

    try:
        while True:
            task = connection.recv()
            try:
                separator = separator or request.separator()
            except SepkitError as error:  # the parent could load it, so memory is short or something was taken away
                connection.send(failed(task.source, f"a worker process could not load the method: {error}"))
            else:
                connection.send(separate_file(separator, request, task, report))
    except (EOFError, BrokenPipeError):
        pass  # the parent is done, or gone


def leave(number: int, frame: FrameType | None) -> None:
    """A signal handler that unwinds the stack, so that unfinished files are removed."""
    del number, frame
    sys.exit(exit_codes.TERMINATED)


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


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{name}, probably out of memory: use fewer --jobs" if name == "SIGKILL" else name
    return f"exit code {exit_code}"
