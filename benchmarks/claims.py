"""Published claims against ours: `python -m benchmarks.run --paper ismir22-table1,… | all` is thin over `run_claims`.

An absolute number is only ever tested on the paper's own data. A difference between two systems may be tested on other
songs, and says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sepkit.errors import SepkitError
from sepkit.evaluation.command import choose_methods
from sepkit.evaluation.harness import RunSettings
from sepkit.evaluation.methods import Method, available_methods
from sepkit.evaluation.progress import RunProgress
from sepkit.evaluation.recipe import RECIPES, Aggregate
from sepkit.evaluation.statistics import Interval, difference_interval, mean_interval
from sepkit.partial_files import write_text

from .claims_runs import (
    SUBSTITUTE,
    Found,
    RunFolder,
    is_own_data,
    needed_run,
    other_weights,
    parameters_of,
    parse_data,
    run_folders,
)
from .claims_schema import PARAMETERS, Claim, Ledger, Ours, RelativeClaim, Selection, read_ledger
from .claims_verdict import Decision, Verdict, judge_count, judge_difference, judge_number

ENVIRONMENT = "SEPKIT_DATA_"
"""SEPKIT_DATA_MUSDB18=PATH stands for `--data musdb18=PATH`."""


@dataclass(frozen=True)
class Finding:
    """What became of one claim: the published number, ours with its interval, and the verdict with its reason."""

    id: str
    kind: str  # number, difference or statement
    paper: str
    what: str
    unit: str
    published: float | None
    verdict: Verdict
    reason: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    tracks: int | None = None
    data: str = ""
    weights: str = ""
    caveats: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return None if self.ours is None or self.published is None else self.ours - self.published


@dataclass(frozen=True)
class Bench:
    """What there is to test claims with: the ledger, datasets by the ledger's names, and finished runs."""

    ledger: Ledger
    data: Mapping[str, str]
    folders: Sequence[RunFolder]
    installed: Mapping[str, Method]

    def number(self, claim: Claim) -> Finding:
        """Test a published number."""
        missing = self.obstacle(claim)
        if missing is not None or claim.row.ours is None:
            return self._finding(claim, Decision("data missing", missing or "method missing"))
        if claim.column.metric == PARAMETERS:
            return self._count(claim, claim.row.ours)
        label = next(iter(self.own_labels(claim, claim.row.ours)), None)
        if label is None:
            reason = self._unfit(claim) if claim.table.dataset in self.data else None
            return self._finding(claim, Decision("data missing", reason or self._how_to_give(claim)))
        found = self.find(claim, label)
        if found is None or not found.tracks:
            reasons = "; ".join(found.failed[:2]) if found else "no row under the table's recipe"
            return self._finding(claim, Decision("data missing", f"no score: {reasons}"), found)
        other = other_weights(claim.row.ours, found.facts)
        if other is not None:
            return self._finding(claim, Decision("data missing", other), found)
        interval = mean_interval(found.values, found.weights, over_tracks(claim))
        lower = claim.column.better == "lower"
        decision = judge_number(claim.value, interval, unit=claim.column.unit, better="lower" if lower else "higher")
        return self._finding(claim, decision, found, interval)

    def difference(self, relative: RelativeClaim) -> Finding:
        """Test a published difference, on the paper's data where that is there and else on what both were run on."""
        first, second = (self.ledger.claims[name] for name in (relative.first, relative.second))
        missing = next(
            (self.obstacle(c, relative=True) for c in (first, second) if self.obstacle(c, relative=True)), None
        )
        if missing is not None:
            return self._relative(relative, Decision("data missing", missing))
        pair = self._pair(first, second)
        if pair is None:
            return self._relative(relative, Decision("data missing", self._how_to_give(first, relative=True)))
        a, b = pair
        if any(found.facts.trained is False and found.facts.kind != "reference" for found in pair):
            return self._relative(relative, Decision("data missing", "weights missing: a network is untrained"), a)
        names = sorted(set(a.tracks) & set(b.tracks))
        if not names:
            return self._relative(relative, Decision("data missing", "no track that both have a score of"), a)
        x, y = (f.values[[f.tracks.index(name) for name in names]] for f in pair)
        weights = a.weights[[a.tracks.index(name) for name in names]]
        interval = difference_interval(x, y, weights, over_tracks(first))
        decision = judge_difference(relative.by, interval, kind=relative.kind, own_data=self._is_own(first, a.label))
        return self._relative(relative, decision, a, interval)

    def obstacle(self, claim: Claim, *, relative: bool = False) -> str | None:
        """Why a claim cannot be tested here whatever was run, or None."""
        ours, data = claim.row.ours, self.ledger.datasets.get(str(claim.table.dataset))
        if claim.column.metric is None:
            return claim.column.reason
        if ours is None:
            return f"method missing: {claim.row.missing}"
        if ours.method not in self.installed:
            return f"method missing: no method {ours.method!r} is installed"
        if claim.column.metric == PARAMETERS:
            return None
        if claim.table.recipe not in RECIPES:
            return f"no recipe {claim.table.recipe!r} here"
        if not relative and data is not None and data.kind is None:
            return str(data.missing)
        if not relative and ours.extra_training_data:
            return "weights missing: the published ones were trained on recordings that nobody else has"
        return None

    def _unfit(self, claim: Claim) -> str | None:
        """Why the installed weights need not be run for a published number, as far as their facts tell."""
        ours = claim.row.ours
        return None if ours is None else other_weights(ours, self.installed[ours.method].facts)

    def worth_running(self, claim: Claim) -> bool:
        """Whether a run of the claim's system could decide about its number."""
        return self.obstacle(claim) is None and claim.column.metric != PARAMETERS and self._unfit(claim) is None

    def own_labels(self, claim: Claim, ours: Ours) -> list[str]:
        """Datasets of finished runs of this system that are the paper's."""
        return [label for folder in self.folders for label in folder.labels(ours) if self._is_own(claim, label)]

    def find(self, claim: Claim, label: str) -> Found | None:
        """The scores of a claim's system on a dataset, from the folder that has the most tracks."""
        if claim.row.ours is None:
            return None
        every = [folder.find(claim, claim.row.ours, label) for folder in self.folders]
        return max((f for f in every if f is not None), key=lambda f: len(f.tracks), default=None)

    def _pair(self, first: Claim, second: Claim) -> tuple[Found, Found] | None:
        """Scores of both systems on one dataset: the paper's first, then the one with the most tracks."""
        labels = dict.fromkeys(
            label for folder in self.folders if first.row.ours for label in folder.labels(first.row.ours)
        )
        pairs = [(self.find(first, label), self.find(second, label)) for label in labels]
        whole = [(a, b) for a, b in pairs if a is not None and b is not None]
        return max(whole, key=lambda p: (self._is_own(first, p[0].label), len(p[0].tracks)), default=None)

    def _is_own(self, claim: Claim, label: str) -> bool:
        name = claim.table.dataset
        return name is not None and is_own_data(label, self.ledger.datasets[name], self.data.get(name))

    def _how_to_give(self, claim: Claim, *, relative: bool = False) -> str:
        name = str(claim.table.dataset)
        text = f"{self.ledger.datasets[name].title}: give --data {name}=PATH" if name in self.ledger.datasets else name
        return f"{text}, or --data {SUBSTITUTE}=SPEC for other songs" if relative else text

    def _count(self, claim: Claim, ours: Ours) -> Finding:
        try:
            count = parameters_of(ours)
        except SepkitError as error:
            return self._finding(claim, Decision("data missing", f"method missing: {error}"))
        return Finding(
            claim.id, "number", claim.table.paper, claim.what, claim.column.unit, claim.value,
            *judge_count(claim.value, count), ours=count, caveats=claim.table.caveats,
        )  # fmt: skip

    def _finding(
        self, claim: Claim, decision: Decision, found: Found | None = None, interval: Interval | None = None
    ) -> Finding:
        numbers: dict[str, Any] = {} if interval is None else _numbers(interval)
        return Finding(
            claim.id, "number", claim.table.paper, claim.what, claim.column.unit, claim.value, *decision,
            **numbers, data=found.label if found else "", weights=_weights(found), caveats=claim.table.caveats,
        )  # fmt: skip

    def _relative(
        self, relative: RelativeClaim, decision: Decision, found: Found | None = None, interval: Interval | None = None
    ) -> Finding:
        first = self.ledger.claims[relative.first]
        numbers: dict[str, Any] = {} if interval is None else _numbers(interval)
        data = found.label if found else ""
        if found is not None and not self._is_own(first, found.label):
            data += " (not the paper's data: only the sign is tested)"
        return Finding(
            relative.id, "difference", first.table.paper, relative.claim, first.column.unit, relative.by, *decision,
            **numbers, data=data, weights=_weights(found), caveats=first.table.caveats,
        )  # fmt: skip


def over_tracks(claim: Claim) -> Aggregate:
    """How the claim's table puts tracks together."""
    return claim.table.over_tracks or RECIPES[str(claim.table.recipe)].over_tracks


def run_claims(
    names: str,
    data: Sequence[str],
    out: Path,
    settings: RunSettings,
    *,
    checkpoints: Sequence[str] = (),
    limit: int | None = None,
) -> list[Finding]:
    """Test the claims that `names` asks for with the runs below `out`; makes those whose data is there and that lack.

    `data` is NAME=PATH or NAME=SPEC, beside the environment's SEPKIT_DATA_NAME; `checkpoints` are METHOD=FOLDER.
    Writes OUT/claims.json and OUT/claims.md. Raises UnknownNameError and OptionError for names that are not known,
    DatasetError for data that cannot be read.
    """
    from .claims_table import markdown

    ledger = read_ledger()
    selection = ledger.chosen(names)
    kinds = {**{name: one.kind for name, one in ledger.datasets.items()}, SUBSTITUTE: "folder"}
    given = parse_data([*_from_environment(ledger), *data], kinds)
    methods = available_methods()
    methods |= {method.name: method for method in choose_methods("all", checkpoints) if method.checkpoint}
    _make_missing_runs(ledger, selection, given, methods, out, settings, limit)
    findings = tested(ledger, selection, given, methods, run_folders(out))
    rows = [{**asdict(one), "difference": one.difference} for one in findings]
    write_text(out / "claims.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    write_text(out / "claims.md", markdown(findings))
    return findings


def tested(
    ledger: Ledger,
    selection: Selection,
    data: Mapping[str, str],
    methods: Mapping[str, Method],
    folders: Sequence[RunFolder],
) -> list[Finding]:
    """Every claim that was asked for, tested with finished runs only."""
    bench = Bench(ledger, data, folders, methods)
    said = [
        Finding(one.id, "statement", one.paper, one.text, "", None, "data missing", one.missing)
        for one in selection.statements
    ]
    return [*map(bench.number, selection.claims), *map(bench.difference, selection.relative), *said]


def _make_missing_runs(
    ledger: Ledger,
    selection: Selection,
    data: Mapping[str, str],
    methods: Mapping[str, Method],
    out: Path,
    settings: RunSettings,
    limit: int | None,
) -> None:
    bench = Bench(ledger, data, run_folders(out), methods)
    wanted: list[tuple[Claim, str]] = []
    for claim in selection.claims:
        if claim.table.dataset in data and bench.worth_running(claim):
            wanted.append((claim, data[str(claim.table.dataset)]))
    for relative in selection.relative:
        pair = [ledger.claims[relative.first], ledger.claims[relative.second]]
        spec = data.get(str(pair[0].table.dataset)) or data.get(SUBSTITUTE)
        if spec is not None and not any(bench.obstacle(claim, relative=True) for claim in pair):
            wanted += [(claim, spec) for claim in pair]
    with RunProgress() as watch:
        for claim, spec in wanted:
            assert claim.row.ours is not None
            found = bench.find(claim, spec) or bench.find(claim, f"{spec}:test")
            method = methods[claim.row.ours.method]
            if (
                found is None
                or not found.tracks
                or method.facts.weights_sha256 not in (None, found.facts.weights_sha256)
            ):
                needed_run(claim, method, spec, out, watch, settings, limit)
                bench = Bench(ledger, data, run_folders(out), methods)


def _from_environment(ledger: Ledger) -> list[str]:
    names = {name: ENVIRONMENT + name.upper().replace("-", "_") for name in ledger.datasets}
    return [f"{name}={os.environ[variable]}" for name, variable in names.items() if os.environ.get(variable)]


def _weights(found: Found | None) -> str:
    if found is None or not found.facts.parameters:
        return ""
    return f"{found.facts.parameters / 1e6:.2f} M parameters"


def _numbers(interval: Interval) -> dict[str, Any]:
    estimate = float(np.round(interval.estimate, 6))
    return {"ours": estimate, "low": interval.low, "high": interval.high, "tracks": interval.tracks}
