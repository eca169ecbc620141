"""The process of one method: builds it, separates track after track, and reports time and memory that are its own.

Talks JSON, one line each: a Job and then Tasks on standard input; Built, Separating, Progress, Done and Failed on what
was standard output. Whatever a method prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field

from ..config import Frozen
from ..data.stem_names import canonical_stem
from ..errors import OptionError, SepkitError
from .methods import Method
from .reference_points import REFERENCE_POINTS
from .score import MethodFacts

PROGRESS_SECONDS = 0.2  # between two reports


class Job(Frozen):
    """What to build, and the settings that hold for all tracks."""

    method: Method
    device: str = "auto"
    quality: str = "balanced"
    seed: int = 0
    uncertainty: int = 0  # further draws of a random method, whose spread is kept beside its stems; none below 2


class Task(Frozen):
    """One track: the mixture's file, the truths' files for a reference point, and the folder for the stems."""

    track: str
    mixture: str
    out: str
    truths: dict[str, str] = Field(default_factory=dict)


class Answer(Frozen):
    """One line from the worker; which fields are set depends on the event."""

    event: Literal["built", "separating", "progress", "done", "failed"]
    reason: str | None = None
    stems: tuple[str, ...] = ()
    facts: MethodFacts | None = None
    fraction: float | None = None
    audio_seconds: float | None = None
    compute_seconds: float | None = None
    peak_memory_megabytes: float | None = None
    baseline_megabytes: float | None = None
    peak_device_megabytes: float | None = None
    device: str | None = None
    threads: int | None = None


Separate = Callable[[Task, Callable[[Answer], None]], Answer]


def main() -> None:
    """Serve one job until standard input ends."""
    requests, answers = sys.stdin, _take_standard_output()

    def send(answer: Answer) -> None:
        answers.write(answer.model_dump_json(exclude_none=True) + "\n")
        answers.flush()

    job = Job.model_validate_json(requests.readline())
    try:
        built, separate = _build(job)
    except BaseException as error:
        send(_failure(error))
        raise SystemExit(1) from error
    send(built)
    for line in requests:
        try:
            send(separate(Task.model_validate_json(line), send))
        except Exception as error:
            send(_failure(error))


def peak_memory_megabytes() -> float:
    """Peak resident memory of this process in 10^6 bytes.

    Linux's VmHWM starts afresh in a new program; ru_maxrss, the fallback, does not: it begins at the parent's peak.
    """
    status = _status("VmHWM")
    if status is not None:
        return status
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _build(job: Job) -> tuple[Answer, Separate]:
    from ..audio import Audio  # brings torch: its memory belongs to the baseline, not to the method

    del Audio
    baseline = peak_memory_megabytes()
    if job.method.is_reference_point:
        point = REFERENCE_POINTS[job.method.name]()
        return Answer(event="built", facts=job.method.facts), _reference_point(point, baseline)
    separator = _build_separator(job)
    facts = facts_of(separator, job.method.facts, job.quality)
    names = canonical_names(separator.info.stems)
    return Answer(event="built", stems=tuple(names.values()), facts=facts), _separator(separator, job, names, baseline)


def _build_separator(job: Job) -> Any:
    method = job.method
    options = dict(method.options)
    if method.checkpoint is not None:
        options["checkpoint"] = method.checkpoint
    if method.factory is None:
        from ..registry import get_separator

        return get_separator(method.name, device=job.device, **options)
    module, colon, function = method.factory.partition(":")
    if not colon:
        raise OptionError(f"The factory {method.factory!r} names no function; write 'package.module:function'.")
    return getattr(importlib.import_module(module), function)(**options)


def facts_of(separator: Any, known: MethodFacts, quality: str) -> MethodFacts:
    """What a built separator says of itself, over what was known before; members it lacks change nothing."""
    info, model = separator.info, getattr(separator, "model", None)
    update: dict[str, Any] = {
        "kind": info.kind,
        "extra_training_data": info.extra_training_data,
        "trained": info.trained,
        "licence": info.licence,
    }
    parameters = getattr(separator if model is None else model, "parameters", None)
    if isinstance(parameters, int):
        update["parameters"] = parameters
    calls = getattr(model, "network_calls", None)
    if model is not None and callable(calls):
        with contextlib.suppress(SepkitError):  # a budget such as 30s has no settings until the track is known
            update["network_calls"] = int(calls(model.settings(int(quality) if quality.isdigit() else quality)))
    return known.model_copy(update=update)


def _reference_point(point: Any, baseline: float) -> Separate:
    def separate(task: Task, send: Callable[[Answer], None]) -> Answer:
        import numpy as np

        from ..audio import Audio

        mixture = Audio.read(task.mixture)
        truths = {stem: np.asarray(Audio.read(path).numpy(), np.float64) for stem, path in task.truths.items()}
        samples = np.asarray(mixture.numpy(), np.float64)
        send(Answer(event="separating"))
        started = time.perf_counter()
        estimates = point(samples, truths, mixture.sample_rate)
        done = _done(time.perf_counter() - started, mixture.seconds, baseline)
        _write({stem: Audio(x.astype(np.float32), mixture.sample_rate) for stem, x in estimates.items()}, task.out)
        return done.model_copy(update={"stems": tuple(estimates)})

    return separate


def canonical_names(stems: Sequence[str]) -> dict[str, str]:
    """A method's stem names to those that tracks use (`no_vocals` to `accompaniment`), unless two would become one."""
    names = {stem: canonical_stem(stem) or stem for stem in stems}
    return names if len(set(names.values())) == len(names) else {stem: stem for stem in stems}


def _separator(separator: Any, job: Job, names: Mapping[str, str], baseline: float) -> Separate:
    def separate(task: Task, send: Callable[[Answer], None]) -> Answer:
        from ..audio import Audio

        mixture = Audio.read(task.mixture)
        send(Answer(event="separating"))
        started = time.perf_counter()
        stems = separator.separate(mixture, seed=job.seed, quality=job.quality, progress=_reporter(send))
        done = _done(time.perf_counter() - started, mixture.seconds, baseline, separator)
        if job.uncertainty > 1 and separator.info.random:
            _keep_spread(separator, mixture, job, task, names)
        named = {names.get(stem, stem): audio for stem, audio in stems.items()}
        _write(named, task.out)
        provenance = json.dumps(stems.provenance, indent=2, ensure_ascii=False, default=str)
        (Path(task.out) / "provenance.json").write_text(provenance + "\n", encoding="utf-8")
        return done.model_copy(update={"stems": tuple(named)})

    return separate


def _keep_spread(separator: Any, mixture: Any, job: Job, task: Task, names: Mapping[str, str]) -> None:
    """Draw again, as often as asked, for the map of uncertainty alone: scores and times are those of one separation."""
    from ..uncertainty import FILE_NAME, save_uncertainty, separate_samples

    drawn = separate_samples(separator, mixture, samples=job.uncertainty, seed=job.seed, quality=job.quality)
    maps = {names.get(stem, stem): one for stem, one in drawn.uncertainty.items()}
    save_uncertainty(maps, Path(task.out) / FILE_NAME, overwrite=True)


def _reporter(send: Callable[[Answer], None]) -> Callable[[float, float], None]:
    last = time.perf_counter()

    def report(done: float, total: float) -> None:
        nonlocal last
        if total > 0 and time.perf_counter() - last > PROGRESS_SECONDS:
            last = time.perf_counter()
            send(Answer(event="progress", fraction=min(1.0, done / total)))

    return report


def _done(compute_seconds: float, audio_seconds: float, baseline: float, separator: Any = None) -> Answer:
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0
    device = getattr(separator, "device", None)
    return Answer(
        event="done",
        audio_seconds=audio_seconds,
        compute_seconds=compute_seconds,
        peak_memory_megabytes=peak_memory_megabytes(),
        baseline_megabytes=baseline,
        peak_device_megabytes=torch.cuda.max_memory_allocated() / 1e6 if torch is not None and on_gpu else None,
        device=str(device) if device is not None else "cpu",
        threads=torch.get_num_threads() if torch is not None and separator is not None else None,
    )


def _write(stems: Mapping[str, Any], folder: str) -> None:
    """Float WAV, which reads back bit for bit: what is scored is what was separated."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for stem, audio in stems.items():
        audio.write(Path(folder) / f"{stem}.wav", bits="float", overwrite=True)


def _failure(error: BaseException) -> Answer:
    traceback.print_exception(error)
    text = str(error) or "no message"
    return Answer(event="failed", reason=text if isinstance(error, SepkitError) else f"{type(error).__name__}: {text}")


def _take_standard_output() -> IO[str]:
    """Standard output for answers only; prints of methods, even of their C libraries, go to standard error."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _status(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024 / 1e6  # the kernel's kB are 1024 bytes
    return None


if __name__ == "__main__":
    main()
