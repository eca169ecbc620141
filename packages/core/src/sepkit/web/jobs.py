"""Separations one after another: each with a folder of its own, that can be watched, cancelled and forgotten."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..cli.request import SeparationRequest
from ..errors import SepkitError
from ..separator import Separator
from .limits import Busy, Limits, NoSuchJob, NotReady
from .results import PLAYERS, ZIP, separate_into
from .separators import Separators
from .uploads import check_sound, receive, safe_name, without_folder
from .wishes import Wishes

State = Literal["waiting", "running", "done", "failed", "cancelled"]
LOG = logging.getLogger("sepkit.web")
SWEEP_SECONDS = 20.0


class Cancelled(BaseException):
    """Unwinds a separation; no plugin's `except Exception` catches it."""


@dataclass
class Job:
    """One file to separate, what was asked of it and what became of it."""

    id: str
    session: str
    folder: Path
    source: Path
    request: SeparationRequest
    players: bool
    audio_seconds: float
    state: State = "waiting"
    doing: str = ""
    done_seconds: float = 0.0
    started: float = 0.0
    seconds: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    clipped_samples: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    kind: str | None = None  # the class of the error
    touched: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    gone: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")

    def advance(self, done_seconds: float, known_seconds: float) -> None:
        """The progress callback of its separation; raises Cancelled where somebody asked for that."""
        if self.stop.is_set():
            raise Cancelled
        if math.isfinite(known_seconds) and known_seconds > 0:
            self.done_seconds = self.audio_seconds * min(1.0, done_seconds / known_seconds)


class Jobs:
    """A queue of separations, run in turn by one thread, in a folder that vanishes with `close()`.

    Its methods may be called from any thread. They raise a Refusal for what the limits do not allow and for jobs that
    are not there, and a SepkitError for settings that are wrong.
    """

    def __init__(self, limits: Limits | None = None, *, device: str = "auto"):
        self.limits = limits or Limits()
        self.device = device
        self.folder = Path(tempfile.mkdtemp(prefix="sepkit-serve-"))  # which only its owner may enter
        self.uploads = self.folder / "uploads"  # of the page, until they become jobs
        self._separators = Separators()
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._work, self._sweep)]
        for thread in self._threads:
            thread.start()

    def check(self, wishes: Wishes) -> tuple[Separator, tuple[str, ...]]:
        """The method that these settings name and what it would write; raises what is wrong with them."""
        request = wishes.request(self.limits, self.device)
        separator = self._separators.get(request)
        request.try_on(separator)
        return separator, request.written_stems(separator.info.stems)

    def submit(self, stream: IO[bytes], name: str | None, wishes: Wishes, *, session: str | None = None) -> Job:
        """Take a file into the queue once it has been looked at; on any error nothing of it is left."""
        source_name = safe_name(name)
        request = wishes.request(self.limits, self.device)
        with self._lock:
            waiting = sum(not job.ended for job in self._jobs.values())
        if waiting >= self.limits.max_waiting:
            raise Busy(f"{waiting} separations are waiting already; try again later.")
        key = secrets.token_urlsafe(16)
        folder = self.folder / key  # of our own making: no name that a client chose is a path
        folder.mkdir()
        try:
            source = folder / source_name
            receive(stream, source, self.limits)
            seconds = check_sound(source, self.limits)
            self.check(wishes)
        except BaseException:
            _remove(folder)
            raise
        job = Job(key, session or key, folder, source, request, wishes.players, seconds)
        with self._lock:
            self._jobs[key] = job
        self._queue.put(job)
        return job

    def get(self, key: str) -> Job:
        """The job of that id, which thereby lives on; raises NoSuchJob."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                raise NoSuchJob(
                    f"There is no job {key[:40]!r} here (any more): results are kept for "
                    f"{self.limits.keep_minutes:g} minutes after they were last asked for."
                )
            job.touched = time.monotonic()
            return job

    def status(self, key: str) -> dict[str, Any]:
        """What is known of a job, as JSON values."""
        job = self.get(key)
        with self._lock:
            ahead = [other for other in self._jobs.values() if not other.ended]
        seconds = time.monotonic() - job.started if job.state == "running" else job.seconds
        return {
            "job": job.id,
            "state": job.state,
            "doing": job.doing,
            "ahead": ahead.index(job) if job.state == "waiting" and job in ahead else 0,
            "audio_seconds": round(job.audio_seconds, 6),
            "done_seconds": round(job.done_seconds, 3),
            "seconds": round(seconds, 3),
            "outputs": dict(job.outputs),
            "clipped_samples": dict(job.clipped_samples),
            "error": job.error,
            "kind": job.kind,
        }

    def file(self, key: str, name: str) -> Path:
        """The zip (`result.zip`) or the players (`players.html`) of a job; raises NotReady where it has none."""
        job = self.get(key)
        path = job.folder / name
        if job.state != "done" or name not in (ZIP, PLAYERS) or not path.is_file():
            raise NotReady(f"The job is {job.state}, so it has no {name}." + (f" {job.error}" if job.error else ""))
        return path

    def cancel(self, key: str) -> Job:
        """Stop a job: at once while it waits, else at the end of the window it is at."""
        job = self.get(key)
        with self._lock:
            job.stop.set()
            if job.state == "waiting":
                job.state = "cancelled"
        return job

    def forget(self, key: str) -> None:
        """Stop a job and delete all there is of it; raises NoSuchJob."""
        self._forget(self.cancel(key))

    def cancel_session(self, session: str) -> None:
        """Cancel all jobs of a session."""
        for job in self._of(session):
            self.cancel(job.id)

    def forget_session(self, session: str) -> None:
        """Forget all jobs of a session."""
        for job in self._of(session):
            job.stop.set()
            self._forget(job)

    def _of(self, session: str) -> list[Job]:
        with self._lock:
            return [job for job in self._jobs.values() if job.session == session]

    def close(self) -> None:
        """Stop everything and delete the folder."""
        if self._closed.is_set():
            return
        self._closed.set()
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()
        self._queue.put(None)
        self._threads[0].join(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
            job.gone = True
            busy = job.state == "running"
        if not busy:  # else the thread that works in the folder deletes it
            _remove(job.folder)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.gone or job.stop.is_set():
                    continue
                job.state, job.started = "running", time.monotonic()
            state = self._run(job)
            with self._lock:
                job.seconds, job.doing = time.monotonic() - job.started, ""
                job.state = state
            if state != "done" or job.gone:
                _remove(job.folder)

    def _run(self, job: Job) -> State:
        """Separate; the state it ends in."""
        try:
            job.doing = "loading the method"
            separator = self._separators.get(job.request)
            job.advance(0.0, 0.0)
            job.doing = "separating"
            result = separate_into(job.folder, separator, job.request, job.source, job.advance)
            if job.players:
                job.doing = "making the players"
                result.write_players(job.folder, self.limits.players_minutes * 60)
            job.advance(0.0, 0.0)
        except Cancelled:
            return "cancelled"
        except Exception as error:
            told = isinstance(error, SepkitError)
            if not told:
                LOG.exception("a separation failed")
            text = str(error) if told else f"{type(error).__name__}: {error}"
            job.error, job.kind = without_folder(text, job.source), type(error).__name__
            return "failed"
        job.outputs, job.clipped_samples = result.files, result.clipped_samples
        job.done_seconds = job.audio_seconds
        return "done"

    def _sweep(self) -> None:
        """Forget what nobody has asked for in a long while."""
        keep_seconds = self.limits.keep_minutes * 60
        while not self._closed.wait(min(SWEEP_SECONDS, keep_seconds / 2)):
            with self._lock:
                old = [job for job in self._jobs.values() if time.monotonic() - job.touched > keep_seconds]
            for job in old:
                job.stop.set()
                self._forget(job)
            for path in [path for path in self.uploads.rglob("*") if path.is_file()]:
                with contextlib.suppress(OSError):  # someone else may just have deleted it
                    if time.time() - path.stat().st_mtime > keep_seconds:
                        path.unlink()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
