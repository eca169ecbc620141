"""`sepkit separate --engine ray`: the same files, separated by the workers of a cluster."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..cli.batch import Batch
from ..cli.inputs import Sources
from ..cli.one_file import FileReport, failed
from ..cli.outputs import FileTask
from ..cli.progress import BatchProgress
from ..cli.terminal import print_note, show_warning
from ..errors import OptionError
from .addresses import address_of, check_shared, local, shown
from .attempts import Attempt, Outcome, SeparatingSettings, SeparatingWorker, clear
from .cluster import Crew, connected, hire, nodes_of
from .manifest import Entry, Manifest
from .settled import Settled, settings_of, settle, skipped
from .spreading import RETRIES, spread
from .transfers import forget


@dataclass(frozen=True)
class RayBatch(Batch):
    """A batch that a cluster separates; `address` None: this machine. `workers` None: as many as there is room for."""

    address: str | None = None
    workers: int | None = None

    def check_method(self) -> None:
        """Raise what is wrong with the request before anything is loaded."""
        super().check_method()
        if self.request.device.startswith("cuda:"):
            raise OptionError(f"--device {self.request.device}: Ray deals out the GPUs; write --device cuda.")
        address = address_of(local(self.out))
        if address is not None:
            check_shared(address)

    def _reports(self, sources: Sources) -> Iterator[FileReport]:
        whole = replace(self, out=local(self.out))
        separator, tasks = whole._planned(sources)
        settings = settings_of(self.request, separator)
        device = str(getattr(separator, "device", "cpu"))
        if hasattr(separator, "close"):
            separator.close()  # it was here to check the request; every worker loads its own
        with (
            _alone(whole.out),
            Manifest(whole.out) as manifest,
            BatchProgress(len(tasks), quiet=self.quiet) as progress,
        ):
            settled = settle(tasks, self.request, settings, whole.out, manifest)
            for report in settled.reports:
                progress.finish(report.input)
                yield self._shown(report, progress)
            for report in whole._separated(settled, manifest, device) if settled.left else ():
                progress.finish(report.input)
                yield self._shown(report, progress)

    def _separated(self, settled: Settled, manifest: Manifest, device: str) -> Iterator[FileReport]:
        left = {entry.key: (task, entry) for task, entry in settled.left}
        run = uuid.uuid4().hex[:12]
        tokens = {key: f"{run}-{number}" for number, key in enumerate(left)}
        try:
            with connected(self.address, self.workers) as ray:
                crew = self._crew(ray, len(left), device)
                if not self.quiet:
                    files = f"{len(left)} file{'' if len(left) == 1 else 's'}"
                    print_note(f"Separating {files} with {self.request.model} on {crew.words}.")
                manifest.add(*(entry for _, entry in left.values()))
                work = partial(SeparatingWorker, SeparatingSettings(self.request, _threads(crew)))
                attempts = [self._attempt(task, tokens[key]) for key, (task, _) in left.items()]
                keys = {token: key for key, token in tokens.items()}
                for attempt, outcome in spread(ray, work, attempts, crew, RETRIES):
                    task, entry = left.pop(keys[attempt.token])
                    yield _concluded(task, entry, outcome, manifest)
        finally:
            if left:  # interrupted: the workers are gone, perhaps in the middle of a file
                time.sleep(1.0)
                for key, (task, _) in left.items():
                    clear(task)
                    forget(filter(None, map(address_of, task.written.values())), tokens.get(key, ""))

    def _crew(self, ray: Any, tasks: int, device: str) -> Crew:
        kind = self.request.device
        gpus = True if kind == "cuda" else None if kind == "auto" and device != "mps" else False
        return hire(nodes_of(ray), self.workers, tasks, gpus=gpus)

    def _attempt(self, task: FileTask, token: str) -> Attempt:
        """The task for a process whose current folder may be another."""

        def absolute(path: Path) -> Path:
            return path if address_of(path) else path.absolute()

        outputs = {stem: absolute(path) for stem, path in task.outputs.items()}
        maps = None if task.uncertainty is None else absolute(task.uncertainty)
        whole = FileTask(absolute(task.source), outputs, absolute(task.provenance), maps)
        return Attempt(whole, absolute(self.out), token)


def _concluded(task: FileTask, entry: Entry, outcome: Outcome | None, manifest: Manifest) -> FileReport:
    """Write down what became of a file; the report with paths as the user wrote them."""
    if outcome is None:
        clear(task)
        report = failed(
            shown(task.source),
            f"its worker died {RETRIES + 1} times, killed or out of memory: use fewer --jobs, or look at the file",
        )
    else:
        for warning in outcome.warnings:
            show_warning(f"{shown(task.source)}: {warning}")
        places = skipped(task).model_dump(include={"input", "outputs", "provenance"})
        report = outcome.report.model_copy(
            update=places if outcome.report.status == "done" else {"input": places["input"]}
        )
    done = report.status == "done" and outcome is not None
    update = (
        {"status": "done", "files": outcome.files} if done and outcome else {"status": "failed", "error": report.error}
    )
    manifest.add(entry.model_copy(update=update))
    return report


def _threads(crew: Crew) -> int:
    """Of torch in each worker: so many as the user says, as it may choose last digits, or as it has cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) > 0 else crew.cores


def _alone(out: Path) -> Any:
    """Keep another run out of a folder of this machine."""
    from ..evaluation.out_guard import alone_in

    return alone_in(out) if address_of(out) is None else nullcontext()
