"""`sepkit separate --server URL`: the same files on disk, separated elsewhere."""

from __future__ import annotations

import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AudioError, LicenceError, NonFiniteOutput, OptionError, SepkitError
from ..file_separation import committed_together
from ..formats import file_format
from ..web.client import RemoteServer, ServerError
from ..web.limits import Limits
from ..web.wishes import Wishes
from .batch import Batch
from .inputs import Sources
from .one_file import Done, FileReport, reported
from .outputs import FileTask, Layout, plan
from .progress import BatchProgress
from .request import SeparationRequest
from .terminal import print_note

POLL_SECONDS = (0.1, 1.0)  # at first, and after a while
PATIENCE_SECONDS = 30.0  # with a server that has gone away in the middle


@dataclass(frozen=True)
class RemoteBatch(Batch):
    """A batch whose files are sent to a server, one after another."""

    server: str = ""

    def check_method(self) -> None:
        """The server knows its methods; what cannot be asked of it is refused here."""
        request = self.request
        local = {
            "--checkpoint": request.checkpoint is not None,
            "--device": request.device != "auto",
            "--precision": request.precision != "fp32",
            "--batch": request.batch_windows is not None,
            "--jobs": self.jobs != 1,
        }
        refused = [name for name, given in local.items() if given]
        if refused:
            raise OptionError(f"{' and '.join(refused)}: with --server that is up to the server; leave it out.")

    def _reports(self, sources: Sources) -> Iterator[FileReport]:
        server, wishes = RemoteServer(self.server), wishes_of(self.request)
        answer = server.check(wishes)
        stems = tuple(str(stem) for stem in answer["stems"])
        bounds = Limits.model_validate(answer["limits"])
        extension = file_format(self.request.format).suffixes[0]
        spread = self.request.uncertainty is not None
        tasks = plan(sources.found, Layout(self.out, self.template, self.request.model, stems, extension, spread))
        if not self.quiet:
            files = f"{len(tasks)} file{'' if len(tasks) == 1 else 's'}"
            print_note(f"Separating {files} with {self.request.model} on {server.url}.")
        with BatchProgress(len(tasks), quiet=self.quiet) as progress:
            for task in tasks:

                def advance(done: float, known: float, task: FileTask = task) -> None:
                    progress.advance(str(task.source), done, known)

                def work(overwrite: bool, task: FileTask = task, advance: Any = advance) -> Done:
                    return separate_remotely(server, wishes, bounds, task, overwrite, advance)

                report = reported(self.request, task, work)
                progress.finish(report.input)
                yield self._shown(report, progress)


def wishes_of(request: SeparationRequest) -> Wishes:
    """The part of a request that is sent."""
    return Wishes(**{name: value for name, value in request.model_dump().items() if name in Wishes.model_fields})


def separate_remotely(
    server: RemoteServer,
    wishes: Wishes,
    bounds: Limits,
    task: FileTask,
    overwrite: bool,
    progress: Callable[[float, float], None],
) -> Done:
    """Send one file, wait for its stems and write them; whatever happens, the server forgets it afterwards.

    All files of the task appear, or none. Raises what the server raised, and ServerError.
    """
    job = server.submit(task.source, wishes, bounds)
    try:
        status = _awaited(server, job, progress)
        with (
            tempfile.TemporaryDirectory(prefix="sepkit-") as folder,
            committed_together(list(task.written.values()), overwrite) as partial,
        ):
            packed = Path(folder, "result.zip")
            server.fetch(job, packed)
            _unpack(packed, status["outputs"], {what: partial[path] for what, path in task.written.items()})
            _rename_in_record(partial[task.provenance], task)
    finally:
        with suppress(SepkitError, OSError):
            server.forget(job)
    return Done(float(status["audio_seconds"]), dict(status["clipped_samples"]))


def _awaited(server: RemoteServer, job: str, progress: Callable[[float, float], None]) -> dict[str, Any]:
    """The status of a job that is done; raises the error of one that is not to be."""
    started = answered = time.monotonic()
    while True:
        try:
            status = server.status(job)
            answered = time.monotonic()
        except ServerError:
            if time.monotonic() - answered > PATIENCE_SECONDS:
                raise
            time.sleep(POLL_SECONDS[1])
            continue
        if status["state"] == "done":
            return status
        if status["state"] in ("failed", "cancelled"):
            raise _failure(server, status)
        progress(float(status["done_seconds"]), float(status["audio_seconds"]))
        time.sleep(POLL_SECONDS[time.monotonic() - started > 5])


def _failure(server: RemoteServer, status: Mapping[str, Any]) -> SepkitError:
    message = f"{server.url}: {status['error'] or 'the job was cancelled there.'}"
    known = {kind.__name__: kind for kind in (AudioError, LicenceError, NonFiniteOutput, OptionError)}
    return known.get(str(status["kind"]), ServerError)(message)


def _unpack(packed: Path, names: Mapping[str, str], wanted: Mapping[str, Path]) -> None:
    """Write the zip's members, by what they hold, to places of our own choosing."""
    try:
        with zipfile.ZipFile(packed) as archive:
            for what, path in wanted.items():
                with archive.open(names[what]) as member, path.open("wb") as file:
                    while chunk := member.read(1 << 20):
                        file.write(chunk)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ServerError(f"The server's result lacks files or is damaged ({error}). Try again.") from error


def _rename_in_record(path: Path, task: FileTask) -> None:
    """The record speaks of the files here, as that of a local run does."""
    record = json.loads(path.read_text(encoding="utf-8"))
    record["source"] = task.source.name
    for stem, output in task.outputs.items():
        record["files"][stem]["file"] = output.name
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
