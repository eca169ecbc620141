"""What a separation holds: its promises, sums, selections, progress, provenance, and files that keep every bit."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import torch

from ...audio import Audio
from ...errors import OptionError
from ...host import HostedSeparator
from ...separator import Consistency, WindowSettings
from ..promises import check_promises, check_same, require
from ..subject import Subject
from .case import CaseList

RESULTS = CaseList()

CONSISTENCIES: dict[str, Consistency] = {"uniform": "uniform", "energy": "energy", "wiener": "wiener"}
NAMED_QUALITIES = ("fast", "balanced", "best")


PROVENANCE_KEYS = ("method", "model", "versions", "quality", "seed", "consistency", "stems")
HOSTED_KEYS = ("device", "precision", "settings", "window_samples", "hop_samples", "input", "compute_seconds")
"""What the host knows besides, because it is the one that runs the model."""


@RESULTS.case
def promises(subject: Subject) -> None:
    """Over several windows: stems as named in info, finite float32 of the mixture's format, residual that completes."""
    info = subject.info
    check_promises(info, subject.reference_mixture, subject.reference, sums=info.sums_to_mixture)


@RESULTS.sweep(CONSISTENCIES)
def consistency(subject: Subject, kind: Consistency) -> None:
    """With mixture consistency the stems of every method sum to the mixture, at any rate and channel count."""
    info = subject.info
    mixture = subject.mixture(subject.some_samples)
    check_promises(info, mixture, subject.separate(mixture, consistency=kind), sums=True)
    other = subject.mixture(
        subject.some_samples, sample_rate=48_000 if info.sample_rate != 48_000 else 44_100, channels=3
    )
    check_promises(info, other, subject.separate(other, consistency=kind), sums=True)


@RESULTS.case
def consistency_of_silence(subject: Subject) -> None:
    """Mixture consistency divides by no energy: silence stays finite and sums to silence."""
    mixture = Audio(torch.zeros(subject.info.channels, subject.some_samples), subject.info.sample_rate)
    for kind in CONSISTENCIES.values():
        check_promises(subject.info, mixture, subject.separate(mixture, consistency=kind), sums=True)


@RESULTS.case
def stem_selection(subject: Subject) -> None:
    """Asking for one stem gives that one alone, with the samples it has among all, in the order that was asked."""
    whole = subject.reference
    for wanted in ((subject.info.stems[-1],), tuple(reversed(subject.info.stems))):
        stems = subject.separate(subject.reference_mixture, stems=wanted)
        check_promises(subject.info, subject.reference_mixture, stems, wanted=wanted)
        same = type(whole)({name: whole[name] for name in wanted}, residual=whole.residual, provenance=whole.provenance)
        check_same(f"asked for as {wanted}", stems, "that among all", same, exactly=False)


@RESULTS.case
def qualities(subject: Subject) -> None:
    """`fast`, `balanced` and `best` have settings, the same each time; so have steps, or OptionError refuses them."""
    model = subject.model
    for quality in (*NAMED_QUALITIES, 2):
        try:
            settings = model.settings(quality)
        except OptionError:
            require(isinstance(quality, int), f"the quality {quality!r} is refused: every method has it")
            continue
        kind = type(settings).__name__
        require(isinstance(settings, WindowSettings), f"settings({quality!r}) is a {kind}, no WindowSettings")
        require(settings == model.settings(quality), f"settings({quality!r}) differ from call to call")


@RESULTS.case
def progress(subject: Subject) -> None:
    """Progress rises to the length of the track in seconds."""
    mixture = subject.mixture(subject.window_samples + 1)
    calls: list[tuple[float, float]] = []
    subject.separate(mixture, progress=lambda done, total: calls.append((done, total)))
    require(len(calls) > 0, "progress was never called")
    done = [seconds for seconds, _ in calls]
    require(done == sorted(done), f"progress goes backwards: {done}")
    for what, seconds in zip(("done", "total"), calls[-1], strict=True):
        require(
            math.isclose(seconds, mixture.seconds, rel_tol=1e-6),
            f"the last progress call gives {seconds:.6f} s as {what}, wanted the track's {mixture.seconds:.6f} s",
        )


@RESULTS.case
def provenance(subject: Subject) -> None:
    """Provenance is complete JSON: which method, at which version, with which settings and seed made the stems."""
    facts = subject.separate(subject.mixture(subject.some_samples), seed=11).provenance
    try:
        plain = json.loads(json.dumps(facts, allow_nan=False))
    except (TypeError, ValueError) as error:
        require(False, f"provenance is no strict JSON: {error}")
    require(plain == facts, "provenance comes back from JSON changed: use text keys, and lists for tuples")
    wanted = PROVENANCE_KEYS + (HOSTED_KEYS if isinstance(subject.given, HostedSeparator) else ())
    missing = [key for key in wanted if key not in plain]
    require(not missing, f"provenance lacks {', '.join(missing)}")
    require(plain["seed"] == 11, f"provenance has the seed {plain['seed']!r}, but 11 was given")
    require(subject.info.name in json.dumps(plain), f"provenance does not name the method {subject.info.name!r}")


@RESULTS.case
def saved_and_read_again(subject: Subject) -> None:
    """Stems saved as float wav come back bit for bit, also above full scale, with their provenance beside them."""
    loud = Audio(4.0 * subject.mixture(subject.some_samples).samples, subject.info.sample_rate)
    stems = subject.separate(loud)
    with tempfile.TemporaryDirectory() as folder:
        paths = stems.save(folder, format="wav", bits="float")
        require(tuple(paths) == tuple(stems), f"save wrote {tuple(paths)}, wanted {tuple(stems)}")
        for name, path in paths.items():
            again = Audio.read(path)
            require(again.sample_rate == loud.sample_rate, f"{name} came back at {again.sample_rate} Hz")
            require(torch.equal(again.samples, stems[name].samples), f"stem {name!r} changed by saving it as float wav")
        written = json.loads((Path(folder) / "provenance.json").read_text(encoding="utf-8"))
    require(written["seed"] == stems.provenance["seed"], "provenance.json has another seed than the stems")
