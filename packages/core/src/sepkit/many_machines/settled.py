"""What of a batch is to be done, and what is settled before anything is started."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cli.one_file import FileReport, failed
from ..cli.outputs import FileTask
from ..cli.request import SeparationRequest
from .addresses import StoreError, shown
from .manifest import Entry, Manifest
from .transfers import sizes_below, state_of

NOT_IN_THE_SOUND = {"device", "batch_windows", "overwrite", "skip_existing", "commercial"}
"""Fields of a request that do not choose what the outputs are; a device changes their last digits."""

_OF_THE_MACHINE = {"device", "device_reason", "precision_error_db"}
_VERSIONS = ("sepkit", "plugin")  # others change the last digits at most


@dataclass(frozen=True)
class Settled:
    """The tasks that are left, each with its entry, and the reports of the others."""

    left: list[tuple[FileTask, Entry]]
    reports: list[FileReport]


def settings_of(request: SeparationRequest, separator: Any) -> str:
    """A fingerprint of the method, its version and weights, the seed and every setting that the outputs depend on."""
    facts = separator.provenance() if hasattr(separator, "provenance") else {}
    facts = {key: value for key, value in facts.items() if key not in _OF_THE_MACHINE}
    facts["versions"] = [facts.get("versions", {}).get(name) for name in _VERSIONS]
    asked = request.model_dump(mode="json", exclude=NOT_IN_THE_SOUND)
    return hashlib.sha256(json.dumps([asked, facts], sort_keys=True, default=str).encode()).hexdigest()


def settle(
    tasks: Sequence[FileTask], request: SeparationRequest, settings: str, out: Path, manifest: Manifest
) -> Settled:
    """Leave out what the manifest says was made from the same input with the same settings, and is still there.

    Outputs that are there without being known are not replaced, unless the request says so. Raises StoreError where
    the folder of results cannot be listed.
    """
    there = sizes_below(out, [path for task in tasks for path in task.written.values()])
    left: list[tuple[FileTask, Entry]] = []
    reports: list[FileReport] = []
    for task in tasks:
        existing = [path for path in task.written.values() if path in there]
        known = manifest.get(key_of(task, out))
        try:
            state = state_of(task.source)
        except StoreError as error:
            reports.append(failed(shown(task.source), str(error)))
            continue
        if state is None:
            reports.append(failed(shown(task.source), "the file is gone"))
            continue
        new = Entry(key=key_of(task, out), source=shown(task.source), input=state, settings=settings, status="begun")
        same = known is not None and known.status == "done" and _same(known, new) and _intact(known, task, there)
        all_there = len(existing) == len(task.written)
        if not request.overwrite and (same or (request.skip_existing and all_there)):
            reports.append(skipped(task))
        elif existing and known is None and not (request.overwrite or request.skip_existing):
            reports.append(failed(shown(task.source), _taken(existing[0])))
        else:
            left.append((task, new))
    return Settled(left, reports)


def key_of(task: FileTask, out: Path) -> str:
    return task.provenance.relative_to(out).as_posix()


def skipped(task: FileTask) -> FileReport:
    outputs = {stem: shown(path) for stem, path in task.outputs.items()}
    return FileReport(input=shown(task.source), status="skipped", outputs=outputs, provenance=shown(task.provenance))


def _same(known: Entry, new: Entry) -> bool:
    return known.input == new.input and known.settings == new.settings


def _intact(known: Entry, task: FileTask, there: dict[Path, int]) -> bool:
    return all(
        what in known.files and there.get(path) == known.files[what].bytes for what, path in task.written.items()
    )


def _taken(path: Path) -> str:
    return (
        f"{shown(path)} is already there, and no manifest says from what; pass --overwrite, --skip-existing or "
        "another -o."
    )
