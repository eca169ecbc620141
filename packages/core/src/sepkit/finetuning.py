"""Fine-tuning a method on stems of one's own: what is common to all methods, before and after their training.

A method takes part by an entry point of the group `sepkit.finetuners`: its name → a function that takes a
FineTuneRequest and returns a FineTuner. The core finds and checks the songs, foretells the time and compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from .checkpoint import CheckpointHeader, read_header
from .config import Frozen
from .errors import CheckpointError, DatasetError, OptionError, UnknownNameError, nearest
from .finetuning_songs import own_stems_spec
from .partial_files import write_text
from .plugins import announced, load
from .registry import list_separators, local_checkpoint

if TYPE_CHECKING:
    from .data.checking import DatasetReport, Watch

GROUP = "sepkit.finetuners"
STEM = re.compile(r"[a-z][a-z0-9_-]*")
REQUEST_FILE = "finetune.json"
UNKNOWN_LICENCE = "unknown: made from a user's own recordings, which say what is allowed"


class FineTuneRequest(Frozen):
    """What is to be learnt, from what, and where it goes; `dataset` is a spec whose splits train and valid hold songs.

    `stems` are new ones. `checkpoint` is the folder that the training starts from. `options` are the method's own.
    """

    method: str
    checkpoint: str
    stems: tuple[str, ...] = Field(min_length=1)
    dataset: str
    out: str
    licence: str = UNKNOWN_LICENCE
    seed: int = 0
    options: dict[str, Any] = Field(default_factory=dict)


class FineTuner(Protocol):
    """A training that is ready to begin, or to go on in the request's `out`.

    `begin` writes the checkpoint `out/before`: the grown network, untrained. `train` writes `out/best`, with its model
    card, and goes on where an interrupted run of the same request stopped. Both load as checkpoints of the method.
    """

    def begin(self) -> Path: ...

    def predicted_seconds(self, steps: int) -> float:
        """How long `train(steps)` will take here, its looks at the held-out song included, by a few timed steps."""
        ...

    def train(self, steps: int) -> Path: ...


@dataclass(frozen=True)
class Prepared:
    """A request whose songs were found to be usable, and the stems that it starts from."""

    request: FineTuneRequest
    header: CheckpointHeader
    report: DatasetReport

    @property
    def stems(self) -> tuple[str, ...]:
        """All stems of the result: those that it had, then the new ones."""
        return (*self.header.info.stems, *self.request.stems)


def prepare(
    method: str,
    folder: str | Path,
    stems: Sequence[str],
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    show: Callable[[DatasetReport], None] | None = None,
    watch: Watch | None = None,
    **fields: Any,
) -> Prepared:
    """Check everything that can be checked before a training: method, names, songs; `show` gets the dataset's report.

    Raises UnknownNameError for a method that cannot be fine-tuned, OptionError for names that will not do, and
    DatasetError where the songs would spoil the training, or a new stem is heard in none of them.
    """
    tuners = announced(GROUP)
    if method not in tuners:
        raise UnknownNameError(f"No method {method!r} can be fine-tuned: {nearest(method, tuners)}")
    start = _start(method, checkpoint)
    header = read_header(start)
    new = _checked_stems(stems, header.info.stems)
    spec = own_stems_spec((*header.info.stems, *new), folder)
    request = FineTuneRequest(method=method, checkpoint=str(start), stems=new, dataset=spec, out=str(out), **fields)
    _check_songs(spec, new, folder)
    from .data.checking import check_dataset

    report = check_dataset(spec, ("train", "valid"), watch=watch)
    if show is not None:
        show(report)
    _check_report(report, new, folder)
    return Prepared(request, header, report)


def tuner_of(prepared: Prepared) -> FineTuner:
    """The method's own part of it. Raises PluginError where it cannot be imported."""
    method = prepared.request.method
    make = load(f"The fine-tuning of {method!r}", announced(GROUP)[method])
    tuner: FineTuner = make(prepared.request)
    return tuner


def settled_steps(prepared: Prepared, tuner: FineTuner, steps: int | None, minutes: float | None) -> int:
    """The number of steps: as given, as many as fit into `minutes`, or else 600; a run that goes on keeps its number.

    The request is written to `out/finetune.json`. Raises CheckpointError where `out` holds a run of another request.
    """
    path = Path(prepared.request.out) / REQUEST_FILE
    asked = prepared.request.model_dump(mode="json")
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        for key, value in asked.items():
            if earlier["request"].get(key) != value:
                raise CheckpointError(
                    f"{path.parent} holds a fine-tuning with {key}={earlier['request'].get(key)!r}, and now {value!r} "
                    "was given: give another --out, or what was given then."
                )
        if steps is None:
            return int(earlier["steps"])
    if steps is None:
        steps = DEFAULT_STEPS if minutes is None else _steps_in(tuner, 60 * minutes)
    write_text(path, json.dumps({"request": asked, "steps": steps}, indent=2) + "\n")
    return steps


DEFAULT_STEPS = 600


def _steps_in(tuner: FineTuner, seconds: float) -> int:
    """The most steps that fit; the time is a straight line over the number of steps, which two points give."""
    few, many = tuner.predicted_seconds(100), tuner.predicted_seconds(1100)
    steps = int(100 + (seconds - few) / max(1e-9, (many - few) / 1000))
    if steps < 1:
        raise OptionError(
            f"{seconds / 60:g} minutes are too few: the looks at the held-out song alone take about "
            f"{(few - (many - few) / 10) / 60:.1f}. Give more."
        )
    return steps


def _start(method: str, checkpoint: str | Path | None) -> Path:
    if checkpoint is not None:
        return Path(local_checkpoint(checkpoint)).resolve()
    shipped = {one.name: one.config_path for one in list_separators()}.get(method)
    if shipped is None:
        raise CheckpointError(f"{method!r} ships no weights here to start from; give a folder with --checkpoint.")
    return shipped.parent


def _checked_stems(stems: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(stem.strip().lower() for stem in stems if stem.strip())
    if not names:
        raise OptionError("No stem was given: name at least one new one, for example --stems tabla,violin.")
    for name in names:
        if not STEM.fullmatch(name) or name == "mixture":
            raise OptionError(f"{name!r} is no name for a stem: small letters, digits, - and _, a letter first.")
        if names.count(name) > 1 or name in known:
            what = "is named twice" if names.count(name) > 1 else "is there already"
            raise OptionError(f"The stem {name!r} {what}; the network has {', '.join(known)}. Name new ones only.")
    return names


def _check_songs(spec: str, stems: Sequence[str], folder: str | Path) -> None:
    """Raise DatasetError unless there are songs to learn from and one held out: before any sound is read."""
    from .data.opening import open_dataset

    everything = open_dataset(spec)
    if len(everything) < 2:
        raise DatasetError(
            f"{folder} has one song, {everything[0].name}: two at least are needed, one of them held out to judge by."
        )
    for split, why in (("train", "learnt from"), ("valid", "judged by")):
        songs = open_dataset(spec, split)
        heard = {stem for song in songs for stem in song.stems}
        missing = [stem for stem in stems if stem not in heard]
        if missing and (split == "train" or len(missing) == len(stems)):
            raise DatasetError(
                f"No song to be {why} ({', '.join(song.name for song in songs)}) has a file for {missing[0]!r}; its "
                f"stems are {', '.join(sorted(heard))}."
            )


def _check_report(report: DatasetReport, stems: Sequence[str], folder: str | Path) -> None:
    problems = report.of("problem")
    if problems:
        about = f"{problems[0].song}: " if problems[0].song else ""
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise DatasetError(f"{folder} would spoil the training: {about}{problems[0].text}{more}. Mend that first.")
    for stem in stems:
        found = [song.stems[stem] for song in report.songs if song.split == "train" and stem in song.stems]
        if all(facts.is_silent for facts in found):
            raise DatasetError(f"{stem!r} is silent in every song that is learnt from; give songs where it sounds.")
